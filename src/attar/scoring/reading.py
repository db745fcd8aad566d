"""Rows to score, streamed from JSONL, CSV, TSV or Parquet.

First step of ``attar score``: every row comes with its line number, and one that cannot be read
comes with the reason. Memory does not grow with the file.
"""

from __future__ import annotations

import csv
import itertools
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

from attar.errors import DataError
from attar.files import arrow

__all__ = ["Form", "Row", "RowSource", "form_of", "open_rows"]

Form = Literal["jsonl", "csv", "tsv", "parquet"]
Values = dict[str, Any]

_FORMS: dict[str, Form] = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".csv": "csv",
    ".tsv": "tsv",
    ".parquet": "parquet",
}
_HEAD = 100
_ROW_GROUP = 2048


class Row(NamedTuple):
    """One row as it was read.

    Attributes:
        line: Its line, from 1; in Parquet its row.
        values: By column; empty where the row cannot be read.
        problem: A reason code, or "".
    """

    line: int
    values: Values
    problem: str = ""


@dataclass(frozen=True, slots=True)
class RowSource:
    """A file of rows.

    Attributes:
        path: Where it is.
        form: How it is written.
        columns: In its order; for JSONL those of its first rows.
        schema: Of a Parquet file.
    """

    path: Path
    form: Form
    columns: tuple[str, ...]
    schema: Any = None

    def rows(self) -> Iterator[Row]:
        """Read from the start.

        Raises:
            DataError: The file stops being what its first rows were.
        """
        match self.form:
            case "jsonl":
                return _jsonl_rows(self.path)
            case "csv":
                return itertools.islice(_csv_rows(self.path, ","), 1, None)
            case "tsv":
                return itertools.islice(_csv_rows(self.path, "\t"), 1, None)
            case "parquet":
                return _parquet_rows(self.path)

    def count(self) -> int:
        """About how many rows there are: lines, where a quoted cell may hold several."""
        if self.form == "parquet":
            return int(arrow().parquet.ParquetFile(self.path).metadata.num_rows)
        with self.path.open("rb") as stream:
            lines = sum(block.count(b"\n") for block in iter(lambda: stream.read(1 << 20), b""))
        return lines if self.form == "jsonl" else max(lines - 1, 1)


def form_of(path: Path) -> Form:
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
    form = form_of(path)
    try:
        if path.stat().st_size == 0:
            raise DataError(f"{path} is empty; expected rows with a text column")
        if form == "parquet":
            return _parquet_source(path)
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); check the path") from error
    head = _jsonl_rows(path) if form == "jsonl" else _csv_rows(path, "," if form == "csv" else "\t")
    rows = itertools.islice(head, _HEAD if form == "jsonl" else 1)
    return RowSource(path, form, tuple(dict.fromkeys(name for row in rows for name in row.values)))


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
                if len(set(header)) != len(header):
                    raise DataError(
                        f"{path}:{line}: a column name stands twice in the header: {', '.join(header)}"
                    )
                yield Row(line, dict(zip(header, header, strict=True)))
            elif cells:
                whole = len(cells) == len(header)
                yield (
                    Row(line, dict(zip(header, cells, strict=True))) if whole else Row(line, {}, "bad_row")
                )
            line = reader.line_num + 1


def _parquet_source(path: Path) -> RowSource:
    pa = arrow()
    try:
        schema = pa.parquet.read_schema(path)
    except pa.ArrowException as error:
        raise DataError(f"{path} is not a whole Parquet file: {str(error).splitlines()[0]}") from error
    return RowSource(path, "parquet", tuple(schema.names), schema)


def _parquet_rows(path: Path) -> Iterator[Row]:
    line = 0
    with arrow().parquet.ParquetFile(path) as table:
        for group in table.iter_batches(_ROW_GROUP):
            for values in group.to_pylist():
                line += 1
                yield Row(line, values)
