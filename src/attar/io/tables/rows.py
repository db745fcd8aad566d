"""Rows, tables and their cells, whatever format they were read from."""

from __future__ import annotations

import itertools
import json
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal, NamedTuple

from attar.errors import DataError

__all__ = [
    "CellError",
    "Cells",
    "Problem",
    "Row",
    "Table",
    "TableFormat",
    "as_label",
    "as_meta",
    "as_offset",
    "as_string",
    "as_text",
    "table_with_header",
]

_WHOLE = re.compile(r"\s*([+-]?\d+)\.0*\s*")

TableFormat = Literal["jsonl", "csv", "tsv", "excel", "parquet"]
Cells = tuple[int, Sequence[object]]  # line or row number from 1, and what is in it


class CellError(str):
    """What a formula that failed leaves in its cell (``#N/A``): passed through, but nobody's review."""

    __slots__ = ()


class Problem(NamedTuple):
    """Why a row cannot be used.

    Attributes:
        reason: A stable code, the same for every verb.
        message: What was expected and what to do, without any review text.
        cells: The row as it came.
    """

    reason: str
    message: str
    cells: list[object]


class Row(NamedTuple):
    """One row as it was read.

    Attributes:
        source: The file or collection.
        line: Its line, from 1; in Parquet, Excel, MongoDB and a JSON list its row.
        values: By column; empty where the row cannot be read.
        problem: Why it cannot be read, or None.
    """

    source: str
    line: int
    values: Mapping[str, Any]
    problem: Problem | None = None

    @property
    def where(self) -> str:
        """``file:line``."""
        return f"{self.source}:{self.line}"


@dataclass(frozen=True, slots=True)
class Table:
    """A table that can be read from its start as often as needed.

    Attributes:
        name: What it is called in messages.
        format: How it is written.
        columns: Names of its columns, in order; of JSONL and MongoDB, whose rows have columns of
            their own, those of the first rows.
        rows: Streams the rows; raises DataError where the file stops being what it was.
        count: Counts the rows: exactly in Parquet and MongoDB, about in files of lines; None where
            only reading would tell.
        schema: Arrow schema of a Parquet file, else None.
        sheet: Of a workbook, its sheet.
        sheets_left_out: Of a workbook, the sheets that are not read.
        encoding: Of a file of text that is not UTF-8, else "".
        delimiter: Of CSV or TSV, where its header says that it is another than the format's, else "".
    """

    name: str
    format: TableFormat | Literal["mongodb"]
    columns: tuple[str, ...]
    rows: Callable[[], Iterator[Row]]
    count: Callable[[], int | None]
    schema: Any = None
    sheet: str = ""
    sheets_left_out: tuple[str, ...] = ()
    encoding: str = ""
    delimiter: str = ""

    @property
    def path(self) -> str:
        """The file, where it is one: its name without the sheet."""
        return self.name.removesuffix(f"#{self.sheet}") if self.sheet else self.name

    @property
    def has_fixed_columns(self) -> bool:
        """Whether no row has a column beyond ``columns``."""
        return self.format not in ("jsonl", "mongodb")


def table_with_header(
    path: Path,
    file_format: TableFormat,
    read: Callable[[], Iterator[Cells]],
    names: Sequence[str],
    count: Callable[[], int | None],
    *,
    source: str = "",
) -> Table:
    """A table whose first row that is not empty names the columns, unless ``names`` does.

    Names are stripped; a column without one is called by its place.

    Args:
        path: The file.
        file_format: Of the file. In Excel the empty cells at a row's end are left out.
        read: Streams (line or row number, cells) from the start.
        names: Names of the columns of a table without a header.
        count: Counts the rows, roughly; see ``Table``.
        source: What rows call their source; "" for the path.

    Raises:
        DataError: A column name occurs twice.
    """
    called = source or str(path)
    cells = read()
    number, header = (0, names) if names else next((row for row in cells if row[1]), (1, ()))
    columns = [as_text(name).strip() or f"column {place}" for place, name in enumerate(header, 1)]
    if len(set(columns)) != len(columns):
        what = "the source's names" if names else f"{called}:{number}: the header"
        raise DataError(f"{what}: a column name occurs twice; give each its own name")
    said = f"{'the recipe names' if names else 'the header has'} {len(columns)}"
    started = [cells]

    def rows() -> Iterator[Row]:
        # The first to read continues after the header: opening a workbook takes its time.
        rest = started.pop() if started else itertools.dropwhile(lambda row: row[0] <= number, read())
        return _rows(called, rest, columns, said, is_padded=file_format == "excel")

    return Table(called, file_format, tuple(columns), rows, count)


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


def as_text(value: object) -> str:
    """A cell as text; nothing at all is "", a date is ISO 8601, what has parts is JSON."""
    if isinstance(value, str):
        return value
    if value is None or value != value:  # noqa: PLR0124 - NaN is how some tables say nothing
        return ""
    match value:
        case float() if value.is_integer():
            # Nullable integer columns often arrive as floats.
            text = str(int(value))
        case bool() | int() | float() | list() | tuple() | dict():
            text = json.dumps(value, ensure_ascii=False, default=as_text)
        case datetime(hour=0, minute=0, second=0, microsecond=0):
            # Spreadsheets have no other way to write a day.
            text = value.date().isoformat()
        case datetime() | date() | time():
            text = value.isoformat()
        case _:
            text = str(value)
    return text


def as_string(value: object) -> str:
    """A review or a term as text; numbers and dates are written out.

    Raises:
        ValueError: Something that has parts, bytes, or an error of a formula.
    """
    if isinstance(value, CellError):
        raise ValueError("an error of a formula, not a string")
    if isinstance(value, str):
        return value
    if isinstance(value, dict) and "0" in value:
        raise ValueError("a dict of all rows (pandas: to_json(orient='records') writes rows), not a string")
    if isinstance(value, list | tuple | dict | bytes):
        raise ValueError(f"a {type(value).__name__}, not a string")
    return as_text(value)


def as_label(value: object) -> str | None:
    """A label's spelling, or None where there is none."""
    return as_text(value) or None


def as_meta(values: Mapping[str, object]) -> dict[str, str]:
    """Metadata as strings, without the empty ones."""
    return {str(key): text for key, value in values.items() if (text := as_text(value))}


def as_offset(value: object) -> int | None:
    """A code-point offset, or None where there is none; ``3.0`` is 3, as a number and as text.

    Raises:
        ValueError: Something that is no whole number.
    """
    # Most are numbers, or their digits; the others take their time.
    if isinstance(value, int) and value is not True and value is not False:
        return value
    if value is None or value != value:  # noqa: PLR0124 - NaN is how some tables say nothing
        return None
    if isinstance(value, str):
        try:
            return int(value)
        except ValueError:
            if not value.strip():
                return None
            if found := _WHOLE.fullmatch(value):
                return int(found[1])
    elif isinstance(value, float | Decimal) and math.isfinite(value) and value == int(value):
        return int(value)
    raise ValueError("start and end must be whole numbers (Unicode code points), or both be left out")
