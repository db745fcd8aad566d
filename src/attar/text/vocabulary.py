"""A smaller vocabulary: what the texts use, plus a stated margin of common tokens.

Two thirds of a small Chinese BERT is its embedding table, most of whose rows no review ever
touches. WordPiece takes the longest piece it knows, so a vocabulary that keeps every token seen
in some texts tokenises those texts exactly as before. The margin is for texts not seen: printable
ASCII first (any Latin word or number can then be spelt), then the 3,755 characters of GB 2312's
first level, which were chosen for their frequency.
"""

from __future__ import annotations

import json
import string
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from attar.errors import RecipeError
from attar.task import Example, Task
from attar.text.normalise import Step, normalise
from attar.text.window import char_window

__all__ = ["extend_vocabulary", "prune_vocabulary", "texts_read"]

_CHUNK = 4096


def prune_vocabulary(
    tokenizer: Tokenizer, texts: Iterable[str], margin: int, used: Iterable[int] = ()
) -> tuple[Tokenizer, NDArray[np.int64]]:
    """Cut a WordPiece tokenizer's vocabulary.

    Args:
        tokenizer: A WordPiece tokenizer; it is not changed.
        texts: What must be tokenised exactly as before.
        margin: How many tokens beyond those to keep.
        used: Ids that texts read before have used; they are kept too.

    Returns:
        The smaller tokenizer, and [V_new] the old id of each of its ids.

    Raises:
        RecipeError: The tokenizer is not WordPiece.
    """
    tree = json.loads(tokenizer.to_str())
    if tree["model"]["type"] != "WordPiece":
        raise RecipeError(
            f"vocab_margin: only a WordPiece vocabulary can be pruned, this one is {tree['model']['type']}; "
            "set vocab_margin = 'all'"
        )
    vocab: dict[str, int] = tree["model"]["vocab"]
    keep = {vocab[token] for token in (tree["model"]["unk_token"], "_") if token in vocab}
    keep.update(map(int, used))
    keep.update(token["id"] for token in tree.get("added_tokens", ()))
    keep |= _ids_read(tokenizer, texts)
    for token in _common_tokens():
        if margin <= 0:
            break
        token_id = vocab.get(token)
        if token_id is not None and token_id not in keep:
            keep.add(token_id)
            margin -= 1
    old_ids = np.array(sorted(keep), np.int64)
    new_id = {int(old): new for new, old in enumerate(old_ids)}
    tree["model"]["vocab"] = {token: new_id[i] for token, i in vocab.items() if i in new_id}
    for token in tree.get("added_tokens", ()):
        token["id"] = new_id[token["id"]]
    _renumber_post_processor(tree, new_id)
    return Tokenizer.from_str(json.dumps(tree)), old_ids


def extend_vocabulary(
    tokenizer: Tokenizer, other: Tokenizer, texts: Iterable[str], tokens: Iterable[str] = ()
) -> tuple[Tokenizer, list[list[int]]]:
    """Add to a WordPiece tokenizer what another one of the same kind reads in some texts.

    The two then read these texts alike; a tokenizer of another kind has nothing to add.

    Args:
        tokenizer: Gets the tokens behind its own; it is not changed.
        other: Where they come from.
        texts: What both are to read alike.
        tokens: Those that the other one knows are to be there too.

    Returns:
        The larger tokenizer, and of each token that is new what ids it was read as before.
    """
    tree, theirs = (json.loads(one.to_str()) for one in (tokenizer, other))
    if _kind(tree) != _kind(theirs) or tree["model"]["type"] != "WordPiece":
        return tokenizer, []
    vocab: dict[str, int] = tree["model"]["vocab"]
    wanted = {str(other.id_to_token(token_id)) for token_id in _ids_read(other, texts)}
    wanted |= set(tokens) & other.get_vocab().keys()
    new = sorted(wanted - vocab.keys())
    before = [tokenizer.encode(token.removeprefix("##"), add_special_tokens=False).ids for token in new]
    vocab |= {token: len(vocab) + number for number, token in enumerate(new)}
    return Tokenizer.from_str(json.dumps(tree)), before


def _kind(tree: Mapping[str, Any]) -> tuple[Any, ...]:
    """What two tokenizers must share to read a text alike wherever they have the same tokens."""
    model = {key: value for key, value in tree["model"].items() if key != "vocab"}
    return tree["normalizer"], tree["pre_tokenizer"], model


def _ids_read(tokenizer: Tokenizer, texts: Iterable[str]) -> set[int]:
    """The ids of all tokens of some texts."""
    reader = Tokenizer.from_str(tokenizer.to_str())
    reader.encode_special_tokens = True  # as attar.text.tokens reads
    found, rest = set[int](), iter(texts)
    while chunk := list(islice(rest, _CHUNK)):
        for encoding in reader.encode_batch_fast(chunk, add_special_tokens=False):
            found.update(encoding.ids)
    return found


def _common_tokens() -> Iterator[str]:
    for char in string.ascii_lowercase + string.digits + string.punctuation:
        yield char
        yield f"##{char}"
    yield from "，。！？、；：…～“”‘’（）《》【】—·￥"
    for row in range(0xB0, 0xD8):
        for cell in range(0xA1, 0xFF):
            try:
                yield bytes((row, cell)).decode("gb2312")
            except UnicodeDecodeError:
                continue


def _renumber_post_processor(tree: dict[str, object], new_id: dict[int, int]) -> None:
    processor = tree.get("post_processor")
    if not isinstance(processor, dict):
        return
    for special in processor.get("special_tokens", {}).values():
        special["ids"] = [new_id[i] for i in special["ids"]]
    for name in ("sep", "cls"):
        if isinstance(processor.get(name), list):
            processor[name][1] = new_id[processor[name][1]]


def texts_read(examples: Iterable[Example], task: Task, steps: Sequence[Step] = ()) -> Iterator[str]:
    """All that a tokenizer may be given of examples, for a vocabulary that covers it.

    A piece may have tokens that its text has not: a window cuts a word in two, a term is read alone.

    Yields:
        Whole normalised texts, second sentences, and what stands before, in and after each term.
    """
    for example in examples:
        normal = normalise(example.text, steps)
        yield normal.text
        if example.second:
            yield normalise(example.second, steps).text
        if task.has_term:
            text, (start, end) = normal.text, normal.to_normal(example.start, example.end)
            if task.window_chars is not None:
                text, start, end = char_window(text, start, end, task.window_chars)
            yield from (text[:start], text[start:end], text[end:])
