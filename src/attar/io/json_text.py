"""JSON from anywhere: what cannot be used is a ``ValueError`` in words, whatever its shape.

Python's parser ends in a ``RecursionError`` on a text that is nested too deep, and so may whoever walks
what it returns. Here the depth is bounded, for every JSON that attar reads outside its tables.
"""

from __future__ import annotations

import json
import math
from typing import Any

__all__ = ["MAX_DEPTH", "parse_json"]

MAX_DEPTH = 64
"""Lists and objects within one another; a recipe's, a card's or a tokenizer's has fewer than ten."""


def parse_json(text: str, *, strict: bool = False) -> Any:  # noqa: ANN401 - JSON is any
    """Parse JSON.

    Args:
        text: The whole of it.
        strict: Refuse NaN, Infinity and numbers beyond a float's range, and a key that an object has
            twice: Python's parser takes all of them.

    Raises:
        ValueError: It is no JSON, is nested deeper than ``MAX_DEPTH``, or strictness refuses it.
    """
    try:
        if strict:
            value = json.loads(
                text, parse_constant=_finite, parse_float=_finite, object_pairs_hook=_each_key_once
            )
        else:
            value = json.loads(text)
    except RecursionError:
        value, too_deep = None, True
    else:
        too_deep = _is_deeper(value, MAX_DEPTH)
    if too_deep:
        raise ValueError(f"nested deeper than {MAX_DEPTH} levels")
    return value


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
