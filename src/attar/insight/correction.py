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
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from attar.insight.shares import Floats, Ints, Shares

__all__ = ["ConfusionCorrection", "Corrected", "LabelCorrection", "from_confusion", "from_labels"]

_OWN = 100  # checked mentions of a cell from which its own mean error is used
_STEPS = 300  # of expectation maximisation


@dataclass(frozen=True, slots=True)
class Corrected:
    """Corrected shares of the true labels, [C, L] each."""

    share: Floats
    variance: Floats


@dataclass(frozen=True, slots=True)
class LabelCorrection:
    """What checked mentions say of each group of mentions.

    Attributes:
        rate: [K, L] share of each true label within a group.
        covariance: [L, K, K] of the rates of each label, over reviews.
        own_error: [C, L] mean of what the rates miss, over the checked mentions of a cell; 0 where there
            are too few.
        own_variance: [C, L] of ``own_error``, over reviews.
        uses_own: [C] whether a cell has enough of its own.
    """

    rate: Floats
    covariance: Floats
    own_error: Floats
    own_variance: Floats
    uses_own: Ints

    def apply(self, shares: Shares) -> Corrected:
        """Correct the shares of all cells."""
        share = shares.share @ self.rate + self.own_error
        scored = np.einsum("ckj,kl,jl->cl", shares.covariance, self.rate, self.rate)
        # A cell with an error of its own does not depend on what the others' mentions said.
        pooled = np.einsum("ck,lkj,cj->cl", shares.share, self.covariance, shares.share)
        variance = scored + np.where(self.uses_own[:, None] > 0, self.own_variance, pooled)
        return Corrected(np.clip(share, 0.0, 1.0), np.maximum(variance, 0.0))

    def difference(self, shares: Shares, a: int, b: int) -> tuple[Floats, Floats]:
        """Share of each label in cell ``b`` less that in cell ``a``, and its variance; [L] both."""
        step = shares.share[b] - shares.share[a]
        value = step @ self.rate + self.own_error[b] - self.own_error[a]
        between = shares.covariance_between(a, b)
        spread = shares.covariance[a] + shares.covariance[b] - between - between.T
        variance = np.einsum("kj,kl,jl->l", spread, self.rate, self.rate)
        weights = [shares.share[cell] * (1 - self.uses_own[cell]) for cell in (a, b)]
        pooled = weights[1] - weights[0]
        variance = variance + np.einsum("k,lkj,j->l", pooled, self.covariance, pooled)
        variance = variance + self.own_variance[a] + self.own_variance[b]
        return value, np.maximum(variance, 0.0)


@dataclass(frozen=True, slots=True)
class ConfusionCorrection:
    """Confusion counts of the model.

    Attributes:
        counts: [L, L]: of each true label (row), what the model said (column).
    """

    counts: Floats

    def apply(self, shares: Shares) -> Corrected:
        """Correct the shares of all cells."""
        rates = _rates(self.counts)
        share = _mixture(shares.share, rates)
        back = _inverse(rates)
        scored = np.einsum("ckj,kl,jl->cl", shares.covariance, back, back)
        told = np.square(share) @ self._label_variance(back)
        return Corrected(share, scored + told)

    def difference(self, shares: Shares, a: int, b: int) -> tuple[Floats, Floats]:
        """Share of each label in cell ``b`` less that in cell ``a``, and its variance; [L] both."""
        rates = _rates(self.counts)
        share = _mixture(shares.share[[a, b]], rates)
        back = _inverse(rates)
        between = shares.covariance_between(a, b)
        spread = shares.covariance[a] + shares.covariance[b] - between - between.T
        variance = np.einsum("kj,kl,jl->l", spread, back, back)
        value = share[1] - share[0]
        return value, np.maximum(variance + np.square(value) @ self._label_variance(back), 0.0)

    def _label_variance(self, back: Floats) -> Floats:
        """[L, L]: what the confusions of each true label (row) add to the variance of each share."""
        rates, total = _rates(self.counts), np.maximum(1, self.counts.sum(1))
        made = np.einsum("kj,jl->kl", rates, back**2) - np.einsum("kj,jl->kl", rates, back) ** 2
        return np.asarray(made / total[:, None])


def from_labels(
    group: Ints, gold: Ints, review: Ints, cell: Ints, *, num_groups: int, num_labels: int, num_cells: int
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
    """
    counts = np.zeros((num_groups, num_labels))
    np.add.at(counts, (group, gold), 1)
    total = counts.sum(1)
    # A group that nobody checked is taken for what the labels say in all.
    overall = counts.sum(0) / max(1.0, counts.sum())
    rate = np.where(total[:, None] > 0, counts / np.maximum(1, total)[:, None], overall)
    _, number = np.unique(review, return_inverse=True)
    num_reviews = int(number.max(initial=-1)) + 1
    error = np.eye(num_labels)[gold] - rate[group]
    influence = np.zeros((num_reviews, num_groups, num_labels))
    np.add.at(influence, (number, group), error / np.maximum(1, total)[group, None])
    few = num_reviews / max(1, num_reviews - 1)
    covariance = few * np.einsum("gkl,gjl->lkj", influence, influence)
    own_error, own_variance = np.zeros((num_cells, num_labels)), np.zeros((num_cells, num_labels))
    uses_own = np.zeros(num_cells, np.int64)
    checked = np.bincount(cell[cell >= 0], minlength=num_cells)
    for one in np.flatnonzero(checked >= _OWN):
        here = cell == one
        mean = error[here].mean(0)
        _, mine = np.unique(number[here], return_inverse=True)
        sums = np.zeros((int(mine.max()) + 1, num_labels))
        np.add.at(sums, mine, error[here] - mean)
        own_error[one] = mean
        own_variance[one] = (sums**2).sum(0) / here.sum() ** 2 * len(sums) / max(1, len(sums) - 1)
        uses_own[one] = 1
    return LabelCorrection(rate, covariance, own_error, own_variance, uses_own)


def from_confusion(counts: Floats | Ints) -> ConfusionCorrection:
    """Take the correction from confusion counts [L, L], true labels by row."""
    return ConfusionCorrection(np.asarray(counts, np.float64))


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
