"""Shares and net sentiment of every cell, as the model says and corrected, with their intervals.

A view is a set of dimensions, such as (brand, month); its cells are the combinations that occur. The outcomes
of a label are M: whether it is each of the L labels, and, where labels have scores, its score, whose mean is
the net sentiment.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from attar.insight.correction import (
    Corrected,
    Correction,
    from_confusion,
    from_labels,
    uncorrected,
)
from attar.insight.pooling import pooled_means
from attar.insight.scored_rows import ScoredRows
from attar.insight.shares import Floats, Ints, Mentions, Shares, count_shares, interval, mean_interval
from attar.task import BUILT_IN_TASKS

__all__ = [
    "SMALL",
    "Checked",
    "Estimate",
    "Grouping",
    "View",
    "cells_of",
    "label_scores",
    "outcome_matrix",
    "sets_of_dimensions",
    "views_of",
]

SMALL = 30
"""Mentions below which a cell is said to be small: it is shown, but in no comparison."""

_BLOCK = 20_000  # cells whose covariances are held at a time
_FEW_CHECKED = 5  # of a group; with fewer, sure and unsure mentions of a label are one group


class Estimate(NamedTuple):
    """Means of the outcomes and their 95 % intervals, [C, M] each."""

    value: Floats
    low: Floats
    high: Floats


@dataclass(frozen=True, slots=True)
class Checked:
    """Where the correction comes from.

    Attributes:
        index: [n] of the rows that people checked, among the scored ones.
        gold: [n] their true labels.
        confusion: [L, L] counts of a report, true labels by row; None without one.
    """

    index: Ints
    gold: Ints
    confusion: Floats | None = None


@dataclass(frozen=True, slots=True)
class Grouping:
    """How mentions are counted.

    Attributes:
        group: [N] group of each mention.
        values: [K, M] outcomes of what the model says in a group.
        outcome: [L, M] outcomes of each label.
        checked: Where the correction comes from; None for none.
    """

    group: Ints
    values: Floats
    outcome: Floats
    checked: Checked | None

    @classmethod
    def of(cls, rows: ScoredRows, outcome: Floats, checked: Checked | None) -> Grouping:
        """Group by label, and where checked mentions suffice also by how sure the model is."""
        num_labels = len(rows.labels)
        plain = cls(rows.label, outcome, outcome, checked)
        if checked is None or checked.confusion is not None or np.isnan(rows.prob).any():
            return plain
        sure = np.zeros(len(rows.label), np.int64)
        for label in range(num_labels):
            here = rows.label == label
            if here.any():
                sure[here] = rows.prob[here] >= np.median(rows.prob[here])
        group = rows.label * 2 + sure
        used = np.bincount(group, minlength=2 * num_labels) > 0
        if (np.bincount(group[checked.index], minlength=2 * num_labels)[used] < _FEW_CHECKED).any():
            return plain
        return cls(group, np.repeat(outcome, 2, axis=0), outcome, checked)

    def correction(self, rows: ScoredRows, cell: Ints, num_cells: int) -> Correction | None:
        """What corrects the cells; ``cell`` [N] is that of each mention."""
        if self.checked is None:
            return None
        if self.checked.confusion is not None:
            return from_confusion(self.checked.confusion, self.outcome)
        index = self.checked.index
        return from_labels(
            self.group[index], self.checked.gold, rows.review[index], cell[index],
            num_groups=len(self.values), num_labels=len(self.outcome), num_cells=num_cells,
            outcome=self.outcome,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class View:
    """The cells of some dimensions.

    Attributes:
        dimensions: Their places among those that are asked for; none is all mentions together.
        codes: [C, d] of each cell, by dimension.
        mentions: [C]; the cells are in the order of it, the largest first.
        reviews: [C].
        counts: [C, L] mentions by the label that the model says.
        said: As the model says.
        corrected: Corrected; None without a source.
        shares: What contrasts are made of; None where there is one cell, or too many to compare.
        correction: The correction, or what stands for none.
        pooled: [C, M] ``best`` drawn towards the view's mean, by how little is known of a cell; of all
            mentions together ``best`` itself.
    """

    dimensions: tuple[int, ...]
    codes: Ints
    mentions: Ints
    reviews: Ints
    counts: Ints
    said: Estimate
    corrected: Estimate | None
    shares: Shares | None
    correction: Correction
    pooled: Floats

    @property
    def best(self) -> Estimate:
        """Corrected where that is known."""
        return self.corrected or self.said

    @property
    def is_small(self) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
        """[C] whether a cell has too few mentions."""
        return np.asarray(self.mentions < SMALL)


def label_scores(labels: tuple[str, ...], given: Mapping[str, float]) -> Floats | None:
    """[L] score of each label from -1 to 1; None where labels have no scale.

    Those of 消极, 中性, 积极 and their other names are known, others are what the user gives.
    """
    if given:
        return np.array([given.get(label, 0.0) for label in labels])
    task = BUILT_IN_TASKS["cosmetics"]
    known = [task.label_of(label) for label in labels]
    if None in known or "积极" not in known or "消极" not in known:
        return None
    return np.array([float(task.labels.index(label) - 1) for label in known if label])


def outcome_matrix(num_labels: int, scores: Floats | None) -> Floats:
    """[L, M]: the identity, and the scores beside it."""
    identity = np.eye(num_labels)
    return identity if scores is None else np.concatenate([identity, scores[:, None]], axis=1)


def sets_of_dimensions(rows: ScoredRows) -> list[tuple[int, ...]]:
    """The dimensions of every view, in the order of the views."""
    places = range(len(rows.dimensions))
    return [each for size in range(len(places) + 1) for each in itertools.combinations(places, size)]


def views_of(rows: ScoredRows, grouping: Grouping, advance: Callable[..., None]) -> list[View]:
    """Every view: all mentions, each dimension, each pair, and so on."""
    made = []
    for dimensions in sets_of_dimensions(rows):
        made.append(_view(rows, grouping, dimensions))
        advance()
    return made


def _view(rows: ScoredRows, grouping: Grouping, dimensions: tuple[int, ...]) -> View:
    cell, codes = cells_of(rows, dimensions)
    num_cells, num_labels = len(codes), len(rows.labels)
    counts = np.bincount(cell * num_labels + rows.label, minlength=num_cells * num_labels)
    correction = grouping.correction(rows, cell, num_cells)
    plain = uncorrected(grouping.values, num_cells)
    if num_cells <= _BLOCK:
        shares = count_shares(Mentions(cell, rows.review, grouping.group, num_cells, len(grouping.values)))
        said = _estimate(plain.apply(shares), shares.reviews, grouping)
        best = _estimate(correction.apply(shares), shares.reviews, grouping) if correction else None
        reviews, kept = shares.reviews, shares if dimensions else None
    else:
        blocks = list(_blocks(rows, grouping, cell, num_cells))
        said, best, reviews, kept = *_together(blocks), None
    mentions = np.bincount(cell, minlength=num_cells)
    shown = best or said
    pooled = pooled_means(*shown, reviews, _spread(shown.value, mentions, grouping.outcome), num_labels)
    return View(
        dimensions, codes, mentions, reviews, counts.reshape(num_cells, num_labels), said, best, kept,
        correction or plain, pooled,
    )  # fmt: skip


def _spread(value: Floats, mentions: Ints, outcome: Floats) -> Floats:
    """[M] variance of each outcome between single mentions, given the shares of all."""
    share = np.clip(mentions @ value[:, : len(outcome)] / max(1, mentions.sum()), 0.0, 1.0)
    return np.asarray(np.maximum(share @ outcome**2 - (share @ outcome) ** 2, 0.0))


def cells_of(rows: ScoredRows, dimensions: tuple[int, ...]) -> tuple[Ints, Ints]:
    """[N] cell of each mention, and [C, d] codes of the cells, the largest first."""
    key = np.zeros(len(rows.label), np.int64)
    sizes = [len(rows.values[place]) for place in dimensions]
    for place, size in zip(dimensions, sizes, strict=True):
        key = key * size + rows.codes[place]
    distinct, cell, counts = np.unique(key, return_inverse=True, return_counts=True)
    order = np.argsort(-counts, kind="stable")
    back = np.empty(len(order), np.int64)
    back[order] = np.arange(len(order))
    left, columns = distinct[order], []
    for size in reversed(sizes):
        left, code = np.divmod(left, size)
        columns.append(code)
    codes = np.stack(columns[::-1], axis=1) if columns else np.zeros((1, 0), np.int64)
    return back[cell.reshape(-1)], codes


def _blocks(
    rows: ScoredRows, grouping: Grouping, cell: Ints, num_cells: int
) -> Iterator[tuple[Estimate, Estimate | None, Ints]]:
    """Estimates of many cells, some at a time: cells of their own do not need the others'."""
    order = np.argsort(cell, kind="stable")
    ends = np.searchsorted(cell[order], np.arange(0, num_cells + _BLOCK, _BLOCK))
    place = np.full(len(cell), -1, np.int64)
    for number, (first, last) in enumerate(itertools.pairwise(ends.tolist())):
        here = order[first:last]
        size = min(_BLOCK, num_cells - number * _BLOCK)
        inside = cell[here] - number * _BLOCK
        _, review = np.unique(rows.review[here], return_inverse=True)
        groups = len(grouping.values)
        shares = count_shares(Mentions(inside, review, grouping.group[here], size, groups))
        place[here] = inside
        correction = grouping.correction(rows, place, size)
        place[here] = -1
        said = _estimate(uncorrected(grouping.values, size).apply(shares), shares.reviews, grouping)
        best = _estimate(correction.apply(shares), shares.reviews, grouping) if correction else None
        yield said, best, shares.reviews


def _together(
    blocks: list[tuple[Estimate, Estimate | None, Ints]],
) -> tuple[Estimate, Estimate | None, Ints]:
    def joined(parts: list[Estimate]) -> Estimate:
        return Estimate(*(np.concatenate(column) for column in zip(*parts, strict=True)))

    said, best = [block[0] for block in blocks], [block[1] for block in blocks]
    corrected = joined([each for each in best if each]) if all(best) else None
    return joined(said), corrected, np.concatenate([block[2] for block in blocks])


def _estimate(made: Corrected, reviews: Ints, grouping: Grouping) -> Estimate:
    """Intervals of the shares, and of the net sentiment behind them."""
    num_labels, num_outcomes = grouping.outcome.shape
    many = np.broadcast_to(reviews[:, None], made.share.shape)
    low, high = interval(
        made.share[:, :num_labels], made.variance[:, :num_labels], many[:, :num_labels],
        made.freedom[:, :num_labels],
    )  # fmt: skip
    if num_outcomes > num_labels:
        scores = grouping.outcome[:, num_labels]
        limits = (float(scores.min()), float(max(scores.max(), scores.min() + 1e-9)))
        net = slice(num_labels, num_outcomes)
        ends = mean_interval(
            made.share[:, net], made.variance[:, net], many[:, net], made.freedom[:, net], limits
        )
        low, high = (np.concatenate(pair, axis=1) for pair in zip((low, high), ends, strict=True))
    return Estimate(made.share, low, high)
