"""Shares corrected for the model's errors.

``from_labels``: people have checked some of the scored mentions. The true labels are counted within
each group of mentions that the model treats alike (its label, and whether it is sure of it), and
every cell's groups are weighed by these counts: the double-sampling estimator (Tenenbein, JASA 65, 1970),
which is prediction-powered inference (Angelopoulos et al., Science 382, 2023) with the group means as the
prediction. Where a cell has enough checked mentions of its own, their mean error is taken off besides.

``from_confusion``: a report's confusion counts. Then only what the model makes of each true label is
known, and the shares are the mixture that explains what it said best (maximum likelihood by expectation
maximisation; the adjusted count of Forman, Data Mining and Knowledge Discovery 17, 2008, kept within 0 to 1);
it holds if the model errs here as it did there. Its uncertainty is that of both samples, by linearisation.

Besides shares anything is estimated that each true label has a value of: an outcome matrix [L, M] whose first
L columns are the identity, and whose last may be the label's sentiment. Variances come from two samples, the
mentions that the model read and those that people checked, so their degrees of freedom are Satterthwaite's
(Biometrics Bulletin 2, 1946).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from attar.insight.shares import Floats, Ints, Shares

__all__ = [
    "ConfusionCorrection",
    "Contrast",
    "Corrected",
    "Correction",
    "LabelCorrection",
    "from_confusion",
    "from_labels",
    "uncorrected",
]

_OWN = 100  # checked mentions of a cell from which its own mean error is used
_STEPS = 300  # of expectation maximisation
_ENDLESS = 1e9  # degrees of freedom of what is known
_TINY = 1e-15


@dataclass(frozen=True, slots=True)
class Corrected:
    """Corrected means of the outcomes of the true labels, [C, M] each; the first L are shares.

    Attributes:
        share: The means.
        variance: Of ``share``.
        freedom: Degrees of freedom of ``variance``.
    """

    share: Floats
    variance: Floats
    freedom: Floats


class Contrast(NamedTuple):
    """A weighted sum of cells, such as one less another; [M] each.

    Attributes:
        value: The sum.
        variance: Of ``value``.
        freedom: Degrees of freedom of ``variance``.
    """

    value: Floats
    variance: Floats
    freedom: Floats


@dataclass(frozen=True, slots=True)
class LabelCorrection:
    """What checked mentions say of each group of mentions.

    Attributes:
        rate: [K, M] mean of each outcome of the true labels within a group.
        covariance: [M, K, K] of the rates of each outcome, over reviews.
        own_error: [C, M] mean of what the rates miss, over the checked mentions of a cell; 0 where there
            are too few.
        own_variance: [C, M] of ``own_error``, over reviews.
        uses_own: [C] whether a cell has enough of its own.
        limits: [2, M] least and greatest value of each outcome.
        freedom: Degrees of freedom of the checked reviews.
    """

    rate: Floats
    covariance: Floats
    own_error: Floats
    own_variance: Floats
    uses_own: Ints
    limits: Floats
    freedom: float

    def apply(self, shares: Shares) -> Corrected:
        """Correct the shares of all cells."""
        share = shares.share @ self.rate + self.own_error
        scored = np.einsum("ckj,km,jm->cm", shares.covariance, self.rate, self.rate, optimize=True)
        # A cell with an error of its own does not depend on what the others' mentions said.
        pooled = np.einsum("ck,mkj,cj->cm", shares.share, self.covariance, shares.share, optimize=True)
        told = np.where(self.uses_own[:, None] > 0, self.own_variance, pooled)
        scored, told = np.maximum(scored, 0.0), np.maximum(told, 0.0)
        freedom = _satterthwaite(scored, shares.reviews[:, None] - 1, told, self.freedom)
        return Corrected(np.clip(share, *self.limits), scored + told, freedom)

    def contrast(self, shares: Shares, cells: Ints, weights: Floats) -> Contrast:
        """The sum of the means of some cells, [n] each, with weights."""
        step = weights @ shares.share[cells]
        value = step @ self.rate + weights @ self.own_error[cells]
        spread = shares.covariance_of(cells, weights)
        scored = np.maximum(np.einsum("kj,km,jm->m", spread, self.rate, self.rate), 0.0)
        pooled = (weights * (1 - self.uses_own[cells])) @ shares.share[cells]
        told = np.einsum("k,mkj,j->m", pooled, self.covariance, pooled)
        told = np.maximum(told + weights**2 @ self.own_variance[cells], 0.0)
        reviews = int(shares.reviews[cells].min())
        return Contrast(value, scored + told, _satterthwaite(scored, reviews - 1, told, self.freedom))

    def difference(self, shares: Shares, a: int, b: int) -> Contrast:
        """Mean of each outcome in cell ``b`` less that in cell ``a``."""
        return self.contrast(shares, np.array([a, b]), np.array([-1.0, 1.0]))


@dataclass(frozen=True, slots=True)
class ConfusionCorrection:
    """Confusion counts of the model.

    Attributes:
        counts: [L, L]: of each true label (row), what the model said (column).
        outcome: [L, M] value of each outcome of a true label.
    """

    counts: Floats
    outcome: Floats

    def apply(self, shares: Shares) -> Corrected:
        """Correct the shares of all cells."""
        rates = _rates(self.counts)
        distinct, number = np.unique(shares.share, axis=0, return_inverse=True)
        share = _mixture(distinct, rates)[number.reshape(-1)]
        back = _inverse(rates) @ self.outcome
        scored = np.einsum("ckj,km,jm->cm", shares.covariance, back, back, optimize=True)
        told = np.square(share) @ self._label_variance(back)
        freedom = _satterthwaite(scored, shares.reviews[:, None] - 1, told, self._freedom())
        return Corrected(share @ self.outcome, scored + told, freedom)

    def contrast(self, shares: Shares, cells: Ints, weights: Floats) -> Contrast:
        """The sum of the means of some cells, [n] each, with weights."""
        rates = _rates(self.counts)
        step = weights @ _mixture(shares.share[cells], rates)
        back = _inverse(rates) @ self.outcome
        spread = shares.covariance_of(cells, weights)
        scored = np.maximum(np.einsum("kj,km,jm->m", spread, back, back), 0.0)
        told = np.square(step) @ self._label_variance(back)
        reviews = int(shares.reviews[cells].min())
        freedom = _satterthwaite(scored, reviews - 1, told, self._freedom())
        return Contrast(step @ self.outcome, scored + told, freedom)

    def difference(self, shares: Shares, a: int, b: int) -> Contrast:
        """Mean of each outcome in cell ``b`` less that in cell ``a``."""
        return self.contrast(shares, np.array([a, b]), np.array([-1.0, 1.0]))

    def _freedom(self) -> float:
        return max(1.0, float(self.counts.sum()) - len(self.counts))

    def _label_variance(self, back: Floats) -> Floats:
        """[L, M]: what the confusions of each true label (row) add to the variance of each mean."""
        rates, total = _rates(self.counts), np.maximum(1, self.counts.sum(1))
        made = np.einsum("kj,jm->km", rates, back**2) - np.einsum("kj,jm->km", rates, back) ** 2
        return np.asarray(made / total[:, None])


Correction = LabelCorrection | ConfusionCorrection


def uncorrected(values: Floats, num_cells: int) -> LabelCorrection:
    """The correction that takes each group [K] for what the model says: its outcomes [K, M] are known."""
    num_groups, num_outcomes = values.shape
    return LabelCorrection(
        values,
        np.zeros((num_outcomes, num_groups, num_groups)),
        np.zeros((num_cells, num_outcomes)),
        np.zeros((num_cells, num_outcomes)),
        np.zeros(num_cells, np.int64),
        np.stack([values.min(0), values.max(0)]),
        _ENDLESS,
    )


def from_labels(  # noqa: PLR0913 - the numbers of five columns
    group: Ints,
    gold: Ints,
    review: Ints,
    cell: Ints,
    *,
    num_groups: int,
    num_labels: int,
    num_cells: int,
    outcome: Floats | None = None,
) -> LabelCorrection:
    """Learn the correction from checked mentions, [n] each.

    Args:
        group: What the model's treatment of a mention is, 0 to K - 1.
        gold: Its true label.
        review: Of which review it is.
        cell: In which cell; -1 in none that is asked for.
        num_groups: K.
        num_labels: L.
        num_cells: C.
        outcome: [L, M] what is estimated of each true label; None for the shares alone.
    """
    outcome = np.eye(num_labels) if outcome is None else outcome
    num_outcomes = outcome.shape[1]
    total = np.bincount(group, minlength=num_groups).astype(np.float64)
    sums = np.zeros((num_groups, num_outcomes))
    np.add.at(sums, group, outcome[gold])
    # A group that nobody checked is taken for what the labels say in all.
    overall = outcome[gold].mean(0) if len(gold) else outcome.mean(0)
    rate = np.where(total[:, None] > 0, sums / np.maximum(1, total)[:, None], overall)
    _, number = np.unique(review, return_inverse=True)
    num_reviews = int(number.max(initial=-1)) + 1
    error = outcome[gold] - rate[group]
    influence = np.zeros((num_reviews, num_groups, num_outcomes))
    np.add.at(influence, (number, group), error / np.maximum(1, total)[group, None])
    few = num_reviews / max(1, num_reviews - 1)
    covariance = few * np.einsum("gkm,gjm->mkj", influence, influence, optimize=True)
    limits = np.stack([outcome.min(0), outcome.max(0)])
    _lift_unanimous(covariance, rate, total, limits)
    own_error, own_variance = np.zeros((num_cells, num_outcomes)), np.zeros((num_cells, num_outcomes))
    uses_own = np.zeros(num_cells, np.int64)
    checked = np.bincount(cell[cell >= 0], minlength=num_cells)
    for one in np.flatnonzero(checked >= _OWN):
        here = cell == one
        mean = error[here].mean(0)
        _, mine = np.unique(number[here], return_inverse=True)
        spread = np.zeros((int(mine.max()) + 1, num_outcomes))
        np.add.at(spread, mine, error[here] - mean)
        own_error[one] = mean
        own_variance[one] = (spread**2).sum(0) / here.sum() ** 2 * len(spread) / max(1, len(spread) - 1)
        uses_own[one] = 1
    freedom = float(max(1, num_reviews - 1))
    return LabelCorrection(rate, covariance, own_error, own_variance, uses_own, limits, freedom)


def from_confusion(counts: Floats | Ints, outcome: Floats | None = None) -> ConfusionCorrection:
    """Take the correction from confusion counts [L, L], true labels by row; ``outcome`` as above."""
    made = np.asarray(counts, np.float64)
    return ConfusionCorrection(made, np.eye(len(made)) if outcome is None else outcome)


def _lift_unanimous(covariance: Floats, rate: Floats, total: Floats, limits: Floats) -> None:
    """Give groups whose checked mentions all say the same a variance, in place.

    Ten of ten right is not certain: the variance is that of one more mention of either kind (Laplace).
    """
    low, span = limits[0], np.maximum(_TINY, limits[1] - limits[0])
    for k in range(len(rate)):
        near = (rate[k] - low) / span
        smoothed = (near * total[k] + 1) / (total[k] + 2)
        floor = span**2 * smoothed * (1 - smoothed) / (total[k] + 2)
        flat = covariance[:, k, k] <= _TINY
        covariance[flat, k, k] = floor[flat]


def _satterthwaite(
    first: Floats, first_freedom: Floats | Ints | float, second: Floats, second_freedom: float
) -> Floats:
    """Degrees of freedom of a sum of two independent variances."""
    parts = first**2 / np.maximum(1, first_freedom) + second**2 / max(1.0, second_freedom)
    whole = (first + second) ** 2
    alone = np.broadcast_to(np.maximum(1.0, np.asarray(first_freedom, np.float64)), first.shape)
    return np.where(whole > _TINY**2, whole / np.maximum(parts, _TINY**2), alone)


def _inverse(rates: Floats) -> Floats:
    return np.asarray(np.linalg.pinv(rates), np.float64)


def _rates(counts: Floats) -> Floats:
    """[L, L] share of each answer among those of a true label; one that is lacking is kept as it is."""
    seen = counts.sum(1, keepdims=True)
    return np.where(seen > 0, counts / np.maximum(1, seen), np.eye(len(counts)))


def _mixture(said: Floats, rates: Floats) -> Floats:
    """[C, L] shares of true labels that make what is said, ``said`` [C, L], likeliest."""
    share = np.full_like(said, 1 / said.shape[1])
    for _ in range(_STEPS):
        expected = np.maximum(share @ rates, 1e-12)
        share = share * ((said / expected) @ rates.T)
        share /= np.maximum(share.sum(1, keepdims=True), 1e-12)
    return share
