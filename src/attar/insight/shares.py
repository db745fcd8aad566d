"""Shares of labels by cell, and how sure they are.

A cell is one combination of the columns that a user asks for (brand, term, month). Mentions of one
review are not independent, so a review is the unit that is drawn: variances are those of a ratio of
sums over reviews (Cochran, Sampling Techniques, 1977, section 9A; the linearised cluster estimator), and
an interval is Wilson's (1927) at the effective number of mentions that this variance implies, with
Student's quantile for the number of reviews.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "Floats",
    "Ints",
    "Mentions",
    "Shares",
    "benjamini_hochberg",
    "count_shares",
    "interval",
    "mean_interval",
    "p_value",
    "t_quantile",
]

_Z = 1.959963984540054  # of a two-sided interval of 95 %
_FEW = 1e-12
_WIDE = 16  # numbers a review, above which these are made dense first

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Mentions:
    """Mentions as numbers, [N] each.

    Attributes:
        cell: Of each mention.
        review: A number for each review; mentions with the same one belong together.
        group: What is counted: the predicted label, or a finer group of mentions.
        num_cells: C.
        num_groups: K.
    """

    cell: Ints
    review: Ints
    group: Ints
    num_cells: int
    num_groups: int


@dataclass(frozen=True, slots=True)
class Shares:
    """Shares of groups by cell.

    Attributes:
        mentions: [C] mentions of each cell.
        reviews: [C] different reviews of each cell.
        share: [C, K] of the mentions; rows of empty cells are 0.
        covariance: [C, K, K] of ``share``, over reviews.
        residuals: [P, K] for each pair of a cell and a review: its counts, less what the cell's shares
            would have it be. What two cells share of a review makes their shares vary together.
        pair_cell: [P] cell of each pair.
        pair_review: [P] review of each pair.
    """

    mentions: Ints
    reviews: Ints
    share: Floats
    covariance: Floats
    residuals: Floats
    pair_cell: Ints
    pair_review: Ints

    def covariance_of(self, cells: Ints, weights: Floats) -> Floats:
        """[K, K] covariance of a sum of the shares of some cells, [n] each, with weights."""
        parts, reviews = [], []
        for cell, weight in zip(cells, weights, strict=True):
            first = np.searchsorted(self.pair_cell, cell)
            last = np.searchsorted(self.pair_cell, cell, "right")
            parts.append(self.residuals[first:last] * (weight / max(1, self.mentions[cell])))
            reviews.append(self.pair_review[first:last])
        number, residuals = np.concatenate(reviews), np.concatenate(parts)
        if len(number):
            number = number - number.min()
        if int(number.max(initial=0)) > _WIDE * len(number):
            number = np.unique(number, return_inverse=True)[1].reshape(-1)
        # By columns: one count each is many times quicker than adding rows up in place.
        sums = np.stack([np.bincount(number, column) for column in residuals.T])
        return np.asarray(sums @ sums.T)


def count_shares(mentions: Mentions) -> Shares:
    """Count, with the covariances over reviews."""
    cells, groups = mentions.num_cells, mentions.num_groups
    num_reviews = int(mentions.review.max(initial=-1)) + 1
    pairs, pair = np.unique(mentions.cell * max(1, num_reviews) + mentions.review, return_inverse=True)
    pair_cell, pair_review = np.divmod(pairs, max(1, num_reviews))
    counts = np.bincount(pair * groups + mentions.group, minlength=len(pairs) * groups)
    counts = counts.reshape(len(pairs), groups).astype(np.float64)
    total = np.bincount(mentions.cell, minlength=cells)
    reviews = np.bincount(pair_cell, minlength=cells)
    share = np.zeros((cells, groups))
    for k in range(groups):
        share[:, k] = np.bincount(pair_cell, counts[:, k], minlength=cells)
    share /= np.maximum(1, total)[:, None]
    residuals = counts - counts.sum(1, keepdims=True) * share[pair_cell]
    # The factor for few reviews is put into the residuals, so that covariances between cells have it too.
    residuals *= np.sqrt(reviews / np.maximum(1, reviews - 1))[pair_cell, None]
    covariance = np.zeros((cells, groups, groups))
    for k in range(groups):
        for other in range(k, groups):
            product = residuals[:, k] * residuals[:, other]
            sums = np.bincount(pair_cell, product, minlength=cells) / np.maximum(1, total) ** 2
            covariance[:, k, other] = covariance[:, other, k] = sums
    return Shares(total, reviews, share, covariance, residuals, pair_cell, pair_review)


def interval(
    share: Floats, variance: Floats, reviews: NDArray[np.integer], freedom: Floats | None = None
) -> tuple[Floats, Floats]:
    """Ends of the 95 % intervals of shares.

    Args:
        share: Any shape; cut to 0 to 1.
        variance: Of the same shape.
        reviews: How many reviews stand behind each; of the same shape.
        freedom: Degrees of freedom of ``variance``; None for the reviews less one.

    Returns:
        Low and high ends, of the same shape.
    """
    share = np.clip(share, 0.0, 1.0)
    # Where every mention says the same, the variance is 0: then each review is one independent mention.
    spread = share * (1 - share)
    # A corrected share near 0 or 1 is as unsure as its variance says, however many reviews there are.
    deviation = np.minimum(0.5, np.sqrt(np.maximum(variance, 0.0)))
    wide = np.maximum(spread, deviation * (1 - deviation))
    effective = np.where(variance > _FEW, wide / np.maximum(variance, _FEW), reviews)
    effective = np.maximum(effective, _FEW)
    t = t_quantile(np.maximum(1, np.asarray(reviews) - 1 if freedom is None else freedom))
    centre = (share + t**2 / (2 * effective)) / (1 + t**2 / effective)
    half = t * np.sqrt(spread / effective + t**2 / (4 * effective**2)) / (1 + t**2 / effective)
    return np.maximum(0.0, centre - half), np.minimum(1.0, centre + half)


def t_quantile(freedom: NDArray[np.integer] | Floats) -> Floats:
    """The 97.5 % quantile of Student's t; 2 % off at 3 degrees of freedom, less above.

    The Cornish-Fisher expansion (Abramowitz and Stegun, 26.7.5).
    """
    v = np.maximum(np.asarray(freedom, np.float64), 2.0)
    z = _Z
    first = (z**3 + z) / 4
    second = (5 * z**5 + 16 * z**3 + 3 * z) / 96
    third = (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384
    return np.asarray(z + first / v + second / v**2 + third / v**3)


def mean_interval(
    mean: Floats, variance: Floats, reviews: NDArray[np.integer], freedom: Floats, limits: tuple[float, float]
) -> tuple[Floats, Floats]:
    """Ends of the 95 % intervals of means that lie within limits, such as net sentiment within -1 to 1.

    The mean is taken for a share of its range, so that a few reviews which all say the same are not certain.
    """
    low, high = limits
    span = high - low
    ends = interval((mean - low) / span, variance / span**2, reviews, freedom)
    return low + span * ends[0], low + span * ends[1]


def p_value(difference: Floats, variance: Floats, freedom: Floats | None = None) -> Floats:
    """Two-sided, of the hypothesis that there is no difference; 1 where there is no variance.

    With ``freedom`` of Student's t, by the normal that has its tail (Wallace, Annals of Mathematical
    Statistics 30, 1959); None for the normal itself.
    """
    z = np.abs(difference) / np.sqrt(np.maximum(variance, _FEW))
    if freedom is not None:
        z = (8 * freedom + 1) / (8 * freedom + 3) * np.sqrt(freedom * np.log1p(z**2 / freedom))
    tail = np.vectorize(_normal_tail, otypes=[np.float64])(z)
    return np.where(variance > _FEW, 2 * tail, 1.0)


def benjamini_hochberg(p: Floats) -> Floats:
    """P values adjusted for how many there are (Benjamini and Hochberg, 1995): the false discovery rate."""
    order = np.argsort(p)
    ranked = p[order] * len(p) / np.arange(1, len(p) + 1)
    adjusted = np.minimum(1.0, np.minimum.accumulate(ranked[::-1])[::-1])
    back = np.empty(len(p))
    back[order] = adjusted
    return back


def _normal_tail(z: float) -> float:
    from math import erfc, sqrt

    return erfc(z / sqrt(2)) / 2
