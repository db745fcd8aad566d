"""How far annotators agree: percent, Cohen's kappa by pair, Fleiss' kappa, Krippendorff's alpha.

Works on counts (how often which annotators gave which labels to one span), so it costs nothing
that grows with the data. Kappa: Cohen, A Coefficient of Agreement for Nominal Scales, 1960. Alpha
for nominal labels with missing values: Krippendorff, Computing Krippendorff's Alpha-Reliability,
2011, section D.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations
from typing import Any

__all__ = ["Agreement", "cohen_kappa", "fleiss_kappa"]

_MOST_PAIRS = 100


class Agreement:
    """Collects the spans that two or more annotators labelled.

    Attributes:
        num_spans: How many there are.
    """

    def __init__(self) -> None:
        self.num_spans = 0
        # Of each pair of annotators: how often the one gave the first label and the other the second.
        self._pairs: defaultdict[tuple[str, str], Counter[tuple[str, str]]] = defaultdict(Counter)
        # Krippendorff's coincidences: pairs of labels within a span, each span weighted by 1 / (m - 1).
        self._coincidences: Counter[tuple[str, str]] = Counter()

    def add(self, votes: Iterable[tuple[str, str]], count: int = 1) -> None:
        """Take in the labels of one span.

        Args:
            votes: (annotator, label) pairs. Those by nobody in particular ("") do not count, nor
                those of an annotator who gave two labels.
            count: How many spans have these votes.
        """
        given: defaultdict[str, set[str]] = defaultdict(set)
        for annotator, label in votes:
            if annotator:
                given[annotator].add(label)
        labels = {annotator: next(iter(both)) for annotator, both in given.items() if len(both) == 1}
        if len(labels) < 2:
            return
        self.num_spans += count
        share = count / (len(labels) - 1)
        for (a, of_a), (b, of_b) in combinations(sorted(labels.items()), 2):
            self._pairs[a, b][of_a, of_b] += count
            self._coincidences[of_a, of_b] += share  # type: ignore[assignment]
            self._coincidences[of_b, of_a] += share  # type: ignore[assignment]

    @property
    def percent(self) -> float | None:
        """Share of the pairs of labels on one span that are equal, as a fraction of 1."""
        table: Counter[tuple[str, str]] = Counter()
        for pair in self._pairs.values():
            table += pair
        return _equal_share(table) if table else None

    @property
    def alpha(self) -> float | None:
        """Krippendorff's alpha; None where nothing could disagree (no span, or one label only)."""
        totals: Counter[str] = Counter()
        for (label, _), count in self._coincidences.items():
            totals[label] += count
        whole = sum(totals.values())
        expected = whole * whole - sum(total * total for total in totals.values())
        if len(totals) < 2:
            return None
        observed = sum(count for (a, b), count in self._coincidences.items() if a != b)
        return 1 - (whole - 1) * observed / expected

    def kappa(self, a: str, b: str) -> float | None:
        """Cohen's kappa of two annotators on the spans that both labelled; None where undefined."""
        table = self._pairs.get((min(a, b), max(a, b)))
        return cohen_kappa(table) if table else None

    def to_json(self) -> dict[str, Any]:
        """All figures, the pairs with the most spans first (at most 100 of them)."""
        pairs = sorted(self._pairs.items(), key=lambda item: (-sum(item[1].values()), item[0]))
        return {
            "num_annotators": len({name for pair in self._pairs for name in pair}),
            "num_spans": self.num_spans,
            "percent": _rounded(self.percent),
            "alpha": _rounded(self.alpha),
            "num_pairs": len(pairs),
            "pairs": [
                {
                    "annotators": list(names),
                    "num_spans": sum(table.values()),
                    "percent": _rounded(_equal_share(table)),
                    "kappa": _rounded(cohen_kappa(table)),
                }
                for names, table in pairs[:_MOST_PAIRS]
            ],
        }


def cohen_kappa(table: Mapping[tuple[str, str], int]) -> float | None:
    """Cohen's kappa: (observed - chance) / (1 - chance), chance from each one's own label shares.

    Args:
        table: How often the one gave the first label and the other the second.

    Returns:
        None where both only ever give one and the same label, or there are no counts.
    """
    whole = sum(table.values())
    same = sum(count for (a, b), count in table.items() if a == b)
    first, second = Counter[str](), Counter[str]()
    for (a, b), count in table.items():
        first[a] += count
        second[b] += count
    # In whole numbers, times the square of all counts, so that "one label only" is exact.
    chance = sum(first[label] * second[label] for label in first)
    return (same * whole - chance) / (whole**2 - chance) if chance < whole**2 else None


def fleiss_kappa(counts: Sequence[Mapping[str, int]]) -> float | None:
    """Fleiss' kappa of questions that equally many annotators labelled: (observed - chance) / (1 - chance).

    Fleiss, Measuring Nominal Scale Agreement Among Many Raters, 1971. Of two annotators it is Scott's pi,
    because chance is taken from the labels of all together.

    Args:
        counts: Of each question, how many gave which label; the same number of two or more in each.

    Returns:
        None where all give one and the same label, or there are no questions.
    """
    if not counts:
        return None
    raters = sum(counts[0].values())
    assert raters > 1, "two or more annotators"
    assert all(sum(each.values()) == raters for each in counts), "equally many in each question"
    totals = Counter[str]()
    for each in counts:
        totals.update(each)
    whole = raters * len(counts)
    chance = sum(total * total for total in totals.values()) / whole**2
    same = sum(n * n for each in counts for n in each.values()) - whole
    observed = same / (whole * (raters - 1))
    return (observed - chance) / (1 - chance) if len(totals) > 1 else None


def _equal_share(table: Counter[tuple[str, str]]) -> float:
    return sum(count for (a, b), count in table.items() if a == b) / sum(table.values())


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
