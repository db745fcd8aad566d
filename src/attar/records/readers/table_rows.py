"""The rows of a table of any kind, as they stand in it: JSONL, CSV, TSV, Excel and Parquet, streamed.

What the columns mean is the business of ``attar.records.readers.tables``.
"""

from __future__ import annotations

import csv
import itertools
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from attar.errors import DataError
from attar.io.files import arrow
from attar.recipe.load import SourceRecipe
from attar.records.outcomes import Rejection
from attar.records.readers.excel import sheet_rows
from attar.records.readers.lines import numbered_lines
from attar.records.readers.values import as_text

__all__ = ["Row", "Table", "open_table"]

_HEAD = 100

Row = tuple[str, Mapping[str, object] | Rejection]
_Cells = tuple[int, Sequence[object]]


class Table(NamedTuple):
    """A table.

    Attributes:
        columns: Names of its columns; of JSONL, those of the first rows.
        rows: (where, row or why there is none), streamed.
    """

    columns: list[str]
    rows: Iterator[Row]


def open_table(path: Path, form: str, source: SourceRecipe, sheet: str = "") -> Table:
    """Open a table; a row of another width, or a line that is no JSON object, is rejected.

    Args:
        path: A file.
        form: "jsonl", "csv", "tsv", "excel" or "parquet".
        source: Its ``names``, ``delimiter`` and ``quoted`` say how the file is written.
        sheet: Sheet of an Excel workbook, "" for the first.

    Raises:
        DataError: The file cannot be read, a quote is never closed, or a column name occurs twice;
            while the rows are read, too.
    """
    match form:
        case "jsonl":
            return _json_table(path)
        case "parquet":
            return _parquet_table(path)
        case "excel":
            return _with_header(path, sheet_rows(path, sheet), source.names, is_padded=True)
        case _:
            delimiter = source.delimiter or ("\t" if form == "tsv" else ",")
            if source.quoted and len(delimiter) == 1:
                cells = _quoted(path, delimiter)
            else:
                cells = _plain(path, delimiter)
            return _with_header(path, cells, source.names)


def _json_table(path: Path) -> Table:
    rows = _json_rows(path)
    head = list(itertools.islice(rows, _HEAD))
    found = dict.fromkeys(key for _, row in head if not isinstance(row, Rejection) for key in row)
    return Table(list(found), itertools.chain(head, rows))


def _json_rows(path: Path) -> Iterator[Row]:
    for number, line in numbered_lines(path):
        if not line.strip():
            continue
        where = f"{path}:{number}"
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            row = None
        if isinstance(row, dict):
            yield where, row
        else:
            message = "the line is not a JSON object; expected one row a line"
            yield where, Rejection("bad_row", message, where, [line.rstrip("\r\n")])


def _parquet_table(path: Path) -> Table:
    pyarrow = arrow()
    unreadable = (pyarrow.ArrowException, UnicodeDecodeError, OSError)
    message = f"{path}: not a Parquet file that can be read; write it again"

    def rows() -> Iterator[Row]:
        number = 0
        try:
            with pyarrow.parquet.ParquetFile(path) as table:
                for batch in table.iter_batches(batch_size=4096):
                    for row in batch.to_pylist():
                        number += 1
                        yield f"{path}:{number}", row
        except unreadable as error:
            raise DataError(message) from error

    try:
        return Table(list(pyarrow.parquet.read_schema(path).names), rows())
    except unreadable as error:
        raise DataError(message) from error


def _quoted(path: Path, delimiter: str) -> Iterator[_Cells]:
    reader = csv.reader((line for _, line in numbered_lines(path)), delimiter=delimiter, strict=True)
    first = 1
    try:
        for row in reader:
            yield first, row
            first = reader.line_num + 1
    except csv.Error as error:
        raise DataError(
            f"{path}:{reader.line_num}: {error}; write a quote inside a field twice, "
            "or set quoted = false where quotes are text"
        ) from error


def _plain(path: Path, delimiter: str) -> Iterator[_Cells]:
    for number, line in numbered_lines(path):
        whole = line.rstrip("\r\n")
        if whole:
            yield number, whole.split(delimiter)


def _with_header(
    path: Path, cells: Iterator[_Cells], names: Sequence[str], *, is_padded: bool = False
) -> Table:
    """A table of cells whose first row names the columns, unless ``names`` does.

    Args:
        path: For messages.
        cells: (line or row number, cells), the empty rows left out or empty.
        names: Names of the columns of a table that has no header.
        is_padded: Whether the empty cells at the end of a row have been left out.
    """
    number, header = (0, list(names)) if names else next((row for row in cells if row[1]), (1, []))
    columns = [as_text(name).strip() or f"column {place}" for place, name in enumerate(header, 1)]
    if len(set(columns)) != len(columns):
        what = "the source's names" if names else f"{path}:{number}: the header"
        raise DataError(f"{what}: a column name occurs twice; give each its own name")
    source = "the recipe names" if names else "the header has"
    return Table(columns, _rows(path, cells, columns, source, is_padded))


def _rows(
    path: Path, cells: Iterable[_Cells], columns: Sequence[str], source: str, is_padded: bool
) -> Iterator[Row]:
    width = len(columns)
    fill: Callable[[Sequence[object]], Sequence[object]] = (
        (lambda row: [*row, *[None] * (width - len(row))]) if is_padded else (lambda row: row)
    )
    for number, found in cells:
        row = fill(found)
        where = f"{path}:{number}"
        if len(row) == width:
            yield where, dict(zip(columns, row, strict=True))
        elif row:
            message = f"{len(row)} fields, {source} {width}; quote a field that holds the delimiter"
            yield where, Rejection("bad_row", message, where, list(row))
