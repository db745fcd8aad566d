"""Why rows have no partner among the gold labels: another text, other offsets, another term.

Pure: annotations in, lines for the console and the workbook out. They name rows, never what these say.
"""

from __future__ import annotations

import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

from attar.compare.join import Annotation
from attar.language.translator import N_, Phrase, phrase

__all__ = ["Unmatched", "explain"]

_MOST_ROWS = 3


class Unmatched:
    """What some annotations are looked for among.

    Args:
        others: Where a partner could have been.
    """

    def __init__(self, others: Iterable[Annotation]) -> None:
        self._by_text: defaultdict[str, list[Annotation]] = defaultdict(list)
        for other in others:
            self._by_text[other.text].append(other)
        self._loose = {_loose(text) for text in self._by_text}

    def why(self, annotation: Annotation) -> str:
        """Why an annotation has no partner, in a few words."""
        same = self._by_text.get(annotation.text)
        if same is None:
            is_near = _loose(annotation.text) in self._loose
            near = N_("the text differs in blanks or in the form of its characters")
            return near if is_near else N_("another text")
        if any(other.term == annotation.term for other in same):
            return N_("other offsets")
        return N_("another term in the same text")


def explain(
    who: str, unmatched: Sequence[Annotation], num_rows: int, of: str, others: Iterable[Annotation]
) -> list[Phrase]:
    """Lines that say how many rows of a side have no partner, why, and which are the first.

    Args:
        who: Whose rows they are.
        unmatched: Those without a partner.
        num_rows: How many rows there are.
        of: Where a partner was looked for.
        others: What is there.
    """
    if not unmatched:
        return []
    partners = Unmatched(others)
    reasons = [partners.why(annotation) for annotation in unmatched]
    counts = [
        phrase("{reason} {num}", reason=Phrase(reason, {}), num=count)
        for reason, count in Counter(reasons).most_common()
    ]
    first = [
        phrase("{where}: {reason}", where=one.where or phrase("a row"), reason=Phrase(reason, {}))
        for one, reason in list(zip(unmatched, reasons, strict=True))[:_MOST_ROWS]
    ]
    said = phrase(
        "{num} of {rows} rows of {who} have no partner in {of} ({counts})",
        num=len(unmatched), rows=num_rows, who=who, of=of, counts=counts,
    )  # fmt: skip
    return [said, phrase("the first: {rows}", rows=first)]


def _loose(text: str) -> str:
    return "".join(unicodedata.normalize("NFKC", text).split())
