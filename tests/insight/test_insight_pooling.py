"""Partial pooling: small cells go towards the mean, large ones stay."""

from __future__ import annotations

import numpy as np

from attar.insight.pooling import pooled_means
from attar.insight.shares import interval


def cells(rng, sizes):
    """Cells whose true shares of two labels vary by 5 points: truth, value, low and high."""
    truth = np.clip(rng.normal(0.3, 0.05, len(sizes)), 0.01, 0.99)
    first = rng.binomial(sizes, truth) / sizes
    value = np.stack([first, 1 - first], axis=1)
    low, high = interval(value, value * (1 - value) / sizes[:, None], np.stack([sizes] * 2, axis=1))
    return truth, value, low, high


def pooled(value, low, high, sizes):
    return pooled_means(value, low, high, sizes, np.array([0.21, 0.21]), 2)


def test_pooled_figures_of_small_cells_are_nearer_to_the_truth():
    rng = np.random.default_rng(4)
    sizes = np.concatenate([rng.integers(2, 30, 400), np.full(20, 4000)])
    truth, value, low, high = cells(rng, sizes)
    found = pooled(value, low, high, sizes)
    errors = [np.square(each[:400, 0] - truth[:400]).mean() for each in (value, found)]
    assert errors[1] < 0.25 * errors[0]
    assert np.abs(found[400:] - value[400:]).max() < 0.01
    assert np.allclose(found.sum(1), 1)


def test_a_few_mentions_that_all_say_the_same_do_not_make_the_worst():
    rng = np.random.default_rng(5)
    sizes = np.concatenate([[3], rng.integers(200, 400, 50)])
    _, value, low, high = cells(rng, sizes)
    value[0], low[0], high[0] = (1, 0), (0.4, 0), (1, 0.6)
    found = pooled(value, low, high, sizes)
    assert value[0, 0] == value[:, 0].max()
    assert found[0, 0] < found[:, 0].max()
    assert abs(found[0, 0] - 0.3) < 0.1


def test_nothing_is_pooled_where_there_are_two_cells_or_no_spread():
    value = np.array([[0.2, 0.8], [0.4, 0.6]])
    assert (pooled(value, value - 0.1, value + 0.1, np.array([50, 50])) == value).all()
    same = np.tile([[0.25, 0.75]], (5, 1))
    assert np.allclose(pooled(same, same - 0.1, same + 0.1, np.full(5, 60)), same)
