"""Encoding: the windowed, marked pair as token ids.

``[CLS] left _ term _ right [SEP] term [SEP]`` (style ``marked_pair``), never longer than
``max_tokens``. Left, term and right are tokenised on their own: the mark is punctuation, at which
a BERT tokenizer splits anyway, so the result is that of the marked sentence, and the window is
cut between tokens without any offsets.

Without marks (style ``pair``) a text that fits is tokenised whole, as ``tokenizer(text, term)`` does:
there is no mark at which a word of letters next to the term would be split.

A classifier reads token 0 of the last layer. Under ``pooling = "entity_start"`` that token is the opening
mark of the term instead of [CLS] (entity-start pooling: Baldini Soares et al. 2019, Matching the
Blanks, arXiv:1906.03158, section 3.2): it is moved to the front of the ids but keeps its position,
and a transformer without a causal mask cannot tell the difference in order.

A sentence pair is ``[CLS] text [SEP] second [SEP]``; where it is too long, the longer sentence
loses its last token, again and again. So is an example of a task with terms that has no place but a
``second``: a term that does not occur in the text, or at a place that is not given.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from attar.errors import RecipeError
from attar.task import Example, InputStyle, Task
from attar.text.normalise import Normalised, Step, normalise
from attar.text.tokens import Tokens
from attar.text.window import CLAUSE_MARKS, char_window, clause_pieces, clause_window, kept_of_two

__all__ = ["Encoding", "InputSpec", "Pooling", "TextEncoder", "model_inputs"]

Pooling = Literal["cls", "entity_start"]

_MARK = "_"


@dataclass(frozen=True, slots=True)
class InputSpec:
    """Everything that decides how an example becomes ids, beside the tokenizer itself.

    Attributes:
        style: See ``attar.task.Task``.
        max_tokens: Longest encoding, special tokens included.
        window_chars: Characters kept on either side of the term, or None.
        token_types: Whether the second segment has type 1 (False for encoders that never saw it).
        pooling: Which token stands at index 0, where the classifier reads.
        normalise: What is done to a text before it is read, in this order; see
            ``attar.text.normalise``. Offsets of examples are of the text as it was written.
    """

    style: InputStyle
    max_tokens: int
    window_chars: int | None = None
    token_types: bool = True
    pooling: Pooling = "cls"
    normalise: tuple[Step, ...] = ()

    def __post_init__(self) -> None:
        # JSON gives lists.
        object.__setattr__(self, "normalise", tuple(self.normalise))
        if self.max_tokens < 8:
            raise RecipeError(f"max_tokens = {self.max_tokens}: a marked pair needs at least 8")
        if self.pooling == "entity_start" and self.style != "marked_pair":
            raise RecipeError(
                f"encode.pooling = 'entity_start' needs style 'marked_pair'; the task's is {self.style!r}: "
                "set encode.pooling = 'cls'"
            )

    @classmethod
    def for_task(
        cls,
        task: Task,
        max_tokens: int,
        *,
        token_types: bool,
        pooling: Pooling | None = None,
        normalise: tuple[Step, ...] = (),
    ) -> InputSpec:
        """The input of a task; ``pooling`` None takes the mark where there is one."""
        chosen = pooling or ("entity_start" if task.style == "marked_pair" else "cls")
        return cls(task.style, max_tokens, task.window_chars, token_types, chosen, normalise)

    def to_json(self) -> dict[str, Any]:
        """What ``from_json`` reads back: the format of attar.json, in which the pooling is "reads"."""
        pooled = "mark" if self.pooling == "entity_start" else "cls"
        stored = {"reads" if key == "pooling" else key: value for key, value in asdict(self).items()}
        return stored | {"reads": pooled}

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> InputSpec:
        """The spec of an attar.json, of this version or an earlier one.

        Raises:
            KeyError: An unknown kind of pooling.
            TypeError: Something is missing, or unknown.
        """
        settings = dict(stored)
        names: dict[str, Pooling] = {"cls": "cls", "mark": "entity_start"}
        pooling = names[settings.pop("reads", "cls")]
        return cls(**settings, pooling=pooling)


class Encoding(NamedTuple):
    """Token ids of one example.

    Attributes:
        ids: [T] int32, special tokens included, no padding.
        second: Index of the first token of the second segment; T where there is none.
        first_position: Position id of the token at index 0: 0 for [CLS]; a mark is there with its own
            position id, and the tokens before it follow, each moved by one.
    """

    ids: NDArray[np.int32]
    second: int
    first_position: int = 0


class _TermContext(NamedTuple):
    """A text left of its term, the term, and right of it; and the way back to the text as written."""

    pieces: tuple[str, str, str]
    normal: Normalised
    first: int  # where the pieces begin in the normalised text
    is_whole: bool  # whether they may be read as one text: no marks, and nothing was cut off


class TextEncoder:
    """Turns examples into encodings.

    Args:
        tokenizer: With [CLS], [SEP] and [PAD] (or <s>, </s>, <pad>) in its vocabulary. It is set to
            read their names in a text as text.
        spec: The input's format.

    Attributes:
        pad: Id of the padding token.
        special_ids: Ids that belong to the input's format, not to the text.
        mask_id: Stands for a token that the model shall not see.

    Raises:
        RecipeError: The tokenizer lacks a special token.
    """

    def __init__(self, tokenizer: Tokenizer, spec: InputSpec) -> None:
        self.tokenizer = tokenizer
        self.spec = spec
        self._tokens = Tokens(tokenizer)
        self._cls = self._special("[CLS]", "<s>")
        self._sep = self._special("[SEP]", "</s>")
        self.pad = self._special("[PAD]", "<pad>")
        mark = tokenizer.encode(_MARK, add_special_tokens=False).ids
        self._mark = mark[-1:]
        self.special_ids = frozenset({self._cls, self._sep, self.pad, *self._mark})
        self.mask_id = self._special("[MASK]", "<mask>", "[UNK]", "<unk>")
        marks = (tokenizer.encode(mark, add_special_tokens=False).ids for mark in CLAUSE_MARKS)
        unknown = tokenizer.token_to_id("[UNK]"), tokenizer.token_to_id("<unk>")
        self._clause_marks = frozenset(ids[-1] for ids in marks if ids and ids[-1] not in unknown)

    def __reduce__(self) -> tuple[type[TextEncoder], tuple[Tokenizer, InputSpec]]:
        # A pickled tokenizer forgets how it was set.
        return TextEncoder, (self.tokenizer, self.spec)

    def _special(self, *names: str) -> int:
        for name in names:
            found = self.tokenizer.token_to_id(name)
            if found is not None:
                return int(found)
        raise RecipeError(f"the tokenizer has none of {', '.join(names)}; BERT-family tokenizers have one")

    def encode(self, examples: Sequence[Example]) -> list[Encoding]:
        """Encode examples, in their order."""
        if self.spec.style == "single":
            return [self._single(ids) for ids in self._tokens.ids([self._plain(e.text) for e in examples])]
        if self.spec.style == "sentence_pair":
            return self._sentence_pairs([(e.text, e.second) for e in examples])
        pairs = iter(self._sentence_pairs([(e.text, e.second) for e in examples if e.second]))
        with_terms = iter(self._with_terms([e for e in examples if not e.second]))
        return [next(pairs if example.second else with_terms) for example in examples]

    @property
    def num_parts(self) -> int:
        """How many parts an input is put together from: see ``assemble``."""
        return {"single": 1, "sentence_pair": 2}.get(self.spec.style, 3)

    def assemble(self, parts: Sequence[list[int]]) -> Encoding:
        """The encoding of token ids: a text's, two sentences', or those left of, in and right of a term."""
        match self.spec.style:
            case "single":
                return self._single(*parts)
            case "sentence_pair":
                return self._sentences(*parts)
            case _:
                return self._pair(*parts)

    def pieces(self, texts: Sequence[str]) -> list[list[Encoding]]:
        """Encode texts whole, each as one or more pieces that are cut where clauses end.

        Args:
            texts: As they were written; they have no term.

        Returns:
            The pieces of each text, ``[CLS] piece [SEP]`` each.
        """
        read = [normalise(text, self.spec.normalise).text for text in texts]
        room = self.spec.max_tokens - 2
        return [
            [self._single(list(piece)) for piece in clause_pieces(ids, room, self._clause_marks)]
            for ids in self._tokens.ids(read)
        ]

    def window(self, example: Example) -> tuple[int, int]:
        """Code-point offsets, in the text as written, of what the encoding holds of it."""
        if example.second or self.spec.style in ("single", "sentence_pair"):
            return self._head_window(example)
        context = self._context(example)
        if context.is_whole and self._uncut([context])[0] is not None:
            return context.normal.to_original(context.first, context.first + len("".join(context.pieces)))
        left, term, right = (self.tokenizer.encode(p, add_special_tokens=False) for p in context.pieces)
        _, kept_left, kept_right = self._kept(left.ids, term.ids, right.ids)
        # A side that is read to its end keeps what has no token there, such as spaces.
        dropped = len(left.ids) - kept_left
        low = 0 if not dropped else left.offsets[dropped][0] if kept_left else len(context.pieces[0])
        high = len(context.pieces[2])
        if kept_right < len(right.ids):
            high = right.offsets[kept_right - 1][1] if kept_right else 0
        after = context.first + len(context.pieces[0]) + len(context.pieces[1])
        return context.normal.to_original(context.first + low, after + high)

    def _head_window(self, example: Example) -> tuple[int, int]:
        normal = normalise(example.text, self.spec.normalise)
        head = self._tokens.head(normal.text, self.spec.max_tokens)
        read = self.tokenizer.encode(head, add_special_tokens=False)
        kept = self.spec.max_tokens - 2
        if self.spec.style != "single":
            (second,) = self._tokens.ids([self._plain(example.second)])
            kept, _ = kept_of_two(len(read.ids), len(second), self.spec.max_tokens - 3)
        end = read.offsets[kept - 1][1] if kept < len(read.ids) else len(normal.text)
        return normal.to_original(0, end)

    def _context(self, example: Example, known: Normalised | None = None) -> _TermContext:
        normal = known or normalise(example.text, self.spec.normalise)
        start, end = normal.to_normal(example.start, example.end)
        text, first = normal.text, 0
        if self.spec.window_chars is not None:
            first = max(0, start - self.spec.window_chars)
            text, start, end = char_window(text, start, end, self.spec.window_chars)
        # A side that has as many tokens as the whole encoding may is as good as endless to the window.
        left = self._tokens.tail(text, self.spec.max_tokens, start)
        right = self._tokens.head(text, self.spec.max_tokens, end)
        is_whole = self.spec.style == "pair" and len(left) == start and len(right) == len(text) - end
        return _TermContext((left, text[start:end], right), normal, first + start - len(left), is_whole)

    def _sentence_pairs(self, pairs: Sequence[tuple[str, str]]) -> list[Encoding]:
        ids = self._tokens.ids([self._plain(text) for pair in pairs for text in pair])
        return [self._sentences(ids[i], ids[i + 1]) for i in range(0, len(ids), 2)]

    def _with_terms(self, examples: Sequence[Example]) -> list[Encoding]:
        contexts, text, normal = list[_TermContext](), "", Normalised("")
        for example in examples:
            if example.text is not text:  # a text of many mentions is normalised once
                text, normal = example.text, normalise(example.text, self.spec.normalise)
            contexts.append(self._context(example, normal))
        whole = iter(self._uncut(contexts))
        found = [next(whole) if one.is_whole else None for one in contexts]
        cut = [one for one, encoding in zip(contexts, found, strict=True) if encoding is None]
        ids = self._tokens.ids([piece for one in cut for piece in one.pieces])
        pairs = iter([self._pair(*ids[i : i + 3]) for i in range(0, len(ids), 3)])
        return [next(pairs) if encoding is None else encoding for encoding in found]

    def _uncut(self, contexts: Sequence[_TermContext]) -> list[Encoding | None]:
        """Of those whose text is in one piece, the encoding; None where it is too long."""
        texts = [text for one in contexts if one.is_whole for text in ("".join(one.pieces), one.pieces[1])]
        ids = self._tokens.ids(texts)
        room = self.spec.max_tokens - 3
        return [
            self._sentences(text, term) if len(text) + len(term) <= room else None
            for text, term in zip(ids[::2], ids[1::2], strict=True)
        ]

    def _plain(self, text: str) -> str:
        plain = normalise(text, self.spec.normalise).text if self.spec.normalise else text
        return self._tokens.head(plain, self.spec.max_tokens)

    def _single(self, ids: list[int]) -> Encoding:
        kept = [self._cls, *ids[: self.spec.max_tokens - 2], self._sep]
        return Encoding(np.array(kept, np.int32), len(kept))

    def _sentences(self, first: list[int], second: list[int]) -> Encoding:
        kept_first, kept_second = kept_of_two(len(first), len(second), self.spec.max_tokens - 3)
        head = [self._cls, *first[:kept_first], self._sep]
        ids = [*head, *second[:kept_second], self._sep]
        return Encoding(np.array(ids, np.int32), len(head))

    def _pair(self, left: list[int], term: list[int], right: list[int]) -> Encoding:
        marks = self._mark if self.spec.style == "marked_pair" else []
        term, kept_left, kept_right = self._kept(left, term, right)
        before = [self._cls, *left[len(left) - kept_left :]]
        is_moved = self.spec.pooling == "entity_start"
        position = len(before) if is_moved else 0
        before = [*marks, *before] if is_moved else [*before, *marks]
        first = [*before, *term, *marks, *right[:kept_right], self._sep]
        return Encoding(np.array([*first, *term, self._sep], np.int32), len(first), position)

    def _kept(self, left: list[int], term: list[int], right: list[int]) -> tuple[list[int], int, int]:
        """The term's tokens that are read, and how many next to it on the left and on the right."""
        marks = len(self._mark) if self.spec.style == "marked_pair" else 0
        room = self.spec.max_tokens - 3 - 2 * marks
        term = term[: room // 2]
        return term, *clause_window(left, right, room - 2 * len(term), self._clause_marks)


def model_inputs(
    encodings: Sequence[Encoding], pad: int, spec: InputSpec, length: int | None = None
) -> dict[str, NDArray[np.int64]]:
    """Pad encodings into the inputs of a model, by the names that transformers gives them.

    Args:
        encodings: B of them.
        pad: Id of the padding token.
        spec: Decides which inputs there are.
        length: Pad to this many tokens; None pads to the longest.

    Returns:
        ``input_ids`` and ``attention_mask`` (1 where there is a token), with token types
        ``token_type_ids``, and with ``pooling = "entity_start"`` ``position_ids``; [B, T] each.
    """
    width = length or max(len(e.ids) for e in encodings)
    shape = (len(encodings), width)
    inputs = {"input_ids": np.full(shape, pad, np.int64), "attention_mask": np.zeros(shape, np.int64)}
    if spec.token_types:
        inputs["token_type_ids"] = np.zeros(shape, np.int64)
    if spec.pooling == "entity_start":
        inputs["position_ids"] = np.tile(np.arange(width), (len(encodings), 1))
    for row, (ids, second, position) in enumerate(encodings):
        inputs["input_ids"][row, : len(ids)] = ids
        inputs["attention_mask"][row, : len(ids)] = 1
        if spec.token_types:
            inputs["token_type_ids"][row, second : len(ids)] = 1
        if position:
            inputs["position_ids"][row, : position + 1] = [position, *range(position)]
    return inputs
