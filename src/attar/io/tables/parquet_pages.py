"""What the pages of a Parquet file unfold to, read from their headers before Arrow unfolds them.

Folded and encoded pages are small whatever they stand for: a page of a gigabyte of one letter, one value
of a dictionary for each of a billion rows, a list of a billion nothings. The footer says how large they are
too, but nothing holds it to that; Arrow goes by the headers, and so does this.

Source: parquet-format, ``parquet.thrift`` (PageHeader).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, NamedTuple

from attar.errors import DataError
from attar.io.json_text import MAX_DEPTH
from attar.io.tables.limits import LIMIT_VARIABLE, max_part_bytes
from attar.io.tables.parquet_footer import Chunk, Compact, DamagedParquetError, column_chunks

__all__ = ["batch_rows"]

_MAX_COLUMNS = 16_384  # as of a sheet; those within others counted one by one
_MAX_BATCH_ROWS = 2048
_BYTES_A_VALUE = 8  # at least, once it is a value of Python's
_FIRST_READ_BYTES = 1 << 9
_MAX_HEADER_BYTES = 16 << 20  # Arrow's own limit
_DICTIONARY_PAGE = 2
_DELTA_BYTE_ARRAY = 7


class _Page(NamedTuple):
    """What a page's header says.

    Attributes:
        unfolded_bytes: Its size, unfolded.
        num_values: How many values it stands for.
        repeats: Whether a value may stand there once and come many times.
        num_bytes: What it takes in the file, with the header.
    """

    unfolded_bytes: int
    num_values: int
    repeats: bool
    num_bytes: int


def batch_rows(path: Path, metadata: Any, schema: Any) -> int:  # noqa: ANN401 - Arrow's
    """How many rows of a file may be unfolded at a time.

    Args:
        path: A Parquet file.
        metadata: Its footer, a ``pyarrow.parquet.FileMetaData``.
        schema: Its Arrow schema.

    Raises:
        DataError: A page, or the rows of one column, unfold to more than is taken; or it has more
            columns, nested deeper, than a table has.
        DamagedParquetError: A page's header is none.
        OSError: It cannot be read.
    """
    limit = max_part_bytes()
    if metadata.num_columns > _MAX_COLUMNS:
        raise _too_much(path, f"has {metadata.num_columns:,} columns; a table has up to {_MAX_COLUMNS:,}")
    if any(_is_deeper(field.type, MAX_DEPTH) for field in schema):
        raise _too_much(path, f"has columns nested deeper than {MAX_DEPTH} levels")
    num_rows, num_bytes = metadata.num_rows, path.stat().st_size
    if num_rows > max(num_bytes, limit // _BYTES_A_VALUE):
        raise _too_much(path, f"stands for {num_rows:,} rows in {num_bytes:,} bytes", raised=True)
    repeated: dict[int, int] = {}
    with path.open("rb") as stream:
        for chunk in column_chunks(stream, num_bytes, metadata.num_columns):
            largest = _largest_repeated(path, stream, chunk, metadata.schema.column(chunk.place), limit)
            repeated[chunk.group] = repeated.get(chunk.group, 0) + largest
    most = max(repeated.values(), default=0)
    return max(1, min(_MAX_BATCH_ROWS, limit // most if most else _MAX_BATCH_ROWS))


def _largest_repeated(path: Path, stream: IO[bytes], chunk: Chunk, column: Any, limit: int) -> int:  # noqa: ANN401
    """The most bytes that one value of a column in a row group may have, though it stands there once."""
    largest = num_values = 0
    for page in _pages(stream, chunk.start, chunk.start + chunk.num_bytes):
        num_values += page.num_values
        # A list of a single row may be as long as the whole column.
        in_memory = num_values if column.max_repetition_level else page.num_values
        if max(page.unfolded_bytes, in_memory * _BYTES_A_VALUE) > limit:
            what = f"{page.unfolded_bytes:,} bytes and {in_memory:,} values"
            raise _too_much(
                path, f"column {column.path[:40]!r}: {what} in {page.num_bytes:,} bytes", raised=True
            )
        if page.repeats:
            largest = max(largest, page.unfolded_bytes)
    return largest


def _too_much(path: Path, what: str, *, raised: bool = False) -> DataError:
    more = f"; if it is to be trusted, set {LIMIT_VARIABLE} (1 where it is not set)" if raised else ""
    return DataError(f"{path}: {what}, more than a table of reviews does; write it again, or as .csv{more}")


def _is_deeper(of: Any, limit: int) -> bool:  # noqa: ANN401 - an Arrow type
    level = [of]
    for _ in range(limit):
        level = [each.field(place).type for each in level for place in range(each.num_fields)]
        if not level:
            return False
    return True


def _pages(stream: IO[bytes], start: int, end: int) -> Iterator[_Page]:
    """The pages of a part of a file."""
    while start < end:
        page = _page_at(stream, start)
        yield page
        start += page.num_bytes


def _page_at(stream: IO[bytes], start: int) -> _Page:
    size = _FIRST_READ_BYTES
    while True:
        stream.seek(start)
        raw = stream.read(size)
        header = Compact(raw)
        try:
            fields = header.struct()
            break
        except IndexError:
            if len(raw) < size or size >= _MAX_HEADER_BYTES:
                raise DamagedParquetError("a page's header is cut off") from None
            size *= 8
    try:
        kind, unfolded, folded = (int(fields[number]) for number in (1, 2, 3))
        own: dict[int, Any] = next((fields[number] for number in (5, 7, 8) if number in fields), {})
        num_values, encoding = int(own.get(1, 0)), own.get(4 if 8 in fields else 2, 0)
    except (KeyError, TypeError, AttributeError) as error:
        raise DamagedParquetError("a page's header lacks a field") from error
    if min(unfolded, folded, num_values) < 0:
        raise DamagedParquetError("a page of a size below 0")
    is_dictionary = kind == _DICTIONARY_PAGE
    repeats = is_dictionary or encoding == _DELTA_BYTE_ARRAY
    return _Page(unfolded, num_values, repeats, header.at + folded)
