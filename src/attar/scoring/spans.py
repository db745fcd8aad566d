"""From rows to the pairs of a text and a term that are scored, or to the reason why there are none."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from attar.errors import DataError
from attar.scoring.reading import Row, RowSource, value_at
from attar.task import Example, Task

__all__ = ["ColumnNames", "PairReader", "places_of"]

_TERM_COLUMNS = ("term", "keyword")


class ColumnNames(NamedTuple):
    """Names of the columns that are read; "" where there is none."""

    text: str
    term: str
    start: str
    end: str


@dataclass(frozen=True, slots=True)
class PairReader:
    """Turns a row into the examples to score, or into the reason why it has none.

    Attributes:
        task: What is asked.
        places: Where the text and the term stand.
        first: Whether only the first occurrence of a term without offsets is meant.
        numbers_are_text: Whether the source may have taken a text such as 618 for a number.
    """

    task: Task
    places: ColumnNames
    first: bool
    numbers_are_text: bool = False

    def examples(self, row: Row) -> list[Example] | str:
        """The examples of a row, or a reason code."""
        if row.problem:
            return row.problem
        text = self._text(row.values, self.places.text)
        if not isinstance(text, str) or not text.strip():
            return "empty_text"
        term = self._text(row.values, self.places.term)
        if not _encodable(text) or (isinstance(term, str) and not _encodable(term)):
            return "bad_text"
        if self.task.style == "single":
            return [Example(text, 0, 0)]
        return self._about(row.values, text, term)

    def _about(self, values: Mapping[str, Any], text: str, term: object) -> list[Example] | str:
        """The examples of a text and a term, or of a pair of sentences."""
        if term is not None and not isinstance(term, str):
            return "empty_term"
        if self.task.style == "sentence_pair":
            return [Example(text, 0, 0, second=term)] if term and term.strip() else "empty_term"
        spans = self._spans(values, text, term)
        return spans if isinstance(spans, str) else [Example(text, *span) for span in spans]

    def _text(self, values: Mapping[str, Any], name: str) -> object:
        value = value_at(values, name) if name else None
        is_number = isinstance(value, int) and not isinstance(value, bool)
        return str(value) if self.numbers_are_text and is_number else value

    def _spans(self, values: Mapping[str, Any], text: str, term: str | None) -> list[tuple[int, int]] | str:
        try:
            start, end = (
                _offset(value_at(values, name)) if name else None
                for name in (self.places.start, self.places.end)
            )
        except (ValueError, OverflowError):
            return "bad_offsets"
        if start is None and end is None:
            return _occurrences(text, term, self.first) if term else "empty_term"
        if start is None or end is None or not 0 <= start < end <= len(text):
            return "bad_offsets"
        return [(start, end)] if not term or text[start:end] == term else "offsets_not_at_term"


def places_of(rows: RowSource, task: Task, text: str, term: str | None) -> ColumnNames:
    """Find the columns that a task needs.

    Args:
        rows: The source.
        task: What is asked.
        text: Name of the column with the text.
        term: Name of the column with the term, or with the second sentence; None takes ``term`` or
            ``keyword``.

    Raises:
        DataError: A column is missing; the message names those that are there.
    """
    has = rows.columns
    if text not in has:
        raise DataError(_missing(rows, text, "--text"))
    if task.style == "single":
        return ColumnNames(text, "", "", "")
    start, end = ("start", "end") if task.has_term and {"start", "end"} <= set(has) else ("", "")
    if term is None:
        term = next((name for name in _TERM_COLUMNS if name in has), "")
        if not term and not start:
            raise DataError(_missing(rows, "term", "--term"))
    elif term not in has:
        raise DataError(_missing(rows, term, "--term"))
    return ColumnNames(text, term, start, end)


def _missing(rows: RowSource, column: str, option: str) -> str:
    there = ", ".join(rows.columns[:12]) or "none that can be read"
    near = difflib.get_close_matches(column, rows.columns, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    return f"{rows.name} has no column {column!r}; its columns: {there}{hint}; {option} names another"


def _occurrences(text: str, term: str, first: bool) -> list[tuple[int, int]] | str:
    spans = []
    start = text.find(term)
    while start >= 0:
        spans.append((start, start + len(term)))
        start = -1 if first else text.find(term, start + len(term))
    return spans or "term_not_found"


def _offset(value: object) -> int | None:
    """A code-point offset in whatever type the source gave it; None where there is none."""
    if value is None or value == "" or value != value:  # noqa: PLR0124 - NaN is how some tables say nothing
        return None
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError
    number = float(value)
    if not number.is_integer():
        raise ValueError
    return int(number)


def _encodable(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
