"""Character n-grams around a term: what the linear model reads.

Both sides of it use this one function: ``attar.evaluation.baselines`` fits on these n-grams,
``attar.scoring.linear`` scores with them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from attar.task import Example, InputStyle
from attar.text.window import CLAUSE_MARKS

__all__ = ["LONGEST_NGRAM", "ngram_window", "ngrams"]

LONGEST_NGRAM = 4
"""Characters of the longest; what tells the sides of a term apart adds one more."""

_MAX_CLAUSE = 500
"""Characters of a clause that are read on either side of a term: a text may be millions without a mark."""

_CLAUSE_MARK = re.compile(f"[{re.escape(CLAUSE_MARKS)}]")


def ngrams(example: Example, style: InputStyle, window_chars: int | None) -> list[str]:
    """The n-grams of an example, with repetitions.

    Of a marked window as one string and of its three parts, told apart; of a single text as a whole; of two
    sentences what they share and what only one of them has.

    Args:
        example: What is read.
        style: The task's.
        window_chars: Characters read on either side of the term; None reads the clause around it, at most
            500 characters on either side.
    """
    if style == "single":
        return list(_grams(f"\x02{example.text}\x03"))
    if style == "sentence_pair":
        first, second = ({*_grams(f"\x02{text}\x03")} for text in (example.text, example.second))
        sides = (("&", first & second), ("<", first - second), (">", second - first))
        return sorted(side + gram for side, grams in sides for gram in grams)
    low, high = ngram_window(example, window_chars)
    left, right = example.text[low : example.start], example.text[example.end : high]
    whole = _grams(f"{left}\x02{example.term}\x03{right}")
    parts = (("<", f"\x02{left}_"), (">", f"_{right}\x03"), ("=", f"\x02{example.term}\x03"))
    return [*whole, *(side + gram for side, part in parts for gram in _grams(part))]


def ngram_window(example: Example, window_chars: int | None) -> tuple[int, int]:
    """Code-point offsets of the part of an example's text that is read around its term."""
    if window_chars is not None:
        return max(0, example.start - window_chars), min(len(example.text), example.end + window_chars)
    text, start, end = example.text, example.start, example.end
    low, high = max(0, start - _MAX_CLAUSE), min(len(text), end + _MAX_CLAUSE)
    left = max(text.rfind(mark, low, start) for mark in CLAUSE_MARKS) + 1
    right = _CLAUSE_MARK.search(text, end, high)
    return max(left, low), high if right is None else right.start()


def _grams(text: str) -> Iterator[str]:
    for size in range(1, LONGEST_NGRAM + 1):
        for i in range(len(text) - size + 1):
            yield text[i : i + size]
