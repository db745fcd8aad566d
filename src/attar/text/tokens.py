"""From text to token ids: those of the tokenizer, at a cost that stays small.

A BERT tokenizer makes one token of every Chinese character and every mark, and never a token
across one. Where a tokenizer is of that kind, such characters are looked up in a table and only
what stands between them is given to the tokenizer, and a long text can be cut at one of them
before it is read. Any other tokenizer reads whole texts.

A text may contain the name of a special token. It is text, never the token: else a review that
says "[SEP]" would end its own first segment.
"""

from __future__ import annotations

import re
import string
from collections.abc import Sequence

from tokenizers import Tokenizer
from tokenizers.models import WordPiece
from tokenizers.normalizers import NFKC, BertNormalizer
from tokenizers.normalizers import Sequence as Steps
from tokenizers.pre_tokenizers import BertPreTokenizer

__all__ = ["Tokens"]

# Each is a token of its own wherever it stands: the ideographs that BERT sets apart, and punctuation
# but < = >, with which NFKC joins a stroke through them, and what NFKC writes with several characters.
_ALONE = "\u4e00-\u9fff，。！？：；、“”‘’（）《》【】·" + re.escape(re.sub("[<=>]", "", string.punctuation))
_ONE = re.compile(f"[{_ALONE}]")
_BETWEEN = re.compile(f"([^ {_ALONE}]+)")


class Tokens:
    """Reads texts with a tokenizer.

    Args:
        tokenizer: Its switch ``encode_special_tokens`` is set.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        tokenizer.encode_special_tokens = True
        self._tokenizer = tokenizer
        self._by_char = _Table(tokenizer) if _splits_at_characters(tokenizer) else None

    def ids(self, texts: Sequence[str]) -> list[list[int]]:
        """The ids of each text on its own, without special tokens."""
        if self._by_char is None:
            return self._read(texts)
        id_of = self._by_char.__getitem__
        split = [_BETWEEN.split(text) for text in texts]
        between = iter(self._read([part for parts in split for part in parts[1::2]]))
        found = []
        for parts in split:
            ids: list[int] = []
            for i, part in enumerate(parts):
                ids += next(between) if i % 2 else map(id_of, part.replace(" ", ""))
            found.append(ids)
        return found

    def head(self, text: str, count: int, begin: int = 0) -> str:
        """What follows ``begin``, with at least its first ``count`` ids; all where it cannot be cut."""
        size = 4 * count
        while self._by_char is not None and begin + size < len(text):
            ends = [match.end() for match in _ONE.finditer(text, begin, begin + size)]
            if len(ends) >= count:
                return text[begin : ends[count - 1]]
            size *= 4
        return text[begin:]

    def tail(self, text: str, count: int, end: int | None = None) -> str:
        """What ends at ``end``, with at least its last ``count`` ids; all where it cannot be cut."""
        end, size = len(text) if end is None else end, 4 * count
        while self._by_char is not None and size < end:
            starts = [match.start() for match in _ONE.finditer(text, end - size, end)]
            if len(starts) >= count:
                return text[starts[-count] : end]
            size *= 4
        return text[:end]

    def _read(self, texts: Sequence[str]) -> list[list[int]]:
        if not texts:
            return []
        return [e.ids for e in self._tokenizer.encode_batch_fast(texts, add_special_tokens=False)]


class _Table(dict[str, int]):
    """Id of a character that is a token of its own, asked of the tokenizer once."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        super().__init__()
        self._tokenizer = tokenizer

    def __missing__(self, char: str) -> int:
        (token,) = self._tokenizer.encode(char, add_special_tokens=False).ids
        self[char] = token
        return int(token)


def _splits_at_characters(tokenizer: Tokenizer) -> bool:
    """Whether it is known to make one token of each character of ``_ALONE``, and none across one."""
    normalizer = tokenizer.normalizer
    if isinstance(normalizer, Steps) and len(normalizer) == 2 and isinstance(normalizer[0], NFKC):
        normalizer = normalizer[1]
    return (
        isinstance(normalizer, BertNormalizer)
        and normalizer.handle_chinese_chars
        and isinstance(tokenizer.pre_tokenizer, BertPreTokenizer)
        and isinstance(tokenizer.model, WordPiece)
        and tokenizer.truncation is None
        and tokenizer.padding is None
        and all(token.special for token in tokenizer.get_added_tokens_decoder().values())
    )
