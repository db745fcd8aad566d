"""Nearest names, for messages about a name that nobody knows."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from functools import lru_cache

__all__ = ["did_you_mean", "nearest"]


def nearest(name: str, known: Iterable[str], cutoff: float = 0.6) -> str | None:
    """The known name that is most like ``name``; None if none is near.

    ``cutoff`` is how alike they must be, from 0 to 1 (``difflib.SequenceMatcher.ratio``).
    """
    return _nearest(name, tuple(known), cutoff)


@lru_cache(maxsize=256)  # a file that misspells a label does so in each of its rows
def _nearest(name: str, known: tuple[str, ...], cutoff: float) -> str | None:
    return next(iter(difflib.get_close_matches(name, known, n=1, cutoff=cutoff)), None)


def did_you_mean(name: str, known: Iterable[str], cutoff: float = 0.6) -> str:
    """The end of a message about an unknown name: ``; did you mean 'text'?``, or "" if none is near."""
    near = nearest(name, known, cutoff)
    return "" if near is None else f"; did you mean {near!r}?"
