"""Whether one side is better than another: paired differences of macro-F1, and McNemar's test.

Both look at the questions that every side answered and that have a gold label. The interval draws whole
reviews (``attar.intervals``), because the terms of one review are not independent; McNemar's test takes each
question for independent, as everybody's does. Macro-F1 is over the labels that are gold somewhere.

McNemar, Note on the sampling error of the difference between correlated proportions or percentages, 1947;
Dietterich, Approximate statistical tests for comparing supervised classification learning algorithms, 1998.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from attar.compare.join import Case
from attar.intervals import paired_difference, resample

__all__ = ["Judged", "McNemar", "differences", "judged_by_all", "mcnemar"]

_MOST_EXACT = 1000  # questions that only one is right on; the exact sum is of as many terms


class McNemar(NamedTuple):
    """Questions on which exactly one of two is right.

    Attributes:
        only_first: How many only the first is right on.
        only_second: How many only the second is.
        p: How likely at least as uneven a split is, if both are equally good.
        is_exact: Whether ``p`` is the binomial test's, not that of the chi-square approximation.
    """

    only_first: int
    only_second: int
    p: float
    is_exact: bool


class Judged(NamedTuple):
    """N questions that every side answered and that have a gold label.

    Attributes:
        cases: N of them.
        labels: C, those that are gold somewhere first.
        num_gold: How many of these there are.
        gold: [N] label indices.
        said: S sides, [S, N] label indices.
        reviews: [N] the texts.
    """

    cases: Sequence[Case]
    labels: Sequence[str]
    num_gold: int
    gold: NDArray[np.int64]
    said: NDArray[np.int64]
    reviews: Sequence[str]

    @property
    def right(self) -> NDArray[np.bool_]:
        """[S, N] whether a side gives the gold label."""
        return np.asarray(self.said == self.gold)


def judged_by_all(cases: Sequence[Case], labels: Sequence[str]) -> Judged:
    """The questions of the cases that every side answered and that have a gold label.

    Args:
        cases: All of them.
        labels: In the order of the tables; any others follow.
    """
    both = [case for case in cases if case.gold is not None and all(case.labels)]
    golds = {case.gold for case in both}
    said_or_gold = {label for case in both for label in (*case.labels, case.gold) if label}
    known = dict.fromkeys([*labels, *sorted(said_or_gold)])
    ordered = sorted(known, key=lambda label: label not in golds)  # stable
    number = {label: i for i, label in enumerate(ordered)}
    said = np.array([[number[label or ""] for label in case.labels] for case in both], np.int64)
    gold = np.array([number[case.gold or ""] for case in both], np.int64)
    num_sides = len(cases[0].sides) if cases else 1
    return Judged(
        both, ordered, len(golds), gold, said.reshape(-1, num_sides).T, [case.asked.text for case in both]
    )


def differences(
    judged: Judged, names: Sequence[str], *, repeats: int = 1000, seed: int = 20
) -> list[dict[str, Any]]:
    """Compare every two sides.

    Args:
        judged: The questions.
        names: Of the sides.
        repeats: Bootstrap draws.
        seed: Of the draws.

    Returns:
        For each pair ``first``, ``second``, ``num`` questions, ``num_reviews``; ``macro_f1``, that of the
        second minus the first's with its 95 % interval (``value``, ``low``, ``high``); ``mcnemar``. None
        where there are no questions.
    """
    if not len(judged.gold) or len(names) < 2:
        return []
    draws = resample(
        judged.gold,
        {str(i): said for i, said in enumerate(judged.said)},
        judged.reviews,
        num_labels=len(judged.labels),
        repeats=repeats,
        seed=seed,
    )
    found, num_reviews = [], len(set(judged.reviews))
    for i, j in combinations(range(len(names)), 2):
        gap = paired_difference(draws[str(j)], draws[str(i)], judged.num_gold)
        first, second = judged.right[i], judged.right[j]
        test = mcnemar(int((first & ~second).sum()), int((second & ~first).sum()))
        pair = {"first": names[i], "second": names[j], "num": len(judged.gold), "num_reviews": num_reviews}
        found.append(pair | {"macro_f1": asdict(gap), "mcnemar": test._asdict()})
    return found


def mcnemar(only_first: int, only_second: int) -> McNemar:
    """McNemar's test that two are right equally often, two-sided.

    Exact (binomial) up to 1,000 questions that only one of them is right on; above that the chi-square
    approximation with continuity correction, which no longer differs.

    Args:
        only_first: Questions that only the first is right on.
        only_second: Those that only the second is.
    """
    num = only_first + only_second
    if num > _MOST_EXACT:
        uneven = (abs(only_first - only_second) - 1) ** 2 / num
        return McNemar(only_first, only_second, math.erfc(math.sqrt(uneven / 2)), is_exact=False)
    fewer = min(only_first, only_second)
    tail = sum(math.comb(num, k) for k in range(fewer + 1))
    return McNemar(only_first, only_second, min(1.0, 2 * tail / 2**num), is_exact=True)
