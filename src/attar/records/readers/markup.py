"""Reviews with their terms marked in place: the inline format of the embedded corpus.

One review a line; a term is ``[term|label]`` or ``[term|label|wordtype]``; any other brackets are
text. A ``# key: value`` line sets metadata for all the lines after it. One Record a mark.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from attar.io.lines import numbered_lines
from attar.records.audit.audit import Rejection
from attar.records.record import Record

__all__ = ["MARK", "METADATA", "read_markup"]

MARK = re.compile(r"\[([^\[\]|]*)\|([^\[\]|]*)(?:\|([^\[\]|]*))?\]")
# A key is ASCII, so a review that starts with a hashtag is still a review.
METADATA = re.compile(r"#\s*([A-Za-z_][\w-]*):\s*(.*)", re.ASCII)


def read_markup(path: Path) -> Iterator[Record | Rejection]:
    """Read a file of marked reviews.

    A line with a broken mark (a ``|`` outside every mark, a mark inside a mark) is rejected as a
    whole, because its text cannot be known; so is a line without any mark. Empty terms and
    unknown labels are left to the audit.

    Args:
        path: A UTF-8 file.

    Yields:
        One Record a mark, in the order of the text, or one Rejection for a line.

    Raises:
        DataError: The file cannot be read or is not UTF-8.
    """
    meta: dict[str, str] = {}
    for number, raw in numbered_lines(path):
        line = raw.strip()
        if not line:
            continue
        setting = METADATA.fullmatch(line)
        if setting and not MARK.search(line):
            meta = meta | {setting[1]: setting[2].strip()}
        else:
            yield from _read_line(line, meta, f"{path}:{number}")


def _read_line(line: str, meta: dict[str, str], where: str) -> Iterator[Record | Rejection]:
    pieces: list[str] = []
    spans: list[tuple[int, re.Match[str]]] = []
    length = last = 0
    for mark in MARK.finditer(line):
        before = line[last : mark.start()]
        spans.append((length + len(before), mark))
        pieces += (before, mark[1])
        length += len(before) + len(mark[1])
        last = mark.end()
    text = "".join((*pieces, line[last:]))
    if "|" in text:
        message = (
            "a | is outside every mark (or a mark inside a mark); "
            "write a mark as [term|label] or [term|label|wordtype] and no other |"
        )
        yield Rejection("bad_mark", message, where, [line])
    elif not spans:
        message = "the review has no mark; write a term as [term|label] or [term|label|wordtype]"
        yield Rejection("no_mark", message, where, [line])
    else:
        for start, mark in spans:
            term, label, wordtype = mark.groups()
            own = meta if not wordtype else meta | {"wordtype": wordtype}
            yield Record(text, term, start, start + len(term), label or None, own, where)
