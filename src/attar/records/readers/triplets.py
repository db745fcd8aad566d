"""The triplet format: ``tokens####[((first, last), (first, last), 'POS'), ...]``, one review a line.

The format of aspect sentiment triplet extraction: tokens between spaces, then for each triplet the
tokens of the aspect, those of the opinion, and the polarity. A span of tokens is its ends, both
inclusive, or, as in ASTE-Data-V2 (Xu et al., Position-Aware Tagging for Aspect Sentiment Triplet
Extraction, 2020), all of its tokens.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from itertools import accumulate
from pathlib import Path

from attar.io.lines import numbered_lines
from attar.records.outcomes import Rejection
from attar.records.record import Record

__all__ = ["BEFORE_TRIPLETS", "read_triplets"]

BEFORE_TRIPLETS = "####["
_EXPECTED = "expected tokens####[((first, last), (first, last), 'POS'), ...] with token numbers from 0"
# What the sets write for an aspect that is not named in the text.
_NOT_NAMED = (-1, -1)

_Span = tuple[int, int]


class _BadLineError(Exception):
    """The line is not in this format; the message says why."""


def read_triplets(path: Path) -> Iterator[Record | Rejection]:
    """Read a file of reviews with triplets.

    The text is the tokens without the spaces between them. Opinions are not read: an aspect with
    two of them gives two Records.

    Args:
        path: A UTF-8 file.

    Yields:
        One Record a triplet, in their order, or one Rejection for a line.

    Raises:
        DataError: The file cannot be read or is not UTF-8.
    """
    for number, raw in numbered_lines(path):
        line = raw.strip()
        if not line:
            continue
        where = f"{path}:{number}"
        try:
            records = _records(line, where)
        except _BadLineError as problem:
            yield Rejection("bad_row", f"{problem}; {_EXPECTED}", where, [line])
        else:
            yield from records


def _records(line: str, where: str) -> list[Record]:
    sentence, found, triplets = line.rpartition(BEFORE_TRIPLETS)
    if not found:
        raise _BadLineError("no list of triplets")
    try:
        value = ast.literal_eval("[" + triplets)
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
        raise _BadLineError("the triplets are not a list") from None
    tokens = sentence.split()
    text = "".join(tokens)
    starts = list(accumulate(map(len, tokens), initial=0))
    records = []
    for triplet in value:
        match triplet:
            case ([int() as first, *more], _, str() as label) if all(isinstance(n, int) for n in more):
                start, end = _offsets((first, more[-1] if more else first), starts)
            case _:
                raise _BadLineError("a triplet in another format")
        if start is None or end is None:
            records.append(Record(text, "", None, None, label, where=where))
        else:
            records.append(Record(text, text[start:end], start, end, label, where=where))
    return records


def _offsets(span: _Span, starts: Sequence[int]) -> tuple[int, int] | tuple[None, None]:
    """Code points of a span of tokens."""
    first, last = span
    if span == _NOT_NAMED:
        return None, None
    if not 0 <= first <= last < len(starts) - 1:
        raise _BadLineError(f"tokens {first} to {last} of {len(starts) - 1}")
    return starts[first], starts[last + 1]
