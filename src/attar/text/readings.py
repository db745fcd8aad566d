"""What a pair of offsets may mean: the ways in which programs count, and the texts that they may have seen.

``attar.text.repair`` looks which of the spans hold the term.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Literal

from attar.text.invisible import INVISIBLE, without_invisible
from attar.text.markup import has_tags, html_text
from attar.text.normalise import Normalised, normalise, substitute

__all__ = ["How", "collapsed", "readings"]

How = Literal[
    "utf16", "utf8", "whitespace", "entities", "invisible", "tags", "offsets", "occurrence", "normal_form"
]

# Whitespace that is not one blank already.
_RUN = re.compile(r"\s{2,}|[^\S ]")
_EDGES = re.compile(r"\A\s+|(?<!\s)\s+\Z")
_CRLF = re.compile(r"\r\n")
_LF = re.compile(r"(?<!\r)\n")
# Without one of these every program sees the same text.
_MAY_DIFFER = re.compile(rf"[\s&<{INVISIBLE}]")
_TWO_UNITS = re.compile("[\U00010000-\U0010ffff]")


def readings(text: str, start: int, end: int) -> Iterator[tuple[How | None, tuple[int, int]]]:
    """Spans of ``text`` that the offsets may mean, each with the reading's name."""
    for view_name, view in _views(text):
        for unit_name, place_of in _UNITS:
            low, high = place_of(view.text, start), place_of(view.text, end)
            if low is not None and high is not None and low < high:
                yield unit_name or view_name, view.to_original(low, high)


def _views(text: str) -> Iterator[tuple[How | None, Normalised]]:
    """The text as other programs may have seen it, those that differ from it."""
    yield None, Normalised(text)
    if not _MAY_DIFFER.search(text):
        return
    entities = normalise(text, ["entities"])
    views: list[tuple[How, Normalised]] = [
        ("whitespace", _stripped(text)),
        ("whitespace", collapsed(text)),
        ("whitespace", _stripped(text).then(collapsed)),
        ("whitespace", substitute(text, _CRLF, "\n")),
        ("whitespace", substitute(text, _LF, "\r\n")),
        ("entities", entities),
        ("entities", entities.then(_stripped).then(collapsed)),
        ("invisible", without_invisible(text)),
        ("invisible", without_invisible(text).then(_stripped).then(collapsed)),
    ]
    if has_tags(text):
        shown = html_text(text)
        views += [
            ("tags", shown),
            ("tags", html_text(text, "")),
            ("tags", shown.then(_stripped).then(collapsed)),
        ]
    seen = {text}
    for name, view in views:
        if view.text not in seen:
            seen.add(view.text)
            yield name, view


def _of_characters(text: str, offset: int) -> int | None:
    return offset if 0 <= offset <= len(text) else None


def _of_utf16(text: str, offset: int) -> int | None:
    """The character before which there are so many UTF-16 units; None within one, or beyond the text."""
    before = 0
    for before, pair in enumerate(_TWO_UNITS.finditer(text), 1):
        first = pair.start() + before - 1
        if offset <= first:
            return _of_characters(text, offset - before + 1)
        if offset == first + 1:
            return None
    return _of_characters(text, offset - before)


def _of_utf8(text: str, offset: int) -> int | None:
    """The character before which there are so many bytes; None within one, or beyond the text."""
    raw = text.encode("utf-8", "surrogatepass")
    is_within = not 0 <= offset <= len(raw) or (offset < len(raw) and 0x80 <= raw[offset] < 0xC0)
    return None if is_within else len(raw[:offset].decode("utf-8", "surrogatepass"))


# What characters an offset lies between, in each way to count.
_UNITS: tuple[tuple[How | None, Callable[[str, int], int | None]], ...] = (
    (None, _of_characters),
    ("utf16", _of_utf16),
    ("utf8", _of_utf8),
)


def collapsed(text: str) -> Normalised:
    """A text whose runs of whitespace are one blank each."""
    return substitute(text, _RUN, " ")


def _stripped(text: str) -> Normalised:
    return substitute(text, _EDGES, "")
