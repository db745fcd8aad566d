r"""Offsets that do not point at their term, moved to where exactly one reading puts them.

Offsets are made in programs that count differently: in UTF-16 code units (a browser), in bytes, in
a text whose whitespace had been collapsed or whose HTML entities had been resolved. Each way to
count is a reading. A reading fits if the term is where it points; if all that fit say the same
place, that is the place. If none fits, the only occurrence of the term is. Two places that both
fit are one too many: nothing is guessed. ``prepare`` audits with it and ``score`` finds its terms by it.
"""

from __future__ import annotations

import html
import re
from bisect import bisect_left
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import accumulate
from typing import Literal

from attar.text.normalise import Normalised, normalise, substitute

__all__ = ["How", "Repair", "find_all", "occurrences", "repair"]

How = Literal["utf16", "utf8", "whitespace", "entities", "occurrence", "normal_form"]

# Whitespace that is not one blank already.
_RUN = re.compile(r"\s{2,}|[^\S ]")
_EDGES = re.compile(r"\A\s+|(?<!\s)\s+\Z")
_CRLF = re.compile(r"\r\n")
_LF = re.compile(r"(?<!\r)\n")


@dataclass(frozen=True, slots=True)
class Repair:
    """Where a term was found, and by which reading.

    Attributes:
        start: Offset of its first code point in the text as written.
        end: Offset one past its last code point.
        how: "utf16" and "utf8": offsets in code units and bytes; "whitespace" and "entities":
            offsets in the text without them, or a term that was written with others; "occurrence"
            and "normal_form": the offsets fit nowhere, but the term occurs in the text once, as it
            is or after HTML entities, full-width forms and whitespace are normalised.
    """

    start: int
    end: int
    how: How


def repair(text: str, term: str, start: int | None, end: int | None) -> Repair | str:
    """Find the one place that a term and its offsets mean.

    Args:
        text: The review as written.
        term: The term as the source has it, not blank.
        start: Its first offset, in whatever unit; None if the source gives none.
        end: Its last offset (half-open).

    Returns:
        The place, or why there is none: a clause without any review text. The text of the place
        is the term, up to whitespace, HTML entities and Unicode normal form KC.
    """
    found: dict[tuple[int, int], How] = {}
    if start is not None and end is not None:
        for how, span in _readings(text, start, end):
            fit = _fit(text, term, *span)
            if fit:
                place, term_as = fit
                found.setdefault(place, how or term_as or "whitespace")
    if not found:
        found = _places(text, term)
        if not found:
            return "the term does not occur in the text"
    if len(found) > 1:
        return f"the term occurs at {len(found)} places that may be meant"
    ((place, how),) = found.items()
    return Repair(*place, how)


def find_all(text: str, term: str) -> Iterator[int]:
    """Where ``term`` starts in ``text``, overlaps included."""
    start = text.find(term)
    while start >= 0:
        yield start
        start = text.find(term, start + 1)


def occurrences(text: str, term: str) -> list[tuple[int, int]]:
    """Every place of a term without offsets, half open, none overlapping another.

    A term that does not occur in the text as it is written is found as ``repair`` finds it: without
    the blanks around it, or after HTML entities, full-width forms and whitespace are normalised.
    """
    if not term.strip():
        return []
    found = [(at, at + len(term)) for at in find_all(text, term)] or sorted(_places(text, term))
    places, done = [], 0
    for start, end in found:
        if start >= done:
            places.append((start, end))
            done = end
    return places


def _readings(text: str, start: int, end: int) -> Iterator[tuple[How | None, tuple[int, int]]]:
    """Spans of ``text`` that the offsets may mean, each with the reading's name."""
    for view_name, view in _views(text):
        for unit_name, width in _UNITS:
            # The sum of the widths before each character, and of all of them.
            places = [0, *accumulate(map(width, view.text))] if width else range(len(view.text) + 1)
            low, high = bisect_left(places, start), bisect_left(places, end)
            if low < high < len(places) and (places[low], places[high]) == (start, end):
                yield unit_name or view_name, view.to_original(low, high)


def _views(text: str) -> Iterator[tuple[How | None, Normalised]]:
    """The text as other programs may have seen it, those that differ from it."""
    yield None, Normalised(text)
    entities = normalise(text, ["entities"])
    views: list[tuple[How, Normalised]] = [
        ("whitespace", _strip(text)),
        ("whitespace", _collapse(text)),
        ("whitespace", _strip(text).then(_collapse)),
        ("whitespace", substitute(text, _CRLF, "\n")),
        ("whitespace", substitute(text, _LF, "\r\n")),
        ("entities", entities),
        ("entities", entities.then(_strip).then(_collapse)),
    ]
    seen = {text}
    for name, view in views:
        if view.text not in seen:
            seen.add(view.text)
            yield name, view


# How many units a character is in each way to count; None is code points.
_UNITS: tuple[tuple[How | None, Callable[[str], int] | None], ...] = (
    (None, None),
    ("utf16", lambda char: 1 + (char > "\uffff")),
    ("utf8", lambda char: len(char.encode("utf-8", "surrogatepass"))),
)


def _fit(text: str, term: str, start: int, end: int) -> tuple[tuple[int, int], How | None] | None:
    """The span without blanks around it, and how the term differs from it; None if it is another."""
    piece = text[start:end]
    start, end = start + len(piece) - len(piece.lstrip()), end - (len(piece) - len(piece.rstrip()))
    piece = piece.strip()
    if not piece:
        return None
    if piece == term:
        return (start, end), None
    if piece.split() == term.split():
        return (start, end), "whitespace"
    if html.unescape(piece).split() == html.unescape(term).split():
        return (start, end), "entities"
    return None


def _places(text: str, term: str) -> dict[tuple[int, int], How]:
    """Where a term occurs, overlaps included, and how it was found."""
    bare = term.strip()
    how: How = "occurrence" if bare == term else "whitespace"
    found: dict[tuple[int, int], How] = {(at, at + len(bare)): how for at in find_all(text, bare)}
    if found:
        return found
    normal, wanted = _normal_form(text), _normal_form(bare).text.strip()
    for at in find_all(normal.text, wanted) if wanted else ():
        start, end = normal.to_original(at, at + len(wanted))
        # What only a part of a ligature or of an entity spells is not the term.
        if _normal_form(text[start:end]).text == wanted:
            found[start, end] = "normal_form"
    return found


def _normal_form(text: str) -> Normalised:
    return normalise(text, ["entities", "nfkc"]).then(_collapse)


def _collapse(text: str) -> Normalised:
    return substitute(text, _RUN, " ")


def _strip(text: str) -> Normalised:
    return substitute(text, _EDGES, "")
