"""JSON from anywhere: what cannot be used is a ``ValueError`` in words, whatever its shape.

Python's parser ends in a ``RecursionError`` on a text that is nested too deep, and so may whoever walks
what it returns. Here the depth is bounded, for every JSON that attar reads: files of its own, rows of
tables, items of lists, and cells that hold JSON.
"""

from __future__ import annotations

import json
import math
from typing import Any

__all__ = ["MAX_DEPTH", "TOO_DEEP", "TooDeepError", "is_too_deep", "parse_json"]

MAX_DEPTH = 64
"""Lists and objects within one another; a recipe's, a card's or a tokenizer's has fewer than ten."""

TOO_DEEP = f"nested deeper than {MAX_DEPTH} levels"
"""What messages say of such a value."""


class TooDeepError(ValueError):
    """JSON whose lists and objects are nested deeper than ``MAX_DEPTH``."""

    def __init__(self) -> None:
        super().__init__(TOO_DEEP)


def parse_json(text: str, *, strict: bool = False) -> Any:  # noqa: ANN401 - JSON is any
    """Parse JSON.

    Args:
        text: The whole of it.
        strict: Refuse NaN, Infinity and numbers beyond a float's range, and a key that an object has
            twice: Python's parser takes all of them.

    Raises:
        TooDeepError: It is nested deeper than ``MAX_DEPTH``.
        ValueError: It is no JSON, or strictness refuses it.
    """
    try:
        if strict:
            value = json.loads(
                text, parse_constant=_finite, parse_float=_finite, object_pairs_hook=_each_key_once
            )
        else:
            value = json.loads(text)
    except RecursionError:
        raise TooDeepError from None
    if is_too_deep(value, text):
        raise TooDeepError
    return value


def is_too_deep(value: object, text: str, start: int = 0, end: int | None = None) -> bool:
    """Whether a value is nested deeper than ``MAX_DEPTH``.

    Args:
        value: As a parser gave it.
        text: What it was parsed from.
        start: Where in that it begins.
        end: Where it ends; None for the end of the text.
    """
    # Nearly every text has fewer brackets than that, which is quicker to see.
    num_brackets = text.count("[", start, end) + text.count("{", start, end)
    return num_brackets > MAX_DEPTH and _is_deeper(value, MAX_DEPTH)


def _finite(number: str) -> float:
    value = float(number)
    if not math.isfinite(value):
        raise ValueError(f"the number {number[:20]} is not finite")
    return value


def _each_key_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise ValueError(f"the key {twice[:40]!r} is there twice")
    return found


def _is_deeper(value: object, limit: int) -> bool:
    """Whether lists and objects are nested deeper than ``limit``; level by level, without recursion."""
    level = [value]
    for _ in range(limit):
        parts = [
            one.values() if isinstance(one, dict) else one for one in level if isinstance(one, dict | list)
        ]
        level = [item for part in parts for item in part if isinstance(item, dict | list)]
        if not level:
            return False
    return True
