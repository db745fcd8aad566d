"""Parquet, read and written in batches."""

from __future__ import annotations

import bisect
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from attar.errors import DataError, require
from attar.io.tables.delimited import cell_of
from attar.io.tables.parquet_footer import DamagedParquetError
from attar.io.tables.parquet_pages import batch_rows
from attar.io.tables.rows import Row, Table

__all__ = [
    "arrow_columns",
    "arrow_rows",
    "arrow_schema",
    "open_parquet",
    "parquet_columns",
    "parquet_rows_at",
    "write_parquet",
    "write_parquet_columns",
]

# What Arrow raises where Python has no value; of a time zone that is not known with pytz a KeyError.
_NO_VALUE = (ValueError, OverflowError, KeyError)
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
    except (pa.ArrowException, UnicodeDecodeError, OSError, DamagedParquetError) as error:
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

    Raises:
        DataError: A column holds a value that is not of its type.
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
    return [_array(pa, rows, field) for field in schema]


def arrow_rows(source: str, batches: Iterable[Any]) -> Iterator[Row]:
    """The rows of record batches, numbered from 1."""
    pa, number = _arrow(), 0
    for batch in batches:
        for values in _values(pa, batch):
            number += 1
            yield Row(source, number, values)


def parquet_columns(path: Path, names: Sequence[str], num_rows: int) -> Iterator[dict[str, list[Any]]]:
    """Some columns of a Parquet file in batches of rows, the values as Python has them.

    Args:
        path: The file.
        names: Of the columns; one that is not there is None in every row.
        num_rows: Of a batch, at most.

    Raises:
        DataError: It cannot be read, or unfolds to more than is taken.
    """
    pa = _arrow()
    try:
        with pa.parquet.ParquetFile(path) as file:
            there = [name for name in names if name in file.schema_arrow.names]
            at_once = min(num_rows, batch_rows(path, file.metadata, file.schema_arrow))
            for group in range(file.num_row_groups):
                for batch in _batches(file, at_once, group, there):
                    found = {name: _column_values(pa, batch.column(name)) for name in there}
                    yield {name: found.get(name, [None] * batch.num_rows) for name in names}
    except (pa.ArrowException, UnicodeDecodeError, OSError, DamagedParquetError) as error:
        raise DataError(f"{path}: {_UNREADABLE}") from error


def parquet_rows_at(
    path: Path, names: Sequence[str], rows: Sequence[int], num_rows: int
) -> Iterator[tuple[int, list[Any]]]:
    """Some rows of a Parquet file: each with its number and the values of some columns, None where one lacks.

    Args:
        path: The file.
        names: Of the columns.
        rows: Numbers of the rows, from 0, ascending.
        num_rows: Of a batch that is read, at most.

    Raises:
        DataError: It cannot be read, or unfolds to more than is taken.
    """
    pa, first, done = _arrow(), 0, 0
    try:
        with pa.parquet.ParquetFile(path) as file:
            there = [name for name in names if name in file.schema_arrow.names]
            at_once = min(num_rows, batch_rows(path, file.metadata, file.schema_arrow))
            for group in range(file.num_row_groups):
                size = file.metadata.row_group(group).num_rows
                if done == len(rows) or rows[done] >= first + size:
                    first += size
                    continue
                for batch in _batches(file, at_once, group, there):
                    last = bisect.bisect_left(rows, first + batch.num_rows, lo=done)
                    some = batch.take(pa.array([row - first for row in rows[done:last]], "int64"))
                    values = [
                        _column_values(pa, some.column(name)) if name in there else [None] * (last - done)
                        for name in names
                    ]
                    yield from zip(rows[done:last], map(list, zip(*values, strict=True)), strict=True)
                    first, done = first + batch.num_rows, last
    except (pa.ArrowException, UnicodeDecodeError, OSError, DamagedParquetError) as error:
        raise DataError(f"{path}: {_UNREADABLE}") from error


def write_parquet_columns(path: Path, columns: Mapping[str, Any]) -> None:
    """Write whole columns, of which NumPy knows the types, or lists of strings."""
    pa = _arrow()
    pa.parquet.write_table(pa.table({name: pa.array(column) for name, column in columns.items()}), path)


def _arrow() -> Any:  # noqa: ANN401 - a module of an optional package
    """Pyarrow with its Parquet part; the base install does without."""
    require("pyarrow.parquet", "parquet")
    return require("pyarrow", "parquet")


def _array(pa: Any, rows: Sequence[Mapping[str, object]], field: Any) -> Any:  # noqa: ANN401 - Arrow's
    try:
        return pa.array(_column(pa, rows, field), field.type)
    except (pa.ArrowException, ValueError, TypeError, OverflowError) as error:
        raise DataError(
            f"the column {field.name[:40]!r} holds a value that {field.type} of Parquet does not; "
            "write .jsonl or .csv instead"
        ) from error


def _column(pa: Any, rows: Sequence[Mapping[str, object]], field: Any) -> list[object]:  # noqa: ANN401
    values = [row.get(field.name) for row in rows]
    if not pa.types.is_string(field.type):
        return values
    # Halves of surrogate pairs, which Parquet cannot hold, become their escapes.
    texts = map(cell_of, values)
    return [text and text.encode("utf-8", "backslashreplace").decode() for text in texts]


def _rows(path: Path, at_once: int) -> Iterator[Row]:
    pa = _arrow()
    try:
        with pa.parquet.ParquetFile(path) as file:
            # One at a time: over several, Arrow cannot put dictionaries within objects together.
            groups = range(file.num_row_groups)
            batches = (batch for group in groups for batch in _batches(file, at_once, group))
            yield from arrow_rows(str(path), batches)
    except (pa.ArrowException, UnicodeDecodeError, OSError) as error:
        raise DataError(f"{path}: {_UNREADABLE}") from error


def _batches(file: Any, at_once: int, group: int, columns: list[str] | None = None) -> Iterator[Any]:  # noqa: ANN401
    """A row group's batches; threads of Arrow's would each hold memory, and the time is Python's part."""
    batches: Iterator[Any]
    batches = file.iter_batches(at_once, row_groups=[group], columns=columns, use_threads=False)
    return batches


def _values(pa: Any, batch: Any) -> list[dict[str, Any]]:  # noqa: ANN401 - Arrow's
    """The rows of a batch; what Python has no value for (the year 0, nanoseconds) is as near as it gets."""
    columns = [_cut(pa, column) for column in batch.columns]
    if not any(_holds_nanoseconds(pa, column.type) for column in columns):
        try:
            rows: list[dict[str, Any]]
            rows = pa.RecordBatch.from_arrays(columns, names=batch.schema.names).to_pylist()
        except UnicodeDecodeError:
            raise
        except (*_NO_VALUE, pa.ArrowException):
            pass
        else:
            return rows
    values = [[_value(pa, one) for one in column] for column in columns]
    return [dict(zip(batch.schema.names, cells, strict=True)) for cells in zip(*values, strict=True)]


def _column_values(pa: Any, column: Any) -> list[Any]:  # noqa: ANN401 - Arrow's
    cut = _cut(pa, column)
    if pa.types.is_string(cut.type) or pa.types.is_date(cut.type):
        distinct = cut.dictionary_encode()
        if 2 * len(distinct.dictionary) < len(cut):  # each value is made once, and is the same object
            try:
                known = [*distinct.dictionary.to_pylist(), None]  # the last is what stands for none
            except UnicodeDecodeError:
                raise
            except (*_NO_VALUE, pa.ArrowException):
                return [_value(pa, one) for one in cut]
            return [known[code] for code in distinct.indices.fill_null(-1).to_pylist()]
    if _holds_nanoseconds(pa, cut.type):
        return [_value(pa, one) for one in cut]
    try:
        values: list[Any] = cut.to_pylist()
    except UnicodeDecodeError:
        raise
    except (*_NO_VALUE, pa.ArrowException):
        return [_value(pa, one) for one in cut]
    return values


def _holds_nanoseconds(pa: Any, kind: Any) -> bool:  # noqa: ANN401 - Arrow's type
    """Whether Arrow makes times of pandas' own of some values, where pandas is installed."""
    if pa.types.is_dictionary(kind):
        return _holds_nanoseconds(pa, kind.value_type)
    if pa.types.is_nested(kind):
        return any(_holds_nanoseconds(pa, kind.field(place).type) for place in range(kind.num_fields))
    return getattr(kind, "unit", None) == "ns"


def _cut(pa: Any, value: Any) -> Any:  # noqa: ANN401 - Arrow's column or scalar
    """The same with its nanoseconds cut off: Python's own times do not hold them."""
    kind = value.type
    if pa.types.is_timestamp(kind) and kind.unit == "ns":
        return value.cast(pa.timestamp("us", kind.tz), safe=False)
    if pa.types.is_time64(kind) and kind.unit == "ns":
        return value.cast(pa.time64("us"), safe=False)
    if pa.types.is_duration(kind) and kind.unit == "ns":
        return value.cast(pa.duration("us"), safe=False)
    return value


def _value(pa: Any, scalar: Any) -> Any:  # noqa: ANN401 - a scalar of Arrow's, any value
    """A value without nanoseconds, or, where Python has none for it, its text."""
    kind = scalar.type
    if not scalar.is_valid:
        return None
    if pa.types.is_dictionary(kind):
        return _value(pa, scalar.value)
    if not _holds_nanoseconds(pa, kind):
        try:
            return scalar.as_py()
        except UnicodeDecodeError:
            raise
        except (*_NO_VALUE, pa.ArrowException):
            pass
    return _of_parts(pa, scalar) if pa.types.is_nested(kind) else _of_time(pa, scalar)


def _of_parts(pa: Any, scalar: Any) -> Any:  # noqa: ANN401 - a struct, a map or a list
    kind = scalar.type
    if pa.types.is_struct(kind):
        return {name: _value(pa, inner) for name, inner in scalar.items()}
    if pa.types.is_map(kind):
        return [(pair["key"].as_py(), _value(pa, pair["value"])) for pair in scalar.values]
    return [_value(pa, inner) for inner in scalar.values]


def _of_time(pa: Any, scalar: Any) -> Any:  # noqa: ANN401 - a day, a moment or a span of time
    cut = _cut(pa, scalar)
    if cut is not scalar:
        return _value(pa, cut)
    try:
        return str(scalar.cast(pa.string()).as_py())
    except (ValueError, pa.ArrowException):
        return str(scalar.value)  # a moment in a time zone that nobody knows
