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

from attar.files import arrow
from attar.scoring.reading import RowSource, form_of

__all__ = ["column_types", "row_writer"]

Values = Mapping[str, Any]


def column_types(source: RowSource) -> dict[str, Any]:
    """Arrow type, or its name, of every column of a source.

    A column of several kinds of values is written as text.
    """
    if source.schema is not None:
        return {field.name: field.type for field in source.schema}
    if source.form != "jsonl":
        return dict.fromkeys(source.columns, "string")
    kinds: dict[str, set[type]] = {}
    for row in source.rows():
        for name, value in row.values.items():
            kinds.setdefault(name, set()).add(type(value))
    return {name: _type_of(found - {type(None)}) for name, found in kinds.items()}


@contextlib.contextmanager
def row_writer(
    path: Path, form_path: Path, types: Mapping[str, Any]
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
        pa = arrow()
        named = {name: pa.type_for_alias(t) if isinstance(t, str) else t for name, t in types.items()}
        schema = pa.schema(list(named.items()))
        with pa.parquet.ParquetWriter(path, schema) as writer:
            yield lambda rows: writer.write_table(_table(rows, schema))
        return
    with path.open("w", encoding="utf-8", newline="") as stream:
        if form == "jsonl":
            yield lambda rows: stream.writelines(_json(row) + "\n" for row in rows)
            return
        table = csv.writer(stream, delimiter="," if form == "csv" else "\t", lineterminator="\n")
        table.writerow(types)
        yield lambda rows: table.writerows([_cell(row.get(name)) for name in types] for row in rows)


def _table(rows: Sequence[Values], schema: Any) -> Any:  # noqa: ANN401 - Arrow's
    pa = arrow()
    columns = []
    for field in schema:
        values = [row.get(field.name) for row in rows]
        if pa.types.is_string(field.type):
            values = [None if value is None else _cell(value) for value in values]
        columns.append(pa.array(values, field.type))
    return pa.Table.from_arrays(columns, schema=schema)


def _type_of(kinds: set[type]) -> str:
    if kinds == {bool}:
        return "bool"
    if kinds == {int}:
        return "int64"
    if kinds and kinds <= {int, float}:
        return "double"
    return "string"


def _cell(value: object) -> object:
    if value is None or isinstance(value, str | int | float):
        return value if isinstance(value, str) or value is None else str(value)
    return _json(value)


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)
