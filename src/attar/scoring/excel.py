"""Scored rows as a workbook for analysts: summary, result and, with gold labels, wrong and correct."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from attar.errors import DataError
from attar.io.tables.columns import missing_column
from attar.io.tables.rows import Table, as_label
from attar.language.translator import Translator
from attar.scoring.scored import Scored, table_row
from attar.task import Task
from attar.workbook.sheets import MAX_ROWS, Cell, Column, Kind, Marked, open_workbook
from attar.workbook.tally import GROUPS, ResultSheets, write_tally

__all__ = ["check_size", "gold_column", "write_excel"]

_GOLD_COLUMNS = ("input_label", "label")
_NUMBERS = ("start", "end")


def check_size(tables: Sequence[Table]) -> None:
    """Refuse what is known to be too long for one sheet before anything is computed.

    Raises:
        DataError: More rows than Excel takes.
    """
    num_rows = sum(table.count() or 0 for table in tables if table.format in ("parquet", "mongodb"))
    if num_rows > MAX_ROWS:
        raise DataError(
            f"{tables[0].name} has {num_rows:,} rows, a sheet of Excel takes {MAX_ROWS:,}: "
            "write .parquet or .csv, or score a part of it"
        )


def gold_column(tables: Sequence[Table], named: str | None) -> str:
    """The column that may hold gold labels, or "": an earlier model's labels are none.

    Raises:
        DataError: The named one is not there.
    """
    if named is not None:
        for table in tables:
            if named not in table.columns:
                raise missing_column(table, "label", named, "--{}")
        return named
    there = {name for table in tables for name in table.columns}
    if "prob" in there:  # beside it, label is what an earlier model said
        there.discard("label")
    return next((name for name in _GOLD_COLUMNS if name in there), "")


def write_excel(  # noqa: PLR0913 - one call is the whole workbook
    draft: Path,
    chunks: Iterable[Sequence[Scored]],
    types: Mapping[str, object],
    *,
    text: str,
    task: Task,
    gold: str,
    tr: Translator,
    facts: Callable[[], Mapping[str, Cell]],
) -> None:
    """Write the workbook.

    Args:
        draft: Where to; half a file is left if this fails.
        chunks: The rows.
        types: Columns in order; others of the rows are left out.
        text: Name of the column with the text.
        task: Its labels, and their other spellings in the gold column.
        gold: Column with gold labels, "" for none; a value that is no label counts as none.
        tr: Of the language of titles and headings; columns keep their names, by which programs know them.
        facts: Asked at the end for what the summary says first.

    Raises:
        MissingPackageError: Openpyxl is not installed.
    """
    columns = [Column(name, _kind(name, text)) for name in types]
    with open_workbook(draft, is_draft=True) as book:
        page = book.sheet(tr("summary"))
        sheets = ResultSheets(book, columns, task.labels, tr)
        for scored in (scored for chunk in chunks for scored in chunk):
            values = scored.row.values
            groups = {name: str(values[name]) for name in GROUPS if values.get(name) not in (None, "")}
            said = as_label(values.get(gold))
            right = None if said is None else task.label_of(said)
            row, example = table_row(scored), scored.example
            if example.end > example.start and isinstance(row.get(text), str):
                row[text] = Marked(example.text, example.start, example.end)
            cells = [row.get(name) for name in types]
            sheets.add(cells, scored.label, right, prob=scored.prob, groups=groups)
        page.heading("attar score")
        for name, value in facts().items():
            page.append([name, value])
        write_tally(page, sheets.tally, tr=tr)


def _kind(name: str, text: str) -> Kind:
    if name == text:
        return "text"
    if name == "prob" or name.startswith("prob_"):
        return "share"
    return "number" if name in _NUMBERS else "word"
