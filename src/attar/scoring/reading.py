"""Rows to score, streamed from JSONL, CSV, TSV, Parquet or Excel.

First step of ``attar score``: every row comes with its line number, and one that cannot be read
comes with the reason. Memory does not grow with the file. ``attar.scoring.mongodb`` gives the
documents of a collection in the same way.
"""

from __future__ import annotations

import csv
import itertools
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal, NamedTuple

from attar.errors import DataError
from attar.io.files import arrow

__all__ = ["Form", "Row", "RowSource", "column_names", "detect_format", "open_rows", "value_at"]

Form = Literal["jsonl", "csv", "tsv", "parquet", "excel", "mongodb"]
Values = dict[str, Any]

_FORMS: dict[str, Form] = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".csv": "csv",
    ".tsv": "tsv",
    ".parquet": "parquet",
    ".xlsx": "excel",
}
_HEAD = 100
_ROW_GROUP = 2048


class Row(NamedTuple):
    """One row as it was read.

    Attributes:
        line: Its line, from 1; in Parquet, Excel and MongoDB its row.
        values: By column; empty where the row cannot be read.
        problem: A reason code, or "".
    """

    line: int
    values: Values
    problem: str = ""


@dataclass(frozen=True, slots=True)
class RowSource:
    """A source of rows.

    Attributes:
        name: What it is called in messages.
        form: How it is written.
        columns: In its order, nested ones by their dotted names; where rows have columns of their
            own (JSONL, MongoDB) those of the first rows.
        rows: Reads it from the start; raises DataError where it stops being what it was.
        count: About how many rows there are.
        schema: Of a Parquet file.
    """

    name: str
    form: Form
    columns: tuple[str, ...]
    rows: Callable[[], Iterator[Row]]
    count: Callable[[], int]
    schema: Any = None


def detect_format(path: Path) -> Form:
    """The form that a file's extension names.

    Raises:
        DataError: None that we know.
    """
    form = _FORMS.get(path.suffix.lower())
    if form is None:
        raise DataError(f"{path}: cannot tell its form by {path.suffix!r}; expected {', '.join(_FORMS)}")
    return form


def open_rows(path: Path) -> RowSource:
    """Open a file of rows and learn its columns.

    Raises:
        DataError: It cannot be read, is empty, or not what its extension says.
    """
    form = detect_format(path)
    try:
        if path.stat().st_size == 0:
            raise DataError(f"{path} is empty; expected rows with a text column")
        match form:
            case "parquet":
                return _parquet_source(path)
            case "excel":
                return _excel_source(path)
            case "jsonl":
                head = itertools.islice(_jsonl_rows(path), _HEAD)
                count = partial(_lines, path)
                return RowSource(str(path), form, column_names(head), partial(_jsonl_rows, path), count)
            case _:
                read = partial(_csv_rows, path, "," if form == "csv" else "\t")
                header = next((tuple(row.values) for row in read()), ())
                count = partial(_lines, path, 1)
                return RowSource(str(path), form, header, lambda: itertools.islice(read(), 1, None), count)
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); check the path") from error


def column_names(rows: Iterable[Row]) -> tuple[str, ...]:
    """Names of the columns of some rows, those of nested tables with dots."""
    return tuple(dict.fromkeys(name for row in rows for name in _names(row.values, "")))


def value_at(values: Mapping[str, Any], name: str) -> object:
    """The value of a column, or None; ``a.b`` is ``b`` within ``a`` unless there is a column of that name."""
    if name in values or "." not in name:
        return values.get(name)
    first, _, rest = name.partition(".")
    inner = values.get(first)
    return value_at(inner, rest) if isinstance(inner, Mapping) else None


def _names(values: Mapping[str, Any], prefix: str) -> Iterator[str]:
    for name, value in values.items():
        yield f"{prefix}{name}"
        if isinstance(value, Mapping):
            yield from _names(value, f"{prefix}{name}.")


def _lines(path: Path, header: int = 0) -> int:
    """Lines, where a quoted cell may hold several."""
    with path.open("rb") as stream:
        lines = sum(block.count(b"\n") for block in iter(lambda: stream.read(1 << 20), b""))
    return max(lines - header, 1)


def _jsonl_rows(path: Path) -> Iterator[Row]:
    with path.open("rb") as stream:
        for line, raw in enumerate(stream, 1):
            if not raw.strip():
                continue
            try:
                values = json.loads(raw.decode("utf-8-sig" if line == 1 else "utf-8"))
            except UnicodeDecodeError:
                yield Row(line, {}, "not_utf8")
            except (ValueError, RecursionError):
                yield Row(line, {}, "bad_row")
            else:
                yield Row(line, values) if isinstance(values, dict) else Row(line, {}, "bad_row")


def _csv_rows(path: Path, delimiter: str) -> Iterator[Row]:
    """The header as a row whose values are its names, then the rows."""
    with path.open(encoding="utf-8-sig", newline="") as stream:
        reader = csv.reader(stream, delimiter=delimiter)
        header: list[str] = []
        line = 1
        while True:
            try:
                cells = next(reader, None)
            except (csv.Error, UnicodeDecodeError) as error:
                what = "not UTF-8" if isinstance(error, UnicodeDecodeError) else str(error)
                raise DataError(f"{path}: near line {line}: {what}; save the file as UTF-8 CSV") from error
            if cells is None:
                return
            if cells and not header:
                header = cells
                _check_header(f"{path}:{line}", header)
                yield Row(line, dict(zip(header, header, strict=True)))
            elif cells:
                whole = len(cells) == len(header)
                yield (
                    Row(line, dict(zip(header, cells, strict=True))) if whole else Row(line, {}, "bad_row")
                )
            line = reader.line_num + 1


def _check_header(where: str, header: list[str]) -> None:
    if len(set(header)) != len(header):
        raise DataError(f"{where}: a column name stands twice in the header: {', '.join(header)}")


def _excel_source(path: Path) -> RowSource:
    header = next((tuple(row.values) for row in _excel_rows(path)), ())

    def rows() -> Iterator[Row]:
        return itertools.islice(_excel_rows(path), 1, None)

    return RowSource(str(path), "excel", header, rows, lambda: sum(1 for _ in rows()))


def _excel_rows(path: Path) -> Iterator[Row]:
    """The header as a row whose values are its names, then the rows; columns without a name are left out."""
    from attar.workbook.reading import read_excel

    rows = read_excel(path)
    line, cells = next(rows, (1, []))
    places = [(place, str(name)) for place, name in enumerate(cells) if name is not None]
    header = [name for _, name in places]
    _check_header(f"{path}:{line}", header)
    yield Row(line, dict(zip(header, header, strict=True)))
    for line, cells in rows:
        values = {name: cells[place] if place < len(cells) else None for place, name in places}
        yield (
            Row(line, values)
            if any(value is not None for value in values.values())
            else Row(line, {}, "bad_row")
        )


def _parquet_source(path: Path) -> RowSource:
    pa = arrow()
    try:
        schema = pa.parquet.read_schema(path)
    except pa.ArrowException as error:
        raise DataError(f"{path} is not a whole Parquet file: {str(error).splitlines()[0]}") from error

    def count() -> int:
        return int(arrow().parquet.ParquetFile(path).metadata.num_rows)

    return RowSource(str(path), "parquet", tuple(schema.names), partial(_parquet_rows, path), count, schema)


def _parquet_rows(path: Path) -> Iterator[Row]:
    line = 0
    with arrow().parquet.ParquetFile(path) as table:
        for group in table.iter_batches(_ROW_GROUP):
            for values in group.to_pylist():
                line += 1
                yield Row(line, values)
