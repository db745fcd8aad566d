"""Numbered lines of a file of text, streamed; where every text format starts reading."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from attar.errors import DataError
from attar.io.compressed import open_bytes
from attar.io.encodings import Encoding, bad_line, find_encoding, line_decoder

__all__ = ["count_lines", "numbered_lines", "raw_lines", "read_text"]

_BLOCK_BYTES = 1 << 20
_WIDE_ENDS = {"utf-16-le": b"\n\0", "utf-16-be": b"\0\n"}


def raw_lines(path: Path, encoding: Encoding | None = None) -> Iterator[tuple[int, bytes]]:
    r"""Yield (line number from 1, bytes with the line's end); a byte order mark is skipped.

    Only ``\n`` ends a line: the other separators of Unicode may stand inside a review. In a file without
    any ``\n`` a ``\r`` does, as on the first Macintoshes.

    Args:
        path: The file.
        encoding: Its encoding; None finds it.

    Raises:
        DataError: The file cannot be opened, or its encoding is not read.
    """
    encoding = encoding or find_encoding(path)
    wide_end = _WIDE_ENDS.get(encoding.codec)
    try:
        with open_bytes(path) as stream:
            stream.read(len(encoding.mark))
            lines = enumerate(_wide_lines(stream, wide_end) if wide_end else stream, 1)
            for number, line in lines:
                if number == 1 and not line.endswith(wide_end or b"\n"):
                    yield from enumerate(_parted(line, wide_end), 1)
                else:
                    yield number, line
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); check the path") from error


def numbered_lines(path: Path, encoding: Encoding | None = None) -> Iterator[tuple[int, str]]:
    """The lines of ``raw_lines`` as text.

    Raises:
        DataError: The file cannot be opened, or a line is not of its encoding.
    """
    encoding = encoding or find_encoding(path)
    decode = line_decoder(encoding)
    for number, raw in raw_lines(path, encoding):
        try:
            yield number, decode(raw)
        except UnicodeDecodeError as error:
            raise DataError(f"{path}:{number}: {bad_line(error, encoding)}") from error


def read_text(path: Path, encoding: Encoding | None = None) -> str:
    """The whole of a file.

    Raises:
        DataError: As ``numbered_lines``.
    """
    return "".join(line for _, line in numbered_lines(path, encoding))


def count_lines(path: Path, encoding: Encoding | None = None) -> int:
    """How many lines a file has."""
    if encoding is not None and encoding.codec in _WIDE_ENDS:
        return sum(1 for _ in raw_lines(path, encoding))
    with open_bytes(path) as stream:
        return sum(block.count(b"\n") for block in iter(lambda: stream.read(_BLOCK_BYTES), b""))


def _parted(line: bytes, wide_end: bytes | None) -> Iterator[bytes]:
    r"""The only line of a file, or several where a ``\r`` ends them."""
    mark = wide_end.replace(b"\n", b"\r") if wide_end else b"\r"
    begin = end = 0
    while (end := line.find(mark, end)) >= 0:
        end += len(mark)
        if end % len(mark) == 0:  # no halves of two characters
            yield line[begin:end]
            begin = end
    if begin < len(line):
        yield line[begin:]


def _wide_lines(stream: BinaryIO, end: bytes) -> Iterator[bytes]:
    """The lines of a file whose characters have two bytes or four."""
    rest, searched = b"", 0
    while block := stream.read(_BLOCK_BYTES):
        rest += block
        begin = 0
        while (place := rest.find(end, searched)) >= 0:
            if place % 2:  # halves of two characters, since each line begins at an even place
                searched = place + 1
                continue
            yield rest[begin : place + 2]
            begin = searched = place + 2
        rest = rest[begin:]
        searched = max(0, len(rest) - 1) & ~1
    if rest:
        yield rest
