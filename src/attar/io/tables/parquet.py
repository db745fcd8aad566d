"""Parquet, read and written in batches."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from attar.errors import DataError, require
from attar.io.tables.delimited import cell_of
from attar.io.tables.rows import Row, Table

__all__ = ["open_parquet", "parquet_columns", "write_parquet", "write_parquet_columns"]

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
    pa = _arrow()
    named = {name: pa.type_for_alias(t) if isinstance(t, str) else t for name, t in types.items()}
    schema = pa.schema(list(named.items()))
    with pa.parquet.ParquetWriter(path, schema) as writer:
        for rows in chunks:
            columns = [pa.array(_column(pa, rows, field), field.type) for field in schema]
            writer.write_table(pa.Table.from_arrays(columns, schema=schema))


def parquet_columns(path: Path, names: Sequence[str], num_rows: int) -> Iterator[dict[str, list[Any]]]:
    """Some columns of a Parquet file in batches of rows, the values as Python has them.

    Args:
        path: The file.
        names: Of the columns; one that is not there is None in every row.
        num_rows: Of a batch.

    Raises:
        DataError: It cannot be read.
    """
    pa = _arrow()
    try:
        with pa.parquet.ParquetFile(path) as file:
            there = [name for name in names if name in file.schema_arrow.names]
            for batch in file.iter_batches(num_rows, columns=there):
                made = dict(
                    zip(there, (c.to_pylist() for c in _to_microseconds(pa, batch).columns), strict=True)
                )
                yield {name: made.get(name) or [None] * batch.num_rows for name in names}
    except (pa.ArrowException, UnicodeDecodeError, OSError) as error:
        raise DataError(f"{path}: {_UNREADABLE}") from error


def write_parquet_columns(path: Path, columns: Mapping[str, Any]) -> None:
    """Write whole columns, of which NumPy knows the types, or lists of strings."""
    pa = _arrow()
    pa.parquet.write_table(pa.table({name: pa.array(column) for name, column in columns.items()}), path)


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
    source, number = str(path), 0
    try:
        with pa.parquet.ParquetFile(path) as file:
            for batch in file.iter_batches(_BATCH_ROWS):
                for values in _to_microseconds(pa, batch).to_pylist():
                    number += 1
                    yield Row(source, number, values)
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
