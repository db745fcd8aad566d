"""The BIO format of named entities: ``character<TAB>tag`` a line, a blank line between texts.

A span's type (``COM`` of ``B-COM``) is its label. ``B-`` begins a span and ``I-`` continues it;
one that begins with ``I-`` is likely a slip in the middle of another, and is rejected.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from attar.io.lines import numbered_lines
from attar.records.outcomes import Rejection, reject
from attar.records.record import Record

__all__ = ["TAGGED", "read_bio"]

TAGGED = re.compile(r"([^\t]*)\t(O|[BI]-\S+)\s*")

_Lines = list[tuple[int, str]]


class _Span(NamedTuple):
    """A span, as far as it has been read."""

    start: int
    end: int
    label: str
    line: int
    is_begun: bool


def read_bio(path: Path) -> Iterator[Record | Rejection]:
    """Read a file of tagged characters.

    A text without spans gives no Record: nothing in it has a label.

    Args:
        path: A UTF-8 file; words may stand for the characters, they are joined without spaces.

    Yields:
        One Record a span, in the order of the text (``where`` is its first line), a Rejection for
        each that does not begin with ``B-`` and for each text with a line that is not tagged.

    Raises:
        DataError: The file cannot be read or is not UTF-8.
    """
    lines: _Lines = []
    for number, raw in numbered_lines(path):
        line = raw.rstrip("\r\n")
        if line.strip():
            lines.append((number, line))
        elif lines:
            yield from _read_text(path, lines)
            lines = []
    if lines:
        yield from _read_text(path, lines)


def _read_text(path: Path, lines: _Lines) -> Iterator[Record | Rejection]:
    text = before = ""
    spans: list[_Span] = []
    for number, line in lines:
        tagged = TAGGED.fullmatch(line)
        if not tagged:
            message = f"line {number} is not a character, a tab and a tag (O, B-TYPE or I-TYPE)"
            yield Rejection("bad_row", message, f"{path}:{lines[0][0]}", [line for _, line in lines])
            return
        start, end = len(text), len(text) + len(tagged[1])
        place, _, label = tagged[2].partition("-")
        if place == "I" and label == before:
            spans[-1] = spans[-1]._replace(end=end)
        elif label:
            spans.append(_Span(start, end, label, number, place == "B"))
        text += tagged[1]
        before = label
    for span in spans:
        term = text[span.start : span.end]
        record = Record(text, term, span.start, span.end, span.label, where=f"{path}:{span.line}")
        if span.is_begun:
            yield record
        else:
            message = f"the span starts with I-{span.label}; expected B-{span.label}, or I- after its like"
            yield reject("bad_mark", message, record)
