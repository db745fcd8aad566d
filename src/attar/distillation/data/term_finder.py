"""Known terms in a text: every occurrence of one of them.

All terms are found in one pass (Aho and Corasick, Efficient string matching: an aid to
bibliographic search, 1975). Of occurrences that overlap, the longest is taken, of equally long ones the
first. Chinese has no word borders; a term of another script is found as a whole word only.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from attar.errors import DataError, require
from attar.io.lines import numbered_lines
from attar.text.normalise import Step, normalise

__all__ = ["TermFinder", "TermMatch", "read_terms"]

_FIRST_CJK = "\u2e80"  # scripts before it are written with spaces, or as words


class TermMatch(NamedTuple):
    """An occurrence of a term: code-point offsets in the text as written, and its normalised spelling."""

    start: int
    end: int
    term: str


class TermFinder:
    """Finds terms in texts.

    Args:
        terms: Any number of them; empty ones are left out.
        steps: How terms and texts are normalised before they are compared.

    Attributes:
        terms: The normalised spellings, sorted.

    Raises:
        DataError: There is no term.
        MissingPackageError: The package that finds them is not installed.
    """

    def __init__(self, terms: Iterable[str], steps: Sequence[Step] = ()) -> None:
        require("ahocorasick_rs", "train")
        from ahocorasick_rs import AhoCorasick

        self._steps = tuple(steps)
        self.terms = sorted({self.spelling(term) for term in terms} - {""})
        if not self.terms:
            raise DataError("distill.unlabelled: no term to find; name some in distill.unlabelled.terms")
        self._automaton = AhoCorasick(self.terms)

    def spelling(self, term: str) -> str:
        """A term as it is compared."""
        return normalise(term, self._steps).text.strip()

    def find(self, text: str) -> list[TermMatch]:
        """The occurrences in a text (without broken surrogates) in their order; none overlaps another."""
        normal = normalise(text, self._steps)
        found = self._automaton.find_matches_as_indexes(normal.text, overlapping=True)
        taken = bytearray(len(normal.text))
        matches = []
        for number, start, end in sorted(found, key=lambda match: (match[1] - match[2], match[1])):
            if any(taken[start:end]) or any(_in_a_word(normal.text, at) for at in (start, end)):
                continue
            taken[start:end] = b"\1" * (end - start)
            written = normal.to_original(start, end)
            # One that cuts through an entity or a ligature is none: the term is only a part of it.
            if normal.to_normal(*written) == (start, end):
                matches.append(TermMatch(*written, self.terms[number]))
        return sorted(matches)


def read_terms(terms: str | Sequence[str]) -> list[str]:
    """The terms of a list, or of a UTF-8 file of one a line.

    Raises:
        DataError: The file cannot be read, or holds none.
    """
    if not isinstance(terms, str):
        return list(terms)
    found = [line.strip() for _, line in numbered_lines(Path(terms)) if line.strip()]
    if not found:
        raise DataError(f"{terms}: holds no terms; write one a line or leave distill.unlabelled.terms out")
    return found


def _in_a_word(text: str, at: int) -> bool:
    """Whether a word goes on at this offset, in a script that separates words."""
    around = text[at - 1 : at + 1] if at else ""
    return len(around) == 2 and all(char.isalnum() and char < _FIRST_CJK for char in around)
