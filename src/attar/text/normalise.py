"""Normalisation with a way back: the text to be read, and where each part of it was written.

The encoding normalises a text before it is tokenised, the audit before it looks for a term. The
offsets of an Example are always those of the text as it was written, so each step keeps a map.
Only what is not one character for one character is in the map; most Chinese reviews have nothing
in it.

Unicode normalisation works on a starter and what may join it, so a text is cut before every
character that joins nothing (Unicode Standard Annex 15, section 9.1, stable code points).
"""

from __future__ import annotations

import html
import re
import unicodedata
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from html.entities import html5
from itertools import chain, pairwise
from typing import Any, Literal, NamedTuple

from attar.errors import require

__all__ = ["Normalised", "Step", "is_unicode", "normalise", "substitute"]

Step = Literal["entities", "nfkc", "t2s"]

_REFERENCE = re.compile(r"&(?:#(?:[xX][0-9a-fA-F]+|[0-9]+);?|[^\t\n\f <&#;]{1,32};?)")
_SURROGATES = re.compile("([\ud800-\udfff]+)")


class _Units(NamedTuple):
    """What one step changed, in the order of the text, as half-open spans before and after it."""

    old_starts: array[int]
    old_ends: array[int]
    new_starts: array[int]
    new_ends: array[int]

    @classmethod
    def empty(cls) -> _Units:
        return cls(array("q"), array("q"), array("q"), array("q"))

    def add(self, old_start: int, old_end: int, new_start: int, new_end: int) -> None:
        self.old_starts.append(old_start)
        self.old_ends.append(old_end)
        self.new_starts.append(new_start)
        self.new_ends.append(new_end)

    def back(self, start: int, end: int) -> tuple[int, int]:
        return _moved(start, end, (self.new_starts, self.new_ends), (self.old_starts, self.old_ends))

    def forth(self, start: int, end: int) -> tuple[int, int]:
        return _moved(start, end, (self.old_starts, self.old_ends), (self.new_starts, self.new_ends))


@dataclass(frozen=True, slots=True)
class Normalised:
    """A normalised text and the way back.

    A span that cuts through a unit (an entity, a ligature, a letter with its accents) widens to
    the whole of it; what a step took away belongs to what stands beside it.

    Attributes:
        text: The text after all steps.
        origin: The map of each step that moved anything, in order; empty where offsets are equal.
    """

    text: str
    origin: tuple[_Units, ...] = ()

    def to_original(self, start: int, end: int) -> tuple[int, int]:
        """Half-open code-point offsets in the text as written, of a span of ``text``."""
        for units in reversed(self.origin):
            start, end = units.back(start, end)
        return start, end

    def to_normal(self, start: int, end: int) -> tuple[int, int]:
        """Half-open code-point offsets in ``text``, of a span of the text as written."""
        for units in self.origin:
            start, end = units.forth(start, end)
        return start, end

    def then(self, step: Callable[[str], Normalised]) -> Normalised:
        """The same with one more step, which is given ``text``."""
        later = step(self.text)
        return Normalised(later.text, self.origin + later.origin)


def normalise(text: str, steps: Sequence[Step]) -> Normalised:
    """Normalise a text, step by step.

    Args:
        text: Any text, broken surrogates included.
        steps: "entities" (HTML character references become characters), "nfkc" (Unicode
            normalisation form KC: full-width letters and punctuation, ligatures, accents) and
            "t2s" (traditional to simplified Chinese), done in the order given.

    Raises:
        MissingPackageError: The package that "t2s" needs is not installed.
    """
    result = Normalised(text)
    for step in steps:
        result = result.then(_STEPS[step])
    return result


def is_unicode(text: str) -> bool:
    """Whether a text can be written at all: half of a surrogate pair cannot."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def substitute(text: str, pattern: re.Pattern[str], replacement: str) -> Normalised:
    """Put ``replacement``, taken literally, where ``pattern`` matches at least one character."""
    if pattern.search(text) is None:
        return Normalised(text)
    return _replaced(text, ((*match.span(), replacement) for match in pattern.finditer(text)))


def _moved(
    start: int, end: int, here: tuple[array[int], array[int]], there: tuple[array[int], array[int]]
) -> tuple[int, int]:
    """A span on the other side of a map, widened to whole units."""
    starts, ends = here
    i = bisect_left(starts, start)
    if i < len(starts) and starts[i] == start:
        low = there[0][i]
    elif i and start < ends[i - 1]:
        low = there[0][i - 1]
    else:
        low = start + (there[1][i - 1] - ends[i - 1] if i else 0)
    i = bisect_right(ends, end)
    if i and ends[i - 1] == end:
        high = there[1][i - 1]
    elif i < len(ends) and starts[i] < end:
        high = there[1][i]
    else:
        high = end + (there[1][i - 1] - ends[i - 1] if i else 0)
    return low, high


def _replaced(text: str, spans: Iterable[tuple[int, int, str]]) -> Normalised:
    """``text`` with other text at some spans, which come in order and do not overlap."""
    units = _Units.empty()
    parts: list[str] = []
    done = length = 0
    for start, end, new in spans:
        parts += (text[done:start], new)
        length += start - done
        if end - start != 1 or len(new) != 1:
            units.add(start, end, length, length + len(new))
        length += len(new)
        done = end
    parts.append(text[done:])
    return Normalised("".join(parts), (units,) if units.old_starts else ())


def _unescape(text: str) -> Normalised:
    return _replaced(text, _references(text)) if "&" in text else Normalised(text)


def _references(text: str) -> Iterable[tuple[int, int, str]]:
    for match in _REFERENCE.finditer(text):
        end = match.end()
        name = match[0][1:]
        if not name.startswith("#") and name not in html5:
            # HTML lets some old names stand without their semicolon, even before letters.
            known = (size for size in range(len(name) - 1, 1, -1) if name[:size] in html5)
            end = match.start() + 1 + next(known, -1)
        if end > match.start():
            yield match.start(), end, html.unescape(text[match.start() : end])


def _nfkc(text: str) -> Normalised:
    if text.isascii() or unicodedata.is_normalized("NFKC", text):
        return Normalised(text)
    forms = [_form(char) for char in text]
    whole = unicodedata.normalize("NFKC", text)
    if len(whole) == len(text) and max(map(len, forms)) == min(map(len, forms)) == 1:
        return Normalised(whole)
    return _replaced(text, _composed(text, forms))


def _composed(text: str, forms: Sequence[str]) -> Iterable[tuple[int, int, str]]:
    """Spans of a text that have another normal form, and that."""
    starts = (i for i, normal in enumerate(forms) if normal or not i)
    for start, end in pairwise(chain(starts, (len(text),))):
        single = forms[start] if end - start == 1 else ""
        normal = single or unicodedata.normalize("NFKC", text[start:end])
        if normal != text[start:end]:
            yield start, end, normal


@lru_cache(maxsize=1 << 15)
def _form(char: str) -> str:
    """The normal form of a character, or "" if it may join the one before it."""
    first = unicodedata.normalize("NFKD", char)[0]
    joins = (
        unicodedata.category(first).startswith("M")
        or "\u1160" <= first <= "\u11ff"  # Hangul vowels and finals
        or "\U00016d40" <= first <= "\U00016d7f"  # Kirat Rai vowels are letters by category
    )
    return "" if joins else unicodedata.normalize("NFKC", char)


def _simplify(text: str) -> Normalised:
    converter = _opencc()
    if text.isascii():
        return Normalised(text)
    # OpenCC takes UTF-8, in which half of a surrogate pair cannot be written.
    pieces = _SURROGATES.split(text)
    simple = [piece if i % 2 else converter.convert(piece) for i, piece in enumerate(pieces)]
    if list(map(len, simple)) == list(map(len, pieces)):
        return Normalised("".join(simple))
    # A phrase has changed its length: character by character, it is known what came from where.
    chars = ((i, i + 1, char) for i, char in enumerate(text) if not _SURROGATES.match(char))
    return _replaced(text, ((start, end, converter.convert(char)) for start, end, char in chars))


@lru_cache(maxsize=1)
def _opencc() -> Any:  # noqa: ANN401 - a class of an optional package
    return require("opencc", "t2s").OpenCC("t2s")


_STEPS: dict[Step, Callable[[str], Normalised]] = {"entities": _unescape, "nfkc": _nfkc, "t2s": _simplify}
