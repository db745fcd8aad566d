"""Tables as records: JSONL, CSV, TSV, Excel and Parquet.

``columns`` maps our column names to theirs (``{"term": "aspect"}``); see ``attar.io.tables.columns``.
Every column that is not ours becomes metadata, as a string. A second table may be joined: labels
here, their reviews there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from attar.errors import DataError
from attar.io.tables.columns import Columns, check_names, pair_of, shown_columns
from attar.io.tables.rows import Problem, Row, Table, TableFormat, as_label, as_text
from attar.io.tables.table_files import TableOptions, open_file, open_one_of
from attar.io.tables.term_cells import cell_parts
from attar.recipe.load import SourceRecipe
from attar.records.readers.span_cells import label_column, span_records
from attar.records.record import Record, Rejection, reject_row
from attar.records.understood import FileFacts

__all__ = ["Joined", "read_table"]

_NEEDED = ("text", "label")
_SETTING = "data.columns.{}"
_OR_OPTION = "data.columns.{0} (--column {0}=NAME), or let attar init find them all"

Joined = tuple[Path, TableFormat]


def read_table(
    path: Path,
    file_format: TableFormat,
    source: SourceRecipe,
    joined: Joined | None = None,
    sheet: str = "",
    facts: FileFacts | None = None,
) -> Iterator[Record | Rejection]:
    """Read a table.

    Args:
        path: A file.
        file_format: Of the file.
        source: ``columns``, ``empty`` and ``join`` say what the cells mean; a column that
            ``constants`` fills need not be there.
        joined: File and format of the table that ``source.join`` names.
        sheet: Sheet of an Excel workbook, "" for the first visible one that has the columns, ``*`` for
            all.
        facts: Is told which columns are which, and what was decided when the file was opened.

    Yields:
        One Record or Rejection a row, or one for each span that its label lists.

    Raises:
        DataError: A file cannot be read, a column is missing, or a key occurs twice in the joined
            table.
    """
    check_names(source.columns, _SETTING)
    options = TableOptions(
        sheet, source.names, source.delimiter, source.quoted, _told_by(source), source.encoding
    )
    tables = open_file(path, file_format, options)
    if joined is not None:
        # The names are those of the table without a header; a joined one has to name its key itself.
        needed = [{source.join.on}] if source.join else ()
        on_key = replace(options, sheet="", names=(), needed=needed, encoding=None)
        others = open_one_of(*joined, on_key, source.encoding)
        tables, rejections = _join(tables, others[0], source)
        yield from rejections
    for table in tables:
        if not table.columns:
            yield from (reject_row(row, row.problem or _no_columns(row)) for row in table.rows())
            continue
        records = _row_reader(table, source, facts)
        for row in table.rows():
            if row.problem:
                yield reject_row(row)
                continue
            for found in records(row):
                # Nearly every label is a word, which is quicker to see.
                if isinstance(found, Record) and found.label and found.label.lstrip()[:1] in ("[", "{"):
                    yield from span_records(found)
                else:
                    yield found


def _no_columns(row: Row) -> Problem:
    return Problem("bad_row", "no columns; expected text and label", list(row.values.values()))


def _told_by(source: SourceRecipe) -> list[set[str]]:
    """The columns by which a sheet of rows is told from another one."""
    if source.join is not None:
        return [{source.join.on}]
    needed = [name for name in (*_NEEDED, *source.columns) if name not in source.constants]
    names = [source.columns.get(name, name) for name in needed]
    return [{name, name.split(".", maxsplit=1)[0]} for name in names]


def _join(tables: Sequence[Table], other: Table, source: SourceRecipe) -> tuple[list[Table], list[Rejection]]:
    """The tables with the columns of another one, which is held in memory; what is unreadable in that."""
    assert source.join is not None
    key, name = source.join.on, Path(source.join.path).name
    by_key, rejections = _by_key(other, key)

    def rows(table: Table) -> Iterator[Row]:
        for row in table.rows():
            more = None if row.problem else by_key.get(as_text(row.values.get(key)))
            if row.problem:
                yield row
            elif more is None:
                message = f"no row with this {key} in {name}, which is joined"
                yield row._replace(problem=Problem("bad_row", message, list(row.values.values())))
            else:
                yield row._replace(values={**more, **row.values})

    wide = []
    for table in tables:
        _check_key(table, key)
        columns = tuple(dict.fromkeys([*table.columns, *other.columns]))
        wide.append(replace(table, columns=columns, rows=partial(rows, table)))
    return wide, rejections


def _by_key(table: Table, key: str) -> tuple[dict[str, Mapping[str, object]], list[Rejection]]:
    """The rows of a table by their key, and those that have none because they cannot be read."""
    _check_key(table, key)
    rows: dict[str, Mapping[str, object]] = {}
    rejections = []
    for row in table.rows():
        if row.problem:
            rejections.append(reject_row(row))
            continue
        value = as_text(row.values.get(key))
        if value in rows:
            raise DataError(
                f"{row.where}: the {key} of this row occurs before; "
                "a joined table has each key once, so join the other way round or remove a row"
            )
        rows[value] = row.values
    return rows, rejections


def _check_key(table: Table, key: str) -> None:
    if key not in table.columns:
        there = shown_columns(table.columns)
        raise DataError(f"{table.name}: no column {key!r} to join on; there are {there}; see join.on")


def _row_reader(
    table: Table, source: SourceRecipe, facts: FileFacts | None
) -> Callable[[Row], list[Record | Rejection]]:
    """How a row of a table becomes Records; DataError where a column is missing."""
    needed = [name for name in (*_NEEDED, *source.columns) if name not in source.constants]
    chosen = source.columns if "label" in source.constants else label_column(table.columns, source.columns)
    columns = Columns.of(table, chosen, needed, _OR_OPTION)
    if facts is not None:
        facts.of_table(table, columns)
    cells_of = columns.cells_of
    empty, taken = frozenset(source.empty), columns.taken
    others = [name for name in table.columns if name not in taken]
    has_own_columns = not table.has_fixed_columns or source.join is not None

    def without_empty(value: object) -> object:
        return None if isinstance(value, str) and value.strip() in empty else value

    def records(row: Row) -> list[Record | Rejection]:
        values, cells = row.values, cells_of(row.values)
        names = [name for name in values if name not in taken] if has_own_columns else others
        if empty:
            values = {name: without_empty(value) for name, value in values.items()}
            cells = list(map(without_empty, cells))
        meta = {str(name): said for name in names if (said := as_text(values[name]))} if names else {}
        if channel := as_text(cells[5]):
            meta["channel"] = channel
        if wordtype := as_text(cells[6]):
            meta["wordtype"] = wordtype
        if not source.explode:
            return [_record(row, cells, meta)]
        asked = _exploded(cells, source.explode)
        if isinstance(asked, Problem):
            return [reject_row(row, asked)]
        return [_record(row, each, meta) for each in asked]

    return records


def _record(row: Row, cells: Sequence[object], meta: dict[str, str]) -> Record | Rejection:
    """The record of a row's cells, in the order of ``OURS``."""
    pair, label = pair_of(cells[0], cells[1], cells[2], cells[3]), as_label(cells[4])
    if isinstance(pair, Problem):
        return reject_row(row, pair._replace(cells=[*pair.cells, label]))
    text, term, start, end = pair
    return Record(text, term, start, end, label, meta, row.where, as_text(cells[7]))


def _exploded(cells: Sequence[object], separator: str) -> list[Sequence[object]] | Problem:
    """Our cells for each of several terms, with the label of all or its own; or why they do not fit."""
    text, term, start, end, label, *others = cells
    asked = [text, term, start, end, label]
    try:
        terms, labels = (cell_parts(cell, separator) for cell in (term, label))
    except ValueError as error:
        return Problem("bad_row", f"a term or label of the cell is {error}; write strings", asked)
    if len(terms) < 2:
        return [[text, terms[0], start, end, label, *others] if terms else cells]
    if len(labels) not in (0, 1, len(terms)):
        message = f"{len(terms)} terms and {len(labels)} labels; give one label for all, or one for each"
        return Problem("bad_row", message, asked)
    each = labels if len(labels) > 1 else [label if not labels else labels[0]] * len(terms)
    return [[text, one, None, None, own, *others] for one, own in zip(terms, each, strict=True)]
