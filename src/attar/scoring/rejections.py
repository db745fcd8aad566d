"""The rows that ``attar score`` cannot use: kept in a file, counted, and what to do about many of a kind."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field

from attar.io.tables.rows import Row
from attar.io.tables.term_cells import likely_separator

__all__ = ["Rejections"]

_MANY = 0.1  # of the rows
_Write = Callable[[Mapping[str, object]], None]


@dataclass(slots=True)
class Rejections:
    """The rejected file, made at the first rejection.

    Attributes:
        opened: Opens the file to write rows; None counts them only.
        stack: Closes it.
        is_split: Whether cells with several terms are parted already.
        first: Place and reason of the first.
        separators: Cells whose term was not found, by what seems to part several terms in them.
    """

    opened: Callable[[], AbstractContextManager[_Write]] | None
    stack: ExitStack
    is_split: bool = False
    first: str = ""
    separators: Counter[str] = field(default_factory=Counter)
    _write: _Write | None = None

    def add(self, row: Row, reason: str, term: object) -> None:
        """Reject a row.

        Args:
            row: As it was read.
            reason: A reason code.
            term: Its cell of the term.
        """
        self.first = self.first or f"{row.where}: {reason}"
        if self._write is None and self.opened is not None:
            self._write = self.stack.enter_context(self.opened())
        several = likely_separator(term) if reason in ("term_not_found", "bad_row") else ""
        if several:
            self.separators[several] += 1
        if self._write is not None:
            kept = row.problem.cells if row.problem else row.values
            self._write({"line": row.line, "where": row.where, "reason": reason, "row": kept})

    def hint(self, rows: int) -> str:
        """What to say where many cells seem to hold several terms, "" where they do not.

        Args:
            rows: That were read.
        """
        count = self.separators.total()
        if self.is_split or count <= _MANY * rows:
            return ""
        likely = self.separators.most_common(1)[0][0]
        return (
            f"{count:,} of {rows:,} rows seem to name several terms in one cell: --split-terms {likely} "
            "scores each of them"
        )

    def nothing_usable(self, source: str, rows: int, rejected: Counter[str]) -> str:
        """The message of a source of which no row was scored."""
        if not self.first and rows:
            return f"{source}: none of its {rows:,} rows names a term of the list"
        if not self.first:
            return f"{source} has no rows; expected rows with a text column"
        reasons = ", ".join(f"{reason} {count}" for reason, count in rejected.most_common())
        hint = f"; {said}" if (said := self.hint(rows)) else ""
        return f"{source}: none of its {rows} rows can be used ({reasons}); the first, {self.first}{hint}"
