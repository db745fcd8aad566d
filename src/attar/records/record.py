"""The first stage of the flow, one raw row of a source, and what becomes of it.

A record is accepted, confirmed or rejected, with a stable reason code.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, cast

from attar.io.tables.rows import Problem, Row
from attar.task import Example
from attar.text.repair import Repair

__all__ = ["Accepted", "Confirmed", "Reason", "Record", "Rejection", "reject", "reject_row"]

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


# There is one for each row, twice: a frozen dataclass takes three times as long to fill.
@dataclass(slots=True)
class Record:
    """One raw row of a source; nothing in it has been checked. Nobody changes it: ``replace`` makes another.

    Attributes:
        text: The review.
        term: The aspect term, "" where the source names none; in a task of sentence pairs the
            second sentence.
        start: Offset of the term's first Unicode code point, or None.
        end: Offset one past the term's last code point, or None.
        label: The label as the source spells it, or None.
        meta: What else came with it (channel, wordtype, ...).
        where: ``file:line`` (``file:row`` in Parquet and Excel) counted from 1, ``file[index]`` in a
            JSON list on one line, or ``source#id``.
        annotator: Who gave the label, "" where the source does not say.
        split: The split that its source is meant for, "" where the project decides.
        weight: How much it counts in training; below 1 where annotators disagreed.
        is_marked: Whether a person marked the offsets in the text, of which the term is a copy.
    """

    text: str
    term: str
    start: int | None
    end: int | None
    label: str | None
    meta: Mapping[str, str] = field(default_factory=dict)
    where: str = ""
    annotator: str = ""
    split: str = ""
    weight: float = 1.0
    is_marked: bool = False

    def as_row(self) -> list[object]:
        """The seven columns: text, term, start, end, label, channel, wordtype."""
        channel, wordtype = self.meta.get("channel", ""), self.meta.get("wordtype", "")
        return [self.text, self.term, self.start, self.end, self.label, channel, wordtype]


@dataclass(slots=True)
class Accepted:
    """A record that became an example. Nobody changes it: ``replace`` makes another.

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
