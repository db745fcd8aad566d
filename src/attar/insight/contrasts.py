"""Differences between cells, changes and trends, with a mark that knows how many were looked at.

Everything that is compared is one family for Benjamini and Hochberg's false discovery rate: the marks of a
page say what is left when chance has had as many tries as there are rows in its tables. Cells with fewer
than ``SMALL`` mentions, or of one review, are not compared.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np

from attar.insight.correction import Contrast
from attar.insight.estimates import SMALL, View
from attar.insight.scored_rows import ScoredRows
from attar.insight.shares import Floats, Ints, benjamini_hochberg, p_value, t_quantile

__all__ = ["LEVEL", "Finding", "Kind", "find_contrasts"]

LEVEL = 0.05
"""False discovery rate of the marks."""

_MOST_VALUES = 12  # of a dimension that are compared with each other
_MOST_INNER = 8  # values that are compared within each value of another dimension
_MOST_OUTER = 20
_MOST_SERIES = (1, 200, 60)  # all, values, and pairs of values whose change and trend are asked
_FEWEST_REVIEWS = 10
_FEWEST_PERIODS = 4  # of a trend

Kind = Literal["difference", "change", "trend"]
Within = tuple[tuple[int, str], ...]


@dataclass(frozen=True, slots=True)
class Finding:
    """One comparison.

    Attributes:
        kind: ``difference`` of two values, ``change`` from the period before the last to the last, or
            ``trend``, the mean change from one period to the next.
        dimension: Place of the dimension of ``first`` and ``second``; of a change or trend, the period's.
        first: What is compared, by name.
        second: What with: the value is that of the second less that of the first.
        within: Dimensions and values of other dimensions that both have; none for all mentions.
        outcome: Which outcome, 0 to M - 1.
        value: The difference.
        low: Lower end of its 95 % interval.
        high: Upper end.
        p: Of no difference.
        adjusted: ``p`` adjusted for how many were looked at.
    """

    kind: Kind
    dimension: int
    first: str
    second: str
    within: Within
    outcome: int
    value: float
    low: float
    high: float
    p: float
    adjusted: float

    @property
    def is_marked(self) -> bool:
        """Whether it is more than chance would show among so many."""
        return self.adjusted <= LEVEL


class _Asked(NamedTuple):
    kind: Kind
    dimension: int
    first: str
    second: str
    within: Within
    made: Contrast


def find_contrasts(rows: ScoredRows, views: Sequence[View], scored: bool) -> list[Finding]:
    """Compare what a reader would: values with each other, within others, over time.

    Args:
        rows: The scored rows.
        views: All views.
        scored: Whether labels have scores: then net sentiment is compared, else the share of each label.

    Returns:
        All that were looked at, the surest first.
    """
    by_dimensions = {view.dimensions: view for view in views}
    time = next((i for i, each in enumerate(rows.dimensions) if each.period), None)
    names = [i for i in range(len(rows.dimensions)) if i != time]
    asked: list[_Asked] = []
    for place in names:
        asked += _differences(rows, by_dimensions[(place,)])
    for inner, outer in itertools.permutations(names, 2):
        pair = by_dimensions[(min(inner, outer), max(inner, outer))]
        asked += _differences_within(rows, pair, inner, outer)
    if time is not None:
        for size in range(3):
            for places in itertools.combinations(names, size):
                asked += _over_time(rows, by_dimensions[tuple(sorted((*places, time)))], time, places)
    num_labels = len(rows.labels)
    outcomes = [num_labels] if scored else list(range(num_labels))
    return _findings(asked, outcomes)


def _findings(asked: Sequence[_Asked], outcomes: Sequence[int]) -> list[Finding]:
    if not asked:
        return []
    value, variance, freedom = (np.stack([getattr(each.made, name) for each in asked])[:, outcomes]
                                for name in ("value", "variance", "freedom"))  # fmt: skip
    half = t_quantile(freedom) * np.sqrt(variance)
    p = p_value(value, variance, freedom)
    adjusted = benjamini_hochberg(p.reshape(-1)).reshape(p.shape)
    made = [
        Finding(
            *each[:5], outcome, float(value[i, j]), float(value[i, j] - half[i, j]),
            float(value[i, j] + half[i, j]), float(p[i, j]), float(adjusted[i, j]),
        )
        for i, each in enumerate(asked)
        for j, outcome in enumerate(outcomes)
    ]  # fmt: skip
    return sorted(made, key=lambda each: (each.p, -abs(each.value), each.first, each.second))


def _large(view: View) -> Ints:
    """The cells that are large enough to compare."""
    if view.shares is None:
        return np.zeros(0, np.int64)
    return np.flatnonzero((view.mentions >= SMALL) & (view.reviews >= _FEWEST_REVIEWS))


def _contrast(view: View, cells: Sequence[int], weights: Sequence[float]) -> Contrast:
    """The contrast, its variance lifted where all reviews of a cell say the same."""
    assert view.shares is not None
    index, weight = np.array(cells), np.array(weights, np.float64)
    made = view.correction.contrast(view.shares, index, weight)
    return made._replace(variance=made.variance + weight**2 @ _floors(view, index))


def _floors(view: View, cells: Ints) -> Floats:
    """[n, M]: variance of cells whose reviews all say the same, with one of another kind added; else 0."""
    assert view.shares is not None
    flat = np.einsum("ckk->ck", view.shares.covariance[cells]).sum(1) <= 1e-12
    smoothed = 1 / (view.reviews[cells] + 2)
    span = np.ones(view.best.value.shape[1])
    span[view.counts.shape[1] :] = 2.0
    floor = smoothed * (1 - smoothed) / (view.reviews[cells] + 2)
    return np.asarray((flat * floor)[:, None] * span**2)


def _differences(rows: ScoredRows, view: View) -> Iterator[_Asked]:
    place = view.dimensions[0]
    values = rows.values[place]
    large = [cell for cell in _large(view).tolist() if values[view.codes[cell, 0]]][:_MOST_VALUES]
    for a, b in itertools.combinations(large, 2):
        names = values[view.codes[a, 0]], values[view.codes[b, 0]]
        yield _Asked("difference", place, *names, (), _contrast(view, [a, b], [-1.0, 1.0]))


def _differences_within(rows: ScoredRows, view: View, inner: int, outer: int) -> Iterator[_Asked]:
    mine, other = view.dimensions.index(inner), view.dimensions.index(outer)
    groups: dict[int, list[int]] = {}
    for cell in _large(view).tolist():
        code = int(view.codes[cell, other])
        is_named = rows.values[outer][code] and rows.values[inner][view.codes[cell, mine]]
        if is_named and view.codes[cell, mine] < _MOST_INNER and code < _MOST_OUTER:
            groups.setdefault(code, []).append(cell)
    for code, cells in groups.items():
        for a, b in itertools.combinations(cells, 2):
            first, second = (rows.values[inner][view.codes[cell, mine]] for cell in (a, b))
            within = ((outer, rows.values[outer][code]),)
            made = _contrast(view, [a, b], [-1.0, 1.0])
            yield _Asked("difference", inner, first, second, within, made)


def _over_time(rows: ScoredRows, view: View, time: int, places: tuple[int, ...]) -> Iterator[_Asked]:
    """The last change and the trend of all mentions, or of the largest values of some dimensions."""
    at = view.dimensions.index(time)
    periods = rows.values[time]
    dated = [code for code, name in enumerate(periods) if name]
    if len(dated) < 2:
        return
    before, last = dated[-2:]
    columns = [view.dimensions.index(place) for place in places]
    series: dict[tuple[int, ...], dict[int, int]] = {}
    for cell in _large(view).tolist():  # the largest come first
        key = tuple(view.codes[cell, columns].tolist())
        is_named = all(rows.values[place][code] for place, code in zip(places, key, strict=True))
        is_kept = key in series or len(series) < _MOST_SERIES[len(places)]
        if periods[view.codes[cell, at]] and is_named and is_kept:
            series.setdefault(key, {})[int(view.codes[cell, at])] = cell
    for key, cells in series.items():
        within = tuple((place, rows.values[place][code]) for place, code in zip(places, key, strict=True))
        if before in cells and last in cells:
            made = _contrast(view, [cells[before], cells[last]], [-1.0, 1.0])
            yield _Asked("change", time, periods[before], periods[last], within, made)
        if len(cells) >= _FEWEST_PERIODS:
            codes = sorted(cells)
            made = _contrast(view, [cells[code] for code in codes], _slope(codes, view, cells))
            yield _Asked("trend", time, periods[codes[0]], periods[codes[-1]], within, made)


def _slope(codes: Sequence[int], view: View, cells: Mapping[int, int]) -> list[float]:
    """Weights of the least-squares slope over periods, each of them by its mentions."""
    x = np.array(codes, np.float64)
    n = np.array([view.mentions[cells[code]] for code in codes], np.float64)
    centred = x - (n @ x) / n.sum()
    return list(n * centred / (n @ centred**2))
