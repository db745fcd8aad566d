"""The plainest format: one text a line, whose label is the same for all."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from attar.io.lines import numbered_lines
from attar.records.record import Record

__all__ = ["read_lines"]


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
