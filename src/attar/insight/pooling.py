"""Partial pooling: the means of small cells drawn towards that of their view, by how little is known of each.

The empirical Bayes estimate of a normal model: a cell's mean is the view's, plus a deviation of its own with
variance tau^2, plus its sampling error. What is shown is ``b * view + (1 - b) * cell``, where
``b = variance / (variance + tau^2)`` (Morris, Parametric empirical Bayes inference, JASA 78, 1983, section
1); tau^2 is the moment estimate of DerSimonian and Laird (Controlled Clinical Trials 7, 1986). A large cell
stays as it is; one of three mentions goes most of the way. It is for ranking and for reading small cells:
intervals, comparisons and marks are those of the cells themselves.
"""

from __future__ import annotations

import numpy as np

from attar.insight.shares import Floats, Ints

__all__ = ["pooled_means"]

_WIDTHS = 2 * 1.959963984540054  # standard errors in a 95 % interval of a normal mean
_FEWEST = 3  # cells from which a spread is estimated
_TINY = 1e-12


def pooled_means(
    value: Floats, low: Floats, high: Floats, reviews: Ints, spread: Floats, num_labels: int
) -> Floats:
    """The means of the cells of a view, pooled.

    Args:
        value: [C, M] means of the outcomes; the first L of them are the shares of the labels.
        low: [C, M] lower ends of their 95 % intervals.
        high: [C, M] upper ends.
        reviews: [C] reviews of each cell.
        spread: [M] variance of each outcome between single mentions.
        num_labels: L.

    Returns:
        [C, M]; with fewer than three cells ``value`` itself. Shares add up to 1.
    """
    if len(value) < _FEWEST:
        return value
    # The interval says how unsure a cell is. One whose few mentions say the same is at least as unsure as
    # that many reviews drawn from all.
    variance = np.maximum(((high - low) / _WIDTHS) ** 2, spread / np.maximum(1, reviews)[:, None])
    variance = np.maximum(variance, _TINY)
    weight = 1 / variance
    sums = weight.sum(0)
    centre = (weight * value).sum(0) / sums
    excess = (weight * (value - centre) ** 2).sum(0) - (len(value) - 1)
    between = np.maximum(0.0, excess / np.maximum(_TINY, sums - (weight**2).sum(0) / sums))
    weight = 1 / (variance + between)
    centre = (weight * value).sum(0) / weight.sum(0)
    drawn = variance / (variance + between)
    pooled = drawn * centre + (1 - drawn) * value
    total = pooled[:, :num_labels].sum(1, keepdims=True)
    pooled[:, :num_labels] /= np.where(total > _TINY, total, 1.0)
    return np.asarray(pooled)
