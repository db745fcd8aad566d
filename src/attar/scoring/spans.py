"""From rows to the examples that are scored, or to the reason why a row has none."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from attar.io.tables.columns import Columns, Pair, read_pair
from attar.io.tables.rows import Problem, Table
from attar.task import Example, Task
from attar.text.address import is_address
from attar.text.invisible import is_blank
from attar.text.repair import Repair, fitting_place, occurrences, repair

__all__ = ["ExampleReader", "columns_of"]

_SETTING = "--{}"


@dataclass(frozen=True, slots=True)
class ExampleReader:
    """Turns the cells of a row into the examples to score.

    Attributes:
        task: What is asked.
        first: Whether only the first occurrence of a term without offsets is meant.
        repair: Whether offsets that do not point at their term are moved to the one place that they
            can mean, as ``attar prepare`` does.
    """

    task: Task
    first: bool = False
    repair: bool = True

    def examples(self, cells: Mapping[str, object]) -> list[Example] | str:
        """The examples of a row, or a reason code of ``attar.records.record``.

        Args:
            cells: Of the columns text, term, start and end, as far as the row has them.
        """
        pair = read_pair(cells)
        if isinstance(pair, Problem):
            return pair.reason
        if is_blank(pair.text) or (self.task.has_term and is_address(pair.text)):
            return "empty_text"
        if not (_encodable(pair.text) and _encodable(pair.term)):
            return "bad_text"
        if self.task.style == "single":
            return [Example(pair.text, 0, 0)]
        return self._about(pair)

    def _about(self, pair: Pair) -> list[Example] | str:
        """The examples of a text and a term, or of a pair of sentences."""
        text, term, start, end = pair
        if is_blank(term):
            return "empty_term"
        if self.task.style == "sentence_pair":
            return [Example(text, 0, 0, second=term)]
        if start is None and end is None:
            spans = occurrences(text, term)
            found = [Example(text, *span) for span in (spans[:1] if self.first else spans)]
            return found or "term_not_found"
        if start is not None and start >= 0 and end == start + len(term) and text[start:end] == term:
            return [Example(text, start, end)]
        if self.repair:
            place = repair(text, term, start, end)
            return [Example(text, place.start, place.end)] if isinstance(place, Repair) else "bad_offsets"
        fit = fitting_place(text, term, start, end) if start is not None and end is not None else None
        return [Example(text, *fit)] if fit else "bad_offsets"


def columns_of(table: Table, task: Task, text: str, term: str | None) -> Columns:
    """Find the columns that a task needs.

    Args:
        table: The rows.
        task: What is asked.
        text: Name of the column with the text.
        term: Name of the column with the term, or with the second sentence; None takes ``term`` or
            ``keyword``.

    Raises:
        DataError: A column is missing; the message names those that are there.
    """
    if task.style == "single":
        return Columns.of(table, {"text": text}, ("text",), _SETTING).only(("text",))
    chosen = {"text": text} if term is None else {"text": text, "term": term}
    has_offsets = task.has_term and {"start", "end"} <= set(table.columns)
    needed = ("text",) if has_offsets and term is None else ("text", "term")
    wanted = ("text", "term", "start", "end") if task.has_term else ("text", "term")
    return Columns.of(table, chosen, needed, _SETTING).only(wanted)


def _encodable(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
