"""How much may be written of one row: a text of some megabytes can name its terms a million times.

Each mention is written with all columns that are kept, so a million mentions in three megabytes would be
three terabytes. What goes beyond the limit is not scored, and the row is rejected once, as
``too_many_mentions``. With fewer columns (``--columns``) a row may have as many mentions as it likes.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from attar.io.limits import limit_bytes

__all__ = ["LIMIT_VARIABLE", "TOO_MANY", "RowLimit"]

LIMIT_VARIABLE = "ATTAR_MAX_ROW_GB"
"""Environment variable that raises the limit on what is written of one row, in GB (10^9 characters)."""
TOO_MANY = "too_many_mentions"
"""The reason code."""
_DEFAULT_GB = 1.0


@dataclass(slots=True)
class RowLimit:
    """Counts what is written of one row after the other.

    Attributes:
        keep: Columns that are written with each mention; None for all.
        per_mention: Characters beside them, about.
        most: Characters of one row at most.
        is_over: Whether what is left of the row is not written; ``chunks_of`` sets it with the rejection.
    """

    keep: Collection[str] | None = None
    per_mention: int = 1
    most: int = field(default_factory=lambda: limit_bytes(LIMIT_VARIABLE, _DEFAULT_GB))
    is_over: bool = False
    _left: int = 0
    _each: int = 0

    def begin(self, values: Mapping[str, object]) -> None:
        """Another row, with its cells."""
        self._left, self.is_over = self.most, False
        kept = values if self.keep is None else {name: values.get(name) for name in self.keep}
        self._each = self.per_mention + _num_chars(kept)

    def takes_mention(self) -> bool:
        """Whether one more mention may be written."""
        self._left -= self._each
        return self._left >= 0

    def takes_rejection(self, values: Mapping[str, object]) -> bool:
        """Whether the row may be written once more, whole, because one of its terms cannot be used."""
        if self._left < 0:
            return False
        self._left -= _num_chars(values)
        return True


def _num_chars(value: object) -> int:
    if isinstance(value, str):
        return len(value)
    if isinstance(value, Mapping):
        return sum(map(_num_chars, value.values()))
    if isinstance(value, list | tuple):
        return sum(map(_num_chars, value))
    return 1
