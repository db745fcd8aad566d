"""Numbered lines of a UTF-8 file, streamed; where every text source starts reading.

The plainest form is made of them too: one text a line, whose label is the same for all.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from attar.errors import DataError
from attar.records.record import Record

__all__ = ["numbered_lines", "read_lines", "read_text"]


def numbered_lines(path: Path) -> Iterator[tuple[int, str]]:
    r"""Yield (line number from 1, line with its ending) of a UTF-8 file; a byte order mark is skipped.

    Only ``\n`` ends a line: the other separators of Unicode may stand inside a review.

    Raises:
        DataError: The file cannot be opened or a line is not UTF-8.
    """
    try:
        with path.open("rb") as stream:
            for number, raw in enumerate(stream, 1):
                yield number, _decode(raw, path, number)
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); check the path") from error


def read_lines(path: Path) -> Iterator[Record]:
    """Read one text a line, without a term and a label; those are the source's ``constants``.

    Yields:
        One Record a line that is not empty, spaces and all.

    Raises:
        DataError: The file cannot be read or is not UTF-8.
    """
    for number, line in numbered_lines(path):
        text = line.rstrip("\r\n")
        if text:
            yield Record(text, "", None, None, None, where=f"{path}:{number}")


def read_text(path: Path) -> str:
    """The whole of a UTF-8 file.

    Raises:
        DataError: The file cannot be opened or is not UTF-8.
    """
    return "".join(line for _, line in numbered_lines(path))


def _decode(raw: bytes, path: Path, number: int) -> str:
    try:
        return raw.decode("utf-8-sig" if number == 1 else "utf-8")
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path}:{number}: byte {error.start + 1} of the line is not UTF-8; "
            "save the file as UTF-8 (iconv -f gb18030 -t utf-8 for most Chinese files)"
        ) from error
