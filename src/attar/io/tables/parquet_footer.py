"""The footer of a Parquet file: where the columns of each row group lie.

Arrow reads it too, and says what is wrong with it in an error; but its Python part
(``RowGroupMetaData.column``) catches nothing of what C++ throws, and a footer that contradicts itself would
end the process, a service included.

Sources: parquet-format, ``parquet.thrift`` (FileMetaData); Apache Thrift, compact protocol.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import IO, Any, NamedTuple

__all__ = ["Chunk", "Compact", "DamagedParquetError", "column_chunks"]

LIST, STRUCT = 9, 12
_ROW_GROUPS, _COLUMNS = 4, 1  # fields of FileMetaData, and of RowGroup
_TAIL_BYTES = 8  # the footer's length, and PAR1
_MAX_STRUCTS = 8  # within one another


class DamagedParquetError(ValueError):
    """What stands in the place of the footer, or of a page's header, is none."""


class Chunk(NamedTuple):
    """A column of a row group.

    Attributes:
        group: Number of the row group.
        place: Number of the column in the schema.
        start: Of its first page in the file.
        num_bytes: Of all its pages.
    """

    group: int
    place: int
    start: int
    num_bytes: int


def column_chunks(stream: IO[bytes], num_bytes: int, num_columns: int) -> Iterator[Chunk]:
    """Every column of every row group.

    Args:
        stream: A Parquet file of which Arrow has read the footer.
        num_bytes: Its size.
        num_columns: Of its schema.

    Raises:
        DamagedParquetError: The footer is none, or a row group has another number of columns.
    """
    stream.seek(max(0, num_bytes - _TAIL_BYTES))
    size = int.from_bytes(stream.read(4), "little")
    if size > num_bytes - _TAIL_BYTES:
        raise DamagedParquetError("a footer that is longer than its file")
    stream.seek(num_bytes - _TAIL_BYTES - size)
    footer = Compact(stream.read(size))
    try:
        for number, kind in footer.fields():
            if number != _ROW_GROUPS or kind != LIST:
                footer.value(kind)
                continue
            for group in range(footer.num_structs()):
                yield from _of_group(footer, group, num_columns)
    except IndexError:
        raise DamagedParquetError("a footer that is cut off") from None


def _of_group(footer: Compact, group: int, num_columns: int) -> Iterator[Chunk]:
    for number, kind in footer.fields():
        if number != _COLUMNS or kind != LIST:
            footer.value(kind)
            continue
        if (count := footer.num_structs()) != num_columns:
            raise DamagedParquetError(f"a row group of {count} columns of {num_columns}")
        for place in range(count):
            yield _chunk(footer.struct(), group, place)


def _chunk(fields: Mapping[int, Any], group: int, place: int) -> Chunk:
    try:
        column = fields[3]
        start, num_bytes = int(column[9]), int(column[7])
        dictionary = int(column.get(11, start))
    except (KeyError, TypeError, AttributeError) as error:
        raise DamagedParquetError("a column that lies nowhere") from error
    if 0 < dictionary < start:
        start = dictionary
    if min(start, num_bytes) < 0:
        raise DamagedParquetError("a column at a place below 0")
    return Chunk(group, place, start, num_bytes)


class Compact:
    """Thrift's compact protocol, as far as Parquet needs it; IndexError where the bytes end."""

    def __init__(self, raw: bytes) -> None:
        self.at = 0
        self._raw = raw

    def struct(self, depth: int = 0) -> dict[int, Any]:
        """The fields of a struct by their number; of texts and lists None."""
        if depth > _MAX_STRUCTS:
            raise DamagedParquetError("a header within a header")
        return {number: self.value(kind, depth) for number, kind in self.fields()}

    def fields(self) -> Iterator[tuple[int, int]]:
        """Number and kind of each field of a struct; whoever asks reads its value before the next."""
        number, seen = 0, set()
        while head := self._byte():
            step, kind = head >> 4, head & 15
            number = number + step if step else self._integer()
            if number in seen:  # which of them counts is read in more than one way
                raise DamagedParquetError("a field that comes twice")
            seen.add(number)
            yield number, kind

    def num_structs(self) -> int:
        """How many structs the list has that begins here; whoever asks reads them."""
        count, kind = self._list()
        if count and kind != STRUCT:
            raise DamagedParquetError("a list of something else")
        return count

    def value(self, kind: int, depth: int = 0) -> Any:  # noqa: ANN401 - a number, a struct or None
        """A value of some kind; of texts and lists None."""
        match kind:
            case 1 | 2:
                return kind == 1
            case 3:
                return self._byte()
            case 4 | 5 | 6:
                return self._integer()
            case 7:
                self._skip(8)
            case 8:
                self._skip(self._number())
            case 9 | 10:
                count, kind = self._list()
                for _ in range(count):
                    # A truth value within a list is a byte of its own.
                    self.value(3 if kind in (1, 2) else kind, depth)
            case 12:
                return self.struct(depth + 1)
            case _:
                raise DamagedParquetError("a value of an unknown kind")
        return None

    def _list(self) -> tuple[int, int]:
        head = self._byte()
        return head >> 4 if head >> 4 < 15 else self._number(), head & 15

    def _byte(self) -> int:
        self.at += 1
        return self._raw[self.at - 1]

    def _skip(self, count: int) -> None:
        self.at += count
        if self.at > len(self._raw):
            raise IndexError

    def _number(self) -> int:
        """A number of seven bits a byte, the lowest first."""
        number, shift = 0, 0
        while shift < 64:
            byte = self._byte()
            number |= (byte & 127) << shift
            if byte < 128:
                return number
            shift += 7
        raise DamagedParquetError("a number that is too long")

    def _integer(self) -> int:
        """A number with its sign in the lowest bit."""
        number = self._number()
        return number >> 1 ^ -(number & 1)
