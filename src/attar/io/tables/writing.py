"""Tables, written whole or not at all, in the format that the file's ending names."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from attar.errors import DataError
from attar.io.files import atomic_write
from attar.io.tables.delimited import write_delimited
from attar.io.tables.jsonl import write_jsonl
from attar.io.tables.parquet import write_parquet
from attar.io.tables.reading import table_format
from attar.io.tables.rows import Table

__all__ = ["column_types", "write_table"]

_INT64 = range(-(2**63), 2**63)


def write_table(
    path: Path, chunks: Iterable[Sequence[Mapping[str, object]]], types: Mapping[str, Any]
) -> None:
    """Write JSONL, CSV, TSV or Parquet.

    Args:
        path: Where to.
        chunks: The rows.
        types: Columns in order, with their Arrow types or the names of these. JSONL needs none.

    Raises:
        DataError: The ending is none of these.
    """
    rows = (row for chunk in chunks for row in chunk)
    match table_format(path):
        case "jsonl":
            with write_jsonl(path) as write:
                for row in rows:
                    write(row)
        case "csv" | "tsv" as table_ending:
            with atomic_write(path) as draft:
                write_delimited(draft, rows, types, "\t" if table_ending == "tsv" else ",")
        case "parquet":
            with atomic_write(path) as draft:
                write_parquet(draft, chunks, types)
        case "excel":
            raise DataError(f"{path}: a workbook has sheets; see attar.workbook.sheets")


def column_types(tables: Iterable[Table]) -> dict[str, Any]:
    """Arrow type, or its name, of every column of some tables, in order.

    Columns with several types are text. Where a format has no types, the rows are read once.
    """
    types: dict[str, Any] = {}
    for table in tables:
        for name, found in _types(table).items():
            types[name] = found if types.get(name, found) == found else "string"
    return types


def _types(table: Table) -> dict[str, Any]:
    if table.schema is not None:
        return {field.name: field.type for field in table.schema}
    if table.format in ("csv", "tsv"):
        return dict.fromkeys(table.columns, "string")
    kinds: dict[str, set[type]] = {name: set() for name in table.columns if table.has_fixed_columns}
    for row in table.rows():
        for name, value in row.values.items():
            is_long = type(value) is int and value not in _INT64
            kinds.setdefault(name, set()).add(str if is_long else type(value))
    return {name: _type_of(found - {type(None)}) for name, found in kinds.items()}


def _type_of(kinds: set[type]) -> str:
    if kinds in ({bool}, {int}):
        return "bool" if kinds == {bool} else "int64"
    return "double" if kinds and kinds <= {int, float} else "string"
