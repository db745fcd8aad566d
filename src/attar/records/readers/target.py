"""The three-line format: a text with ``$T$`` for its term, the term, the label.

The usual format of aspect-sentiment sets, and one of the original system's. Blank lines may stand
between examples.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from attar.io.lines import numbered_lines
from attar.records.outcomes import Rejection
from attar.records.record import Record

__all__ = ["PLACE", "read_target"]

PLACE = "$T$"

_Group = list[tuple[int, str]]


def read_target(path: Path, *, fill_all: bool = True) -> Iterator[Record | Rejection]:
    """Read a file of three-line examples.

    Where ``$T$`` occurs more than once in a text, the first one is meant and all of them are filled.
    An example without any, or that the next one or the end of the file cuts short, is rejected.

    Args:
        path: A UTF-8 file.
        fill_all: False fills the first ``$T$`` alone, as the original system did.

    Yields:
        One Record or Rejection an example; ``where`` is the line of its text.

    Raises:
        DataError: The file cannot be read or is not UTF-8.
    """
    group: _Group = []
    for number, raw in numbered_lines(path):
        line = raw.strip()
        if not line and not group:
            continue
        if group and PLACE in line:
            yield _rejected(path, group)
            group = []
        group.append((number, line))
        if len(group) == 3:
            is_whole = PLACE in group[0][1]
            yield _record(path, group, -1 if fill_all else 1) if is_whole else _rejected(path, group)
            group = []
    if group:
        yield _rejected(path, group)


def _record(path: Path, group: _Group, count: int) -> Record:
    (number, marked), (_, term), (_, label) = group
    start = marked.index(PLACE)
    text = marked.replace(PLACE, term, count)
    return Record(text, term, start, start + len(term), label or None, where=f"{path}:{number}")


def _rejected(path: Path, group: _Group) -> Rejection:
    lines: list[object] = [line for _, line in group]
    where = f"{path}:{group[0][0]}"
    if PLACE not in group[0][1]:
        return Rejection("no_mark", f"expected a text with {PLACE} where its term is", where, lines)
    message = f"{len(group)} of three lines; expected a text with {PLACE}, its term and its label"
    return Rejection("bad_row", message, where, lines)
