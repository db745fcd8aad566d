"""Numbered lines of a UTF-8 file, streamed; where every text format starts reading."""

from __future__ import annotations

from codecs import BOM_UTF8
from collections.abc import Iterator
from pathlib import Path

from attar.errors import DataError
from attar.io.compressed import open_bytes

__all__ = ["count_lines", "not_utf8", "numbered_lines", "raw_lines", "read_text"]

_BLOCK_BYTES = 1 << 20


def raw_lines(path: Path) -> Iterator[tuple[int, bytes]]:
    r"""Yield (line number from 1, bytes with the line's end); a byte order mark is skipped.

    Only ``\n`` ends a line: the other separators of Unicode may stand inside a review.

    Raises:
        DataError: The file cannot be opened.
    """
    try:
        with open_bytes(path) as stream:
            if first := stream.readline().removeprefix(BOM_UTF8):
                yield 1, first
            yield from enumerate(stream, 2)
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); check the path") from error


def numbered_lines(path: Path) -> Iterator[tuple[int, str]]:
    """The lines of ``raw_lines`` as text.

    Raises:
        DataError: The file cannot be opened or a line is not UTF-8.
    """
    for number, raw in raw_lines(path):
        try:
            yield number, raw.decode()
        except UnicodeDecodeError as error:
            raise DataError(f"{path}:{number}: {not_utf8(error)}") from error


def not_utf8(error: UnicodeDecodeError) -> str:
    """What is wrong with a line that is not UTF-8, and what to do."""
    return (
        f"byte {error.start + 1} of the line is not UTF-8; "
        "save the file as UTF-8 (iconv -f gb18030 -t utf-8 for most Chinese files)"
    )


def read_text(path: Path) -> str:
    """The whole of a UTF-8 file.

    Raises:
        DataError: The file cannot be opened or is not UTF-8.
    """
    return "".join(line for _, line in numbered_lines(path))


def count_lines(path: Path) -> int:
    """How many lines a file has."""
    with open_bytes(path) as stream:
        return sum(block.count(b"\n") for block in iter(lambda: stream.read(_BLOCK_BYTES), b""))
