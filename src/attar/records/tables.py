"""Tables: JSONL, CSV, TSV and Parquet, streamed, with the recipe's names for their columns.

``columns`` maps ours to theirs (``{"term": "aspect"}``; None for one that is not to be read).
Without it: text, term (or keyword), start, end, label. Every other column becomes metadata, as a
string.
"""

from __future__ import annotations

import csv
import difflib
import itertools
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from attar.errors import DataError
from attar.files import arrow
from attar.records.audit import Rejection
from attar.records.lines import numbered_lines
from attar.records.record import Record
from attar.records.values import as_label, as_meta, as_offset, as_text

__all__ = ["read_csv", "read_jsonl", "read_parquet"]

_OURS = ("text", "term", "start", "end", "label")
_NEEDED = ("text", "label")
_HEAD = 100

_Row = tuple[str, Mapping[str, object] | Rejection]


def read_jsonl(path: Path, columns: Mapping[str, str | None]) -> Iterator[Record | Rejection]:
    """Read one JSON object a line; a line that is none is rejected.

    Args:
        path: A UTF-8 file.
        columns: Our column names to those of the file.

    Yields:
        One Record or Rejection a line that is not blank.

    Raises:
        DataError: The file cannot be read, or a column is in none of its first rows.
    """
    rows = _json_rows(path)
    head = list(itertools.islice(rows, _HEAD))
    found = dict.fromkeys(key for _, row in head if not isinstance(row, Rejection) for key in row)
    if not found:
        yield from (row for _, row in head if isinstance(row, Rejection))
        return
    yield from _records(path, itertools.chain(head, rows), list(found), columns)


def read_csv(
    path: Path, columns: Mapping[str, str | None], *, delimiter: str = ","
) -> Iterator[Record | Rejection]:
    """Read a table with a header line; a row that is longer or shorter than it is rejected.

    Args:
        path: A UTF-8 file, quoted as spreadsheets do.
        columns: Our column names to those of the file.
        delimiter: A comma, or a tab for TSV.

    Yields:
        One Record or Rejection a row.

    Raises:
        DataError: The file cannot be read, a quote is never closed, or a column is missing.
    """
    reader = csv.reader((line for _, line in numbered_lines(path)), delimiter=delimiter, strict=True)
    try:
        header = next((row for row in reader if row), [])
        if len(set(header)) != len(header):
            raise DataError(f"{path}:1: a column name occurs twice in the header; give each its own name")
        yield from _records(path, _csv_rows(path, reader, header), header, columns)
    except csv.Error as error:
        raise DataError(f"{path}:{reader.line_num}: {error}; write a quote inside a field twice") from error


def read_parquet(path: Path, columns: Mapping[str, str | None]) -> Iterator[Record | Rejection]:
    """Read a Parquet table, a batch of rows at a time.

    Yields:
        One Record or Rejection a row.

    Raises:
        DataError: The file cannot be read, is not Parquet, or a column is missing.
    """
    pyarrow = arrow()
    try:
        with pyarrow.parquet.ParquetFile(path) as table:
            batches = table.iter_batches(batch_size=4096)
            rows = (row for batch in batches for row in batch.to_pylist())
            placed = ((f"{path}:{number}", row) for number, row in enumerate(rows, 1))
            yield from _records(path, placed, list(table.schema_arrow.names), columns)
    except (pyarrow.ArrowException, UnicodeDecodeError, OSError) as error:
        raise DataError(f"{path}: not a Parquet file that can be read; write it again") from error


def _json_rows(path: Path) -> Iterator[_Row]:
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


def _csv_rows(path: Path, reader: Iterator[list[str]], header: list[str]) -> Iterator[_Row]:
    first = reader.line_num + 1  # type: ignore[attr-defined]
    for row in reader:
        where, first = f"{path}:{first}", reader.line_num + 1  # type: ignore[attr-defined]
        if len(row) == len(header):
            yield where, dict(zip(header, row, strict=True))
        elif row:
            message = (
                f"{len(row)} fields, the header has {len(header)}; quote a field that holds the delimiter"
            )
            yield where, Rejection("bad_row", message, where, list(row))


def _records(
    path: Path, rows: Iterable[_Row], found: list[str], columns: Mapping[str, str | None]
) -> Iterator[Record | Rejection]:
    names = _resolve(path, found, columns)
    for where, row in rows:
        yield row if isinstance(row, Rejection) else _record(row, names, where)


def _resolve(path: Path, found: list[str], columns: Mapping[str, str | None]) -> dict[str, str]:
    """Our column names to those of the file, the ones that it has."""
    unknown = sorted(set(columns) - set(_OURS))
    if unknown:
        near = difflib.get_close_matches(unknown[0], _OURS, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise DataError(f"data.columns.{unknown[0]}: ours are {', '.join(_OURS)}{hint}")
    names: dict[str, str | None] = {name: name for name in _OURS}
    if "term" not in found and "keyword" in found:
        names["term"] = "keyword"
    names |= columns
    wanted = {ours: theirs for ours, theirs in names.items() if theirs is not None}
    for ours, theirs in wanted.items():
        if theirs not in found and (ours in _NEEDED or ours in columns):
            raise DataError(
                f"{path}: no column {theirs!r} for {ours}; there are {_shown(found)}; "
                f"name the right one in data.columns.{ours}"
            )
    return {ours: theirs for ours, theirs in wanted.items() if theirs in found}


def _shown(names: list[str]) -> str:
    # Without a header line the names are a review, and review text belongs in no message.
    short = [repr(name) for name in names if len(name) <= 20]
    long = [f"{len(names) - len(short)} with long names (is there a header line?)"]
    return ", ".join(short + (long if len(short) < len(names) else [])) or "none"


def _record(row: Mapping[str, object], names: Mapping[str, str], where: str) -> Record | Rejection:
    ours = {name: row.get(theirs) for name, theirs in names.items()}
    taken = set(names.values())
    meta = as_meta({key: value for key, value in row.items() if key not in taken})
    text, term, label = as_text(ours["text"]), as_text(ours.get("term")), as_label(ours.get("label"))
    try:
        start, end = as_offset(ours.get("start")), as_offset(ours.get("end"))
    except ValueError as error:
        raw = [text, term, ours.get("start"), ours.get("end"), label]
        return Rejection("bad_offsets", str(error), where, raw)
    return Record(text, term, start, end, label, meta, where)
