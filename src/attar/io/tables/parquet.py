"""Parquet, read and written in batches."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from attar.errors import DataError, require
from attar.io.tables.delimited import cell_of
from attar.io.tables.parquet_pages import DamagedPageError, batch_rows
from attar.io.tables.rows import Row, Table

__all__ = ["open_parquet", "write_parquet"]

_UNREADABLE = "not a Parquet file that can be read; write it again"


def open_parquet(path: Path) -> Table:
    """Open a Parquet file.

    Raises:
        DataError: It is none, or unfolds to more than is taken, or the package pyarrow is not installed;
            while the rows are read, too.
        RecipeError: ATTAR_MAX_TABLE_GB is no number above 0.
    """
    pa = _arrow()
    try:
        with pa.parquet.ParquetFile(path) as file:
            schema, count = file.schema_arrow, file.metadata.num_rows
            read = partial(_rows, path, batch_rows(path, file.metadata, schema))
    except (pa.ArrowException, UnicodeDecodeError, OSError, DamagedPageError) as error:
        raise DataError(f"{path}: {_UNREADABLE}") from error
    return Table(str(path), "parquet", tuple(schema.names), read, lambda: count, schema)


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


def _rows(path: Path, at_once: int) -> Iterator[Row]:
    pa = _arrow()
    source, number = str(path), 0
    try:
        with pa.parquet.ParquetFile(path) as file:
            for batch in file.iter_batches(at_once):
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
