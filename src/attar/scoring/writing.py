"""Scored rows, streamed to JSONL, CSV, TSV or Parquet.

Last step of ``attar score``. A table needs its columns, and Parquet their types, before its first
row: they are those of the source, which for JSONL means reading it once beforehand.
"""

from __future__ import annotations

import contextlib
import csv
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from attar.scoring.reading import RowSource, form_of

__all__ = ["column_types", "row_writer"]

Values = Mapping[str, Any]


def column_types(source: RowSource) -> dict[str, pa.DataType]:
    """Type of every column of a source; a column of several kinds of values is written as text."""
    if source.schema is not None:
        return {field.name: field.type for field in source.schema}
    if source.form != "jsonl":
        return dict.fromkeys(source.columns, pa.string())
    kinds: dict[str, set[type]] = {}
    for row in source.rows():
        for name, value in row.values.items():
            kinds.setdefault(name, set()).add(type(value))
    return {name: _type_of(found - {type(None)}) for name, found in kinds.items()}


@contextlib.contextmanager
def row_writer(
    path: Path, form_path: Path, types: Mapping[str, pa.DataType]
) -> Iterator[Callable[[Sequence[Values]], None]]:
    """Open a file for rows.

    Args:
        path: Where to write.
        form_path: Its extension decides the form.
        types: Columns in order, with their types. JSONL needs none.

    Yields:
        ``write(rows)``.
    """
    form = form_of(form_path)
    if form == "parquet":
        schema = pa.schema(list(types.items()))
        with pq.ParquetWriter(path, schema) as writer:
            yield lambda rows: writer.write_table(_table(rows, schema))
        return
    with path.open("w", encoding="utf-8", newline="") as stream:
        if form == "jsonl":
            yield lambda rows: stream.writelines(_json(row) + "\n" for row in rows)
            return
        table = csv.writer(stream, delimiter="," if form == "csv" else "\t", lineterminator="\n")
        table.writerow(types)
        yield lambda rows: table.writerows([_cell(row.get(name)) for name in types] for row in rows)


def _table(rows: Sequence[Values], schema: pa.Schema) -> pa.Table:
    columns = []
    for field in schema:
        values = [row.get(field.name) for row in rows]
        if pa.types.is_string(field.type):
            values = [None if value is None else _cell(value) for value in values]
        columns.append(pa.array(values, field.type))
    return pa.Table.from_arrays(columns, schema=schema)


def _type_of(kinds: set[type]) -> pa.DataType:
    if kinds == {bool}:
        return pa.bool_()
    if kinds == {int}:
        return pa.int64()
    if kinds and kinds <= {int, float}:
        return pa.float64()
    return pa.string()


def _cell(value: object) -> object:
    if value is None or isinstance(value, str | int | float):
        return value if isinstance(value, str) or value is None else str(value)
    return _json(value)


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)
