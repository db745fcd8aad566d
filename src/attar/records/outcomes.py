"""What becomes of a record: accepted, confirmed or rejected, with a stable reason code."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, cast

from attar.io.tables.rows import Problem, Row
from attar.records.record import Record
from attar.task import Example
from attar.text.repair import Repair

__all__ = ["Accepted", "Confirmed", "Reason", "Rejection", "reject", "reject_row"]

Reason = Literal[
    "bad_row",
    "not_utf8",
    "bad_mark",
    "no_mark",
    "bad_text",
    "empty_text",
    "empty_term",
    "missing_label",
    "unknown_label",
    "bad_offsets",
    "term_not_found",
    "term_ambiguous",
    "control_characters",
    "too_long",
    "cancelled",
    "duplicate",
    "contradiction",
    "disagreement",
    "no_majority",
    "also_held_out",
]


@dataclass(frozen=True, slots=True)
class Accepted:
    """A record that became an example.

    Attributes:
        example: The example; its offsets are those of the text as written.
        record: What it was made of.
        repair: How its offsets were found, or None if they were right or not needed.
    """

    example: Example
    record: Record
    repair: Repair | None = None

    def repair_to_json(self) -> dict[str, object]:
        """A line of repaired.jsonl: where, by which reading, and the place given and found."""
        assert self.repair is not None
        return {
            "where": self.record.where,
            "how": self.repair.how,
            "given": [self.record.term, self.record.start, self.record.end],
            "found": [self.example.term, self.example.start, self.example.end],
            "text": self.example.text,
        }


@dataclass(frozen=True, slots=True)
class Confirmed:
    """A record that says what an example says already, by another annotator: agreement.

    Attributes:
        record: The record.
        first: ``where`` of the record that became the example.
    """

    record: Record
    first: str


@dataclass(frozen=True, slots=True)
class Rejection:
    """A row that is not used.

    Attributes:
        reason: Stable code.
        message: What was expected and what to do, without any review text.
        where: ``file:line`` of the row.
        row: The row as it came: the seven columns, or its cells if they cannot be told.
    """

    reason: Reason
    message: str
    where: str
    row: list[object]


def reject(reason: Reason, message: str, record: Record) -> Rejection:
    """The rejection of a record."""
    return Rejection(reason, message, record.where, record.as_row())


def reject_row(row: Row, problem: Problem | None = None) -> Rejection:
    """The rejection of a row of a table, for its own problem or one that was found in its cells."""
    found = problem or row.problem
    assert found is not None, "a row that is rejected has a problem"
    return Rejection(cast("Reason", found.reason), found.message, row.where, found.cells)
