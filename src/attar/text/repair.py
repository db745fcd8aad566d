r"""Offsets that do not point at their term, moved to where exactly one reading puts them.

Offsets are made in programs that count differently: in UTF-16 code units (a browser), in bytes, in
a text whose whitespace had been collapsed or whose HTML entities had been resolved. Each way to
count is a reading. A reading fits if the term is where it points; if all that fit say the same
place, that is the place. If none fits, the only occurrence of the term is. Two places that both
fit are one too many: nothing is guessed. Where offsets mark more than the term, a person's mark counts,
or the whole words that it cuts. ``prepare`` audits with it and ``score`` finds its terms by it.
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from attar.text.invisible import INVISIBLE, is_blank, without_invisible
from attar.text.markup import TAG, has_tags, html_text
from attar.text.normalise import Normalised, normalise
from attar.text.readings import How, collapsed, readings

__all__ = ["How", "Repair", "each_occurrence", "find_all", "fitting_place", "occurrences", "repair"]

# What stands around a place without being a part of it; a variation selector belongs to its emoji.
_BEFORE = re.compile(rf"(?:[\s{INVISIBLE}]|{TAG})+", re.DOTALL)
_AFTER = re.compile(rf"(?:(?![\ufe00-\ufe0f])[\s{INVISIBLE}]|{TAG})+\Z", re.DOTALL)
# Without one of these a term can be written otherwise in its whitespace alone.
_ODD = re.compile(f"[&<{INVISIBLE}]")
_MORE = "the offsets mark more than the term"

_Place = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Repair:
    """Where a term was found, and by which reading.

    Attributes:
        start: Offset of its first code point in the text as written.
        end: Offset one past its last code point.
        how: "utf16" and "utf8": offsets in code units and bytes; "whitespace" and "entities":
            offsets in the text without them, or a term that was written with others; "invisible" and
            "tags": the same of characters that nobody sees and of HTML; "offsets": the term is a part
            of what the offsets mark, which is taken; "occurrence" and "normal_form": the offsets fit
            nowhere, but the term occurs in the text once, as it is or after HTML, full-width forms,
            whitespace and what nobody sees are normalised.
    """

    start: int
    end: int
    how: How


def repair(
    text: str, term: str, start: int | None, end: int | None, *, is_marked: bool = False
) -> Repair | str:
    """Find the one place that a term and its offsets mean.

    Args:
        text: The review as written.
        term: The term as the source has it, not blank.
        start: Its first offset, in whatever unit; None if the source gives none.
        end: Its last offset (half-open).
        is_marked: Whether a person marked the offsets in the text, so that a term which is only a part
            of what they mark is a bad copy of it.

    Returns:
        The place, or why there is none: a clause without any review text. The text of the place
        is the term, up to whitespace, HTML, Unicode normal form KC and what nobody sees; or, where
        ``how`` is "offsets", it holds the term.
    """
    found: dict[_Place, How] = {}
    if start is not None and end is not None:
        spans = list(readings(text, start, end))
        for how, span in spans:
            fit = _fit(text, term, *span)
            if fit:
                place, term_as = fit
                found.setdefault(place, how or term_as or "whitespace")
        if not found:
            found = _places(text, term)
            disputed = _disputed(text, found, [_trimmed(text, *span) for _, span in spans], is_marked)
            if disputed is not None:
                return disputed
    else:
        found = _places(text, term)
    if not found:
        return "the term does not occur in the text"
    if len(found) > 1:
        return f"the term occurs at {len(found)} places that may be meant"
    ((place, how),) = found.items()
    return Repair(*place, how)


def fitting_place(text: str, term: str, start: int, end: int) -> tuple[int, int] | None:
    """The term's place at offsets that are right, but for whitespace, HTML and what nobody sees."""
    fit = _fit(text, term, start, end) if 0 <= start < end <= len(text) else None
    return fit[0] if fit else None


def find_all(text: str, term: str) -> Iterator[int]:
    """Where ``term`` starts in ``text``, overlaps included."""
    start = text.find(term)
    while start >= 0:
        yield start
        start = text.find(term, start + 1)


def occurrences(text: str, term: str) -> list[tuple[int, int]]:
    """Every place of a term without offsets, half open, none overlapping another.

    A term that does not occur in the text as it is written is found as ``repair`` finds it: without
    the blanks around it, or after HTML, full-width forms, whitespace and what nobody sees are normalised.
    """
    return list(each_occurrence(text, term))


def each_occurrence(text: str, term: str) -> Iterator[tuple[int, int]]:
    """``occurrences``, one after the other: a text may have a million."""
    if is_blank(term):
        return
    done = 0
    for start in find_all(text, term):
        if start >= done:
            done = start + len(term)
            yield start, done
    for start, end in () if done else sorted(_places(text, term)):
        if start >= done:
            done = end
            yield start, end


def _fit(text: str, term: str, start: int, end: int) -> tuple[_Place, How | None] | None:
    """The span without what stands around it, and how the term differs from it; None if it is another."""
    low, high = _stripped(text, start, end)
    if text[low:high] == term != "":
        return (low, high), None
    low, high = _trimmed(text, low, high)
    piece = text[low:high]
    if piece == term != "":
        return (low, high), None
    if _joined(piece) == _joined(term) != "":
        return (low, high), "whitespace"
    if not _ODD.search(piece + term):
        return None
    how = next((how for how, form in _FORMS if form(piece) == form(term) != ""), None)
    return ((low, high), how) if how else None


def _joined(text: str) -> str:
    # Label Studio writes the line ends of a region as a backslash and an n.
    return "".join(text.replace("\\n", " ").split())


# Ways to write a term that offsets are right for.
_FORMS: tuple[tuple[How, Callable[[str], str]], ...] = (
    ("invisible", lambda text: _joined(without_invisible(text).text)),
    ("entities", lambda text: _joined(html.unescape(text))),
    ("tags", lambda text: _joined(without_invisible(html_text(text).text).text)),
)


def _stripped(text: str, start: int, end: int) -> _Place:
    piece = text[start:end]
    return start + len(piece) - len(piece.lstrip()), end - (len(piece) - len(piece.rstrip()))


def _trimmed(text: str, start: int, end: int) -> _Place:
    """A span without the whitespace, tags and unseen characters at its ends."""
    piece = text[start:end]
    before = _BEFORE.match(piece)
    if before:
        start += before.end()
    after = _AFTER.search(text[start:end])
    return start, start + after.start() if after else end


def _disputed(
    text: str, places: Mapping[_Place, How], spans: Iterable[_Place], is_marked: bool
) -> Repair | str | None:
    """What is meant where the term is a part of what the offsets mark, or they a part of the term.

    Args:
        text: The review.
        places: Where the term occurs.
        spans: What the offsets may mark.
        is_marked: Whether a person marked them.

    Returns:
        The place, or why it cannot be known; None where neither is the case.
    """
    marks = list(dict.fromkeys(spans))
    within = [(mark, place) for mark in marks for place in places if mark != place and _holds(mark, place)]
    if not within:
        around = [place for place in places if any(_holds(place, mark) for mark in marks)]
        return Repair(*around[0], places[around[0]]) if len(around) == 1 else None
    whole = {mark for mark, place in within if _whole_words(text, *place) == mark}
    bare = {place for mark, place in within if not _rest(text, mark, place)}
    marked = {mark for mark, _ in within}
    if len(whole) == 1:
        return Repair(*whole.pop(), "offsets")
    if len(bare) == 1:
        (place,) = bare
        return Repair(*place, places[place])
    if is_marked and len(marked) == 1:
        return Repair(*marked.pop(), "offsets")
    # Offsets of a whole clause say only where to look.
    inside = {place for mark, place in within if " " in _rest(text, mark, place)}
    if not is_marked and len(inside) == 1 == len({place for _, place in within}):
        (place,) = inside
        return Repair(*place, places[place])
    return _MORE


def _holds(outer: _Place, inner: _Place) -> bool:
    return outer[0] <= inner[0] < inner[1] <= outer[1]


def _rest(text: str, mark: _Place, place: _Place) -> str:
    """What is marked beside the term: words, and a blank where something else parts them."""
    sides = text[mark[0] : place[0]], text[place[1] : mark[1]]
    words = ["".join(char if char.isalnum() else " " for char in side) for side in sides]
    return "".join(words) if any(side.strip() for side in words) else ""


def _whole_words(text: str, start: int, end: int) -> _Place:
    """A span and the rest of the words of letters and digits that it cuts; Chinese has no such words."""

    def is_cut(at: int) -> bool:
        return 0 < at < len(text) and all(
            char.isalnum() and char < "\u2e80" for char in text[at - 1 : at + 1]
        )

    while is_cut(start):
        start -= 1
    while is_cut(end):
        end += 1
    return start, end


def _places(text: str, term: str) -> dict[_Place, How]:
    """Where a term occurs, overlaps included, and how it was found."""
    bare = term.strip()
    how: How = "occurrence" if bare == term else "whitespace"
    found: dict[_Place, How] = {(at, at + len(bare)): how for at in find_all(text, bare)}
    if found:
        return found
    for how, form in _NORMAL_FORMS:
        if how == "tags" and not has_tags(text) and not has_tags(bare):
            break
        normal, wanted = form(text), form(bare).text.strip()
        for at in find_all(normal.text, wanted) if wanted else ():
            start, end = _trimmed(text, *normal.to_original(at, at + len(wanted)))
            # What only a part of a ligature or of an entity spells is not the term.
            if form(text[start:end]).text == wanted:
                found[start, end] = how
        if found:
            break
    return found


def _normal_form(text: str) -> Normalised:
    return normalise(text, ["entities", "nfkc"]).then(without_invisible).then(collapsed)


def _without_tags(text: str) -> Normalised:
    return (html_text(text, "") if has_tags(text) else Normalised(text)).then(_normal_form)


# From the least change to the most.
_NORMAL_FORMS: tuple[tuple[How, Callable[[str], Normalised]], ...] = (
    ("invisible", without_invisible),
    ("normal_form", _normal_form),
    ("tags", _without_tags),
)
