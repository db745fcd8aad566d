"""From rows to the examples that are scored, or to the reason why a row has none."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from attar.io.tables.columns import Columns, Pair, read_pair
from attar.io.tables.rows import Problem, Row, Table
from attar.task import Example, Task
from attar.text.address import is_address
from attar.text.invisible import is_blank
from attar.text.normalise import is_unicode
from attar.text.repair import Repair, each_occurrence, fitting_place, repair

__all__ = ["ExampleReader", "columns_of", "kept_apart", "needed_columns", "set_aside"]

_SETTING = "--{}"
_OFFSETS = ("start", "end")


@dataclass(slots=True)
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
    _checked: str | None = None  # the last text that can be used: a row of many mentions has one for all

    def examples(self, cells: Mapping[str, object]) -> list[Example] | str:
        """The examples of a row, or a reason code of ``attar.records.record``.

        Args:
            cells: Of the columns text, term, start and end, as far as the row has them.
        """
        found = self.each(cells)
        return found if isinstance(found, str) else list(found)

    def each(self, cells: Mapping[str, object]) -> Iterable[Example] | str:
        """``examples``, made one after the other: a row may have a million."""
        pair = read_pair(cells)
        if isinstance(pair, Problem):
            return pair.reason
        is_new = pair.text is not self._checked
        if is_new and (is_blank(pair.text) or (self.task.has_term and is_address(pair.text))):
            return "empty_text"
        if (is_new and not is_unicode(pair.text)) or not is_unicode(pair.term):
            return "bad_text"
        self._checked = pair.text
        if self.task.style == "single":
            return [Example(pair.text, 0, 0)]
        return self._about(pair)

    def _about(self, pair: Pair) -> Iterable[Example] | str:
        """The examples of a text and a term, or of a pair of sentences."""
        text, term, start, end = pair
        if is_blank(term):
            return "empty_term"
        if self.task.style == "sentence_pair":
            return [Example(text, 0, 0, second=term)]
        if start is None and end is None:
            spans = each_occurrence(text, term)
            found = list(itertools.islice(spans, 1))
            every = itertools.chain(found, () if self.first else spans)
            return (Example(text, *span) for span in every) if found else "term_not_found"
        if start is not None and start >= 0 and end == start + len(term) and text[start:end] == term:
            return [Example(text, start, end)]
        if self.repair:
            place = repair(text, term, start, end)
            return [Example(text, place.start, place.end)] if isinstance(place, Repair) else "bad_offsets"
        fit = fitting_place(text, term, start, end) if start is not None and end is not None else None
        return [Example(text, *fit)] if fit else "bad_offsets"


def columns_of(
    table: Table, task: Task, text: str, term: str | None, *, offsets: bool = True
) -> tuple[Table, Columns]:
    """Find the columns that a task needs.

    Args:
        table: The rows.
        task: What is asked.
        text: Name of the column with the text.
        term: Name of the column with the term, or with the second sentence; None takes ``term`` or
            ``keyword``.
        offsets: Whether columns called start and end may be offsets.

    Returns:
        The table, and which of its columns are asked about. Columns called start and end that are no
        offsets are ``input_start`` and ``input_end`` in it: the scored rows have offsets of their own.

    Raises:
        DataError: A column is missing; the message names those that are there.
    """
    chosen = {"text": text} | ({} if term is None or task.style == "single" else {"term": term})
    if not offsets:
        chosen |= dict.fromkeys(_OFFSETS, "")
    has_offsets = offsets and task.has_term and set(_OFFSETS) <= set(table.columns)
    needed = ("text",) if task.style == "single" or (has_offsets and term is None) else ("text", "term")
    found = Columns.of(table, chosen, needed, _SETTING)
    if has_offsets and "start" not in found.flat and not found.name("term"):
        Columns.of(table, chosen | dict.fromkeys(_OFFSETS, ""), ("text", "term"), _SETTING)
    wanted = ("text", "term") if task.style == "sentence_pair" else ("text", "term", *_OFFSETS)
    return kept_apart(table, found), found.only(("text",) if task.style == "single" else wanted)


def kept_apart(table: Table, columns: Columns) -> Table:
    """The table with its start and end as ``input_start`` and ``input_end`` where they are no offsets."""
    names = {
        name: f"input_{name}" for name in _OFFSETS if name in table.columns and name not in columns.taken
    }
    return set_aside(table, names) if names else table


def set_aside(table: Table, names: Mapping[str, str]) -> Table:
    """The table with columns renamed, old name to new; what has the new name already stays as it is."""

    def rows() -> Iterator[Row]:
        for row in table.rows():
            # A file that was scored before has the moved ones already.
            kept = (name for name in row.values if names.get(name) not in row.values)
            yield row._replace(values={names.get(name, name): row.values[name] for name in kept})

    schema = table.schema
    for old, new in names.items():
        if schema is not None and new not in table.columns:
            schema = schema.set(schema.get_field_index(old), schema.field(old).with_name(new))
        elif schema is not None:
            schema = schema.remove(schema.get_field_index(old))
    there = tuple(dict.fromkeys(names.get(name, name) for name in table.columns))
    return replace(table, columns=there, rows=rows, schema=schema)


def needed_columns(task: Task, text: str, term: str | None) -> list[set[str]]:
    """The columns by which a sheet of rows is told from another one: of each set at least one."""
    outer = {text, text.split(".", maxsplit=1)[0]}
    if task.style == "single":
        return [outer]
    terms = {"term", "keyword"} | ({"start"} if task.has_term else set())
    return [outer, terms if term is None else {term, term.split(".", maxsplit=1)[0]}]
