"""Known terms in a text: every occurrence of one of them.

All terms are found in one pass (Aho and Corasick, Efficient string matching: an aid to
bibliographic search, 1975). Of occurrences that overlap, the longest is taken, of equally long ones the
first. Chinese has no word borders; a term of another script is found as a whole word only.

Terms and texts are compared as ``attar prepare`` compares a term with its text (HTML entities, full-width
forms, blanks) and without regard to case. Nearly all texts need no more for that than one character for
another, which costs less than a microsecond; only what remains keeps a map of its offsets.
"""

from __future__ import annotations

import re
import unicodedata
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from ahocorasick_rs import AhoCorasick
from numpy.typing import NDArray

from attar.errors import DataError
from attar.text.normalise import Normalised, Step, normalise, substitute

__all__ = ["TermFinder", "TermMatch", "term_spelling"]

_ALWAYS: tuple[Step, ...] = ("entities", "nfkc")
_FIRST_CJK = "\u2e80"  # scripts before it are written with spaces, or as words
_LONG = 1 << 16  # characters
_RUN = re.compile(r"\s{2,}|[^\S ]")
# What most reviews are made of: each of these is its own normal form.
_OFTEN = "，！？～：；（）…"
_COMMON = "\u4e00-\u9fffa-z0-9 、。“”‘’《》【】—*.,?!~():;%@/+_\\-"


class TermMatch(NamedTuple):
    """An occurrence of a term: code-point offsets in the text as written, and the term's name."""

    start: int
    end: int
    term: str


class TermFinder:
    """Finds terms in texts.

    Args:
        terms: Any number of them, each its own name; or by each form its term's name ("" for
            the form itself). Empty ones are left out.
        steps: How terms and texts are normalised besides, before they are compared.

    Attributes:
        terms: The names, sorted.

    Raises:
        DataError: There is no term.
    """

    def __init__(self, terms: Iterable[str] | Mapping[str, str], steps: Sequence[Step] = ()) -> None:
        self._steps = _with_steps(steps)
        named = terms if isinstance(terms, Mapping) else dict.fromkeys(terms, "")
        names = {s: name or s for form, name in named.items() if (s := self.spelling(form))}
        if not names:
            raise DataError("there is no term to find; name some")
        self.terms = sorted(set(names.values()))
        self._names = list(names.values())
        self._automaton = AhoCorasick(list(names))
        self._longest = max(map(len, names))
        self._view = _View(self._steps, "".join(names))

    def spelling(self, term: str) -> str:
        """A term as it is compared."""
        return _normal(term, self._steps).text.strip()

    def find(self, text: str) -> list[TermMatch]:
        """The occurrences in a text (without broken surrogates) in their order; none overlaps another."""
        plain = self._view.plain(text)
        return self._spans(plain) if plain is not None and len(plain) <= _LONG else list(self.each(text))

    def each(self, text: str) -> Iterator[TermMatch]:
        """``find``, one after the other: a text may have a million, which take little room before."""
        plain = self._view.plain(text)
        if plain is not None:
            yield from self._spans(plain) if len(plain) <= _LONG else self._many_spans(plain)
            return
        normal = _normal(text, self._steps)
        is_long = len(normal.text) > _LONG
        for start, end, name in self._many_spans(normal.text) if is_long else self._spans(normal.text):
            written = normal.to_original(start, end)
            # One that cuts through an entity or a ligature is none: the term is only a part of it.
            if normal.to_normal(*written) == (start, end):
                yield TermMatch(*written, name)

    def _spans(self, normal: str) -> list[TermMatch]:
        """Where terms are in a normalised text, in order, and their names."""
        found = self._automaton.find_matches_as_indexes(normal, overlapping=True)
        if not found:
            return []
        if len(found) > 1:
            found.sort(key=_longest_first)
        taken = bytearray(len(normal))
        spans = []
        for number, start, end in found:
            if 1 in taken[start:end] or _is_in_a_word(normal, start, end):
                continue
            taken[start:end] = b"\1" * (end - start)
            spans.append(TermMatch(start, end, self._names[number]))
        if len(spans) > 1:
            spans.sort()
        return spans

    def _many_spans(self, normal: str) -> Iterator[TermMatch]:
        """The same of a long text, whose matches are held as numbers: 28 bytes each, and no tuples."""
        starts, ends, numbers = array("q"), array("q"), array("i")
        for begin in range(0, len(normal), _LONG):
            first = max(0, begin - self._longest + 1)
            piece = normal[first : begin + _LONG]
            for number, start, end in self._automaton.find_matches_as_indexes(piece, overlapping=True):
                if first + end > begin:  # else it was found in the piece before
                    starts.append(first + start)
                    ends.append(first + end)
                    numbers.append(number)
        if not starts:
            return
        low, high = np.frombuffer(starts, np.int64), np.frombuffer(ends, np.int64)
        taken, kept = bytearray(len(normal)), array("q")
        for place in _in_blocks(np.lexsort((low, low - high))):
            start, end = starts[place], ends[place]
            if 1 not in taken[start:end] and not _is_in_a_word(normal, start, end):
                taken[start:end] = b"\1" * (end - start)
                kept.append(place)
        chosen = np.frombuffer(kept, np.int64) if kept else np.empty(0, np.int64)
        for place in _in_blocks(chosen[np.argsort(low[chosen])]):
            yield TermMatch(starts[place], ends[place], self._names[numbers[place]])


def term_spelling(term: str, steps: Sequence[Step] = ()) -> str:
    """A term as it is compared: two forms with one spelling are the same form."""
    return _normal(term, _with_steps(steps)).text.strip()


class _View:
    """Texts as they are compared, those of them that keep their offsets.

    Args:
        steps: How texts are normalised.
        alphabet: The characters of all terms. What becomes one that is neither of these nor of a word
            changes nothing, and may stay.
    """

    def __init__(self, steps: Sequence[Step], alphabet: Iterable[str]) -> None:
        self._steps = steps
        self._alphabet = frozenset(alphabet)
        # Traditional characters are converted by phrase, not one by one.
        self._is_by_char = "t2s" not in steps
        stay = "".join(re.escape(char) for char in _OFTEN if self._stays(char))
        self._unusual = re.compile(f"[^{_COMMON}{stay}]|  ")
        self._known: set[str] = set()
        self._changed: dict[int, str] = {}

    def plain(self, text: str) -> str | None:
        """The normal form of a text of which each character becomes one, or None."""
        if not self._is_by_char:
            return None
        lower = text.lower()
        if self._unusual.search(lower) is None and len(lower) == len(text):
            return lower
        if "  " in text or not all(char in self._known or self._is_single(char) for char in {*text}):
            return None
        return text.translate(self._changed)

    def _is_single(self, char: str) -> bool:
        # "&" may begin an entity; marks and parts of syllables may join the character before them.
        joins = unicodedata.category(char)[0] in "MC" or "\u1100" <= char <= "\u11ff" or char == "&"
        normal = _normal(char, self._steps).text
        if joins or len(normal) != 1 or (char.isspace() and char != " "):
            return False
        self._known.add(char)
        if normal != char:
            self._changed[ord(char)] = normal
        return True

    def _stays(self, char: str) -> bool:
        normal = _normal(char, self._steps).text
        return char == normal or not (self._alphabet & {*normal} or normal.isalnum())


def _with_steps(steps: Sequence[Step]) -> tuple[Step, ...]:
    return (*_ALWAYS, *(step for step in steps if step not in _ALWAYS))


def _normal(text: str, steps: Sequence[Step]) -> Normalised:
    return normalise(text, steps).then(_collapse).then(_fold)


def _collapse(text: str) -> Normalised:
    return substitute(text, _RUN, " ")


def _fold(text: str) -> Normalised:
    """The text without regard to case, character by character."""
    lower = text.lower()
    if len(lower) != len(text):  # of a few letters the small one is two characters
        lower = "".join(small if len(small := char.lower()) == 1 else char for char in text)
    return Normalised(lower)


def _in_blocks(numbers: NDArray[np.int64]) -> Iterator[int]:
    """Numbers of an array as Python's own, some at a time."""
    for begin in range(0, len(numbers), _LONG):
        yield from numbers[begin : begin + _LONG].tolist()


def _longest_first(match: tuple[int, int, int]) -> tuple[int, int]:
    _, start, end = match
    return start - end, start


def _is_in_a_word(text: str, start: int, end: int) -> bool:
    """Whether a word goes on before or behind a span, in a script that separates words."""
    if _is_of_a_word(text[start]) and start and _is_of_a_word(text[start - 1]):
        return True
    return _is_of_a_word(text[end - 1]) and _is_of_a_word(text[end : end + 1])


def _is_of_a_word(char: str) -> bool:
    return char < _FIRST_CJK and char.isalnum()
