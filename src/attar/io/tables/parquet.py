"""Parquet, read and written in batches."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from attar.errors import DataError, require
from attar.io.tables.delimited import cell_of
from attar.io.tables.rows import Row, Table

__all__ = ["arrow_columns", "arrow_rows", "arrow_schema", "open_parquet", "write_parquet"]

_BATCH_ROWS = 2048
_UNREADABLE = "not a Parquet file that can be read; write it again"


def open_parquet(path: Path) -> Table:
    """Open a Parquet file.

    Raises:
        DataError: It is none, or the package pyarrow is not installed; while the rows are read, too.
    """
    pa = _arrow()
    try:
        with pa.parquet.ParquetFile(path) as file:
            schema, count = file.schema_arrow, file.metadata.num_rows
    except (pa.ArrowException, UnicodeDecodeError, OSError) as error:
        raise DataError(f"{path}: {_UNREADABLE}") from error
    return Table(str(path), "parquet", tuple(schema.names), partial(_rows, path), lambda: count, schema)


def write_parquet(
    path: Path, chunks: Iterable[Sequence[Mapping[str, object]]], types: Mapping[str, Any]
) -> None:
    """Write chunks of rows.

    Args:
        path: Where to.
        chunks: The rows; a chunk is a row group.
        types: Arrow type, or its name, of every column, in order. What is no text in a column of
            strings is written as in CSV.
    """
    pa, schema = _arrow(), arrow_schema(types)
    with pa.parquet.ParquetWriter(path, schema) as writer:
        for rows in chunks:
            writer.write_table(pa.Table.from_arrays(arrow_columns(rows, schema), schema=schema))


def arrow_schema(types: Mapping[str, Any]) -> Any:  # noqa: ANN401 - Arrow's
    """The Arrow schema of columns by their types or the names of these."""
    pa = _arrow()
    return pa.schema([(n, pa.type_for_alias(t) if isinstance(t, str) else t) for n, t in types.items()])


def arrow_columns(rows: Sequence[Mapping[str, object]], schema: Any) -> list[Any]:  # noqa: ANN401 - Arrow's
    """Rows as Arrow arrays of a schema; what is no text in a column of strings is written as in CSV."""
    pa = _arrow()
    return [pa.array(_column(pa, rows, field), field.type) for field in schema]


def arrow_rows(source: str, batches: Iterable[Any]) -> Iterator[Row]:
    """The rows of record batches, numbered from 1."""
    pa, number = _arrow(), 0
    for batch in batches:
        for values in _to_microseconds(pa, batch).to_pylist():
            number += 1
            yield Row(source, number, values)


def _arrow() -> Any:  # noqa: ANN401 - a module of an optional package
    """Pyarrow with its Parquet part; the base install does without."""
    require("pyarrow.parquet", "parquet")
    return require("pyarrow", "parquet")


def _column(pa: Any, rows: Sequence[Mapping[str, object]], field: Any) -> list[object]:  # noqa: ANN401
    values = [row.get(field.name) for row in rows]
    if not pa.types.is_string(field.type):
        return values
    # Halves of surrogate pairs, which Parquet cannot hold, become their escapes.
    texts = map(cell_of, values)
    return [text and text.encode("utf-8", "backslashreplace").decode() for text in texts]


def _rows(path: Path) -> Iterator[Row]:
    pa = _arrow()
    try:
        with pa.parquet.ParquetFile(path) as file:
            yield from arrow_rows(str(path), file.iter_batches(_BATCH_ROWS))
    except (pa.ArrowException, UnicodeDecodeError, OSError) as error:
        raise DataError(f"{path}: {_UNREADABLE}") from error


def _to_microseconds(pa: Any, batch: Any) -> Any:  # noqa: ANN401 - Arrow's
    """The batch with its nanoseconds cut off: Python's own times do not hold them."""
    columns = [
        column.cast(pa.timestamp("us", column.type.tz), safe=False)
        if pa.types.is_timestamp(column.type) and column.type.unit == "ns"
        else column
        for column in batch.columns
    ]
    return pa.RecordBatch.from_arrays(columns, names=batch.schema.names)
