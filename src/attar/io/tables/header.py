"""Cells below a header as rows: what delimited tables and Excel sheets have in common."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from attar.errors import DataError
from attar.io.tables.rows import Problem, Row, Table, TableFormat
from attar.io.tables.values import as_text

__all__ = ["Cells", "table_with_header"]

Cells = tuple[int, Sequence[object]]


def table_with_header(
    path: Path,
    file_format: TableFormat,
    read: Callable[[], Iterator[Cells]],
    names: Sequence[str],
    count: Callable[[], int | None],
) -> Table:
    """A table whose first row that is not empty names the columns, unless ``names`` does.

    Names are stripped; a column without one is called by its place.

    Args:
        path: The file.
        file_format: Of the file. In Excel the empty cells at a row's end are left out.
        read: Streams (line or row number, cells) from the start.
        names: Names of the columns of a table without a header.
        count: Counts the rows, roughly; see ``Table``.

    Raises:
        DataError: A column name occurs twice.
    """
    cells = read()
    number, header = (0, names) if names else next((row for row in cells if row[1]), (1, ()))
    columns = [as_text(name).strip() or f"column {place}" for place, name in enumerate(header, 1)]
    if len(set(columns)) != len(columns):
        what = "the source's names" if names else f"{path}:{number}: the header"
        raise DataError(f"{what}: a column name occurs twice; give each its own name")
    said = f"{'the recipe names' if names else 'the header has'} {len(columns)}"
    started = [cells]

    def rows() -> Iterator[Row]:
        # The first to read continues after the header: opening a workbook takes its time.
        rest = started.pop() if started else itertools.dropwhile(lambda row: row[0] <= number, read())
        return _rows(str(path), rest, columns, said, is_padded=file_format == "excel")

    return Table(str(path), file_format, tuple(columns), rows, count)


def _rows(
    source: str, cells: Iterable[Cells], columns: Sequence[str], said: str, *, is_padded: bool
) -> Iterator[Row]:
    width = len(columns)
    for number, row in cells:
        if len(row) == width:
            yield Row(source, number, dict(zip(columns, row, strict=True)))
        elif is_padded and len(row) < width:
            yield Row(source, number, dict(itertools.zip_longest(columns, row)))
        elif row:
            message = f"{len(row)} fields, {said}; quote a field that holds the delimiter"
            yield Row(source, number, {}, Problem("bad_row", message, list(row)))
