"""Nearest names, for messages about a name that nobody knows."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = ["did_you_mean"]


def did_you_mean(name: str, known: Iterable[str], cutoff: float = 0.6) -> str:
    """The end of a message about an unknown name: ``; did you mean 'text'?``, or "" if none is near.

    Args:
        name: What the user wrote.
        known: What it could have been.
        cutoff: How alike they must be, from 0 to 1 (``difflib.SequenceMatcher.ratio``).
    """
    near = difflib.get_close_matches(name, list(known), n=1, cutoff=cutoff)
    return f"; did you mean {near[0]!r}?" if near else ""
