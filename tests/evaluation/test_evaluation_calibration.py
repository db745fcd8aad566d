"""Calibration against hand arithmetic and known temperatures."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import log_loss

from attar.evaluation.calibration import brier_score, expected_calibration_error, fit_temperature, reliability


def softmax(logits):
    weights = np.exp(logits - logits.max(1, keepdims=True))
    return weights / weights.sum(1, keepdims=True)


def test_by_hand():
    probs = np.array([[0.9, 0.1], [0.8, 0.2], [0.35, 0.65], [1.0, 0.0]])
    gold = np.array([0, 1, 1, 0])
    bins = reliability(gold, probs, bins=2)
    assert [part.count for part in bins] == [0, 4]
    assert bins[1].confidence == pytest.approx(0.8375)
    assert bins[1].accuracy == 0.75
    assert expected_calibration_error(gold, probs, bins=2) == pytest.approx(0.0875)
    assert brier_score(gold, probs) == pytest.approx((0.02 + 1.28 + 0.245 + 0) / 4)


@given(st.integers(0, 10_000), st.integers(1, 30))
def test_bins_hold_every_example_once(seed, bins):
    rng = np.random.default_rng(seed)
    probs = rng.dirichlet([0.3] * 3, 50)
    parts = reliability(rng.integers(0, 3, 50), probs, bins)
    assert sum(part.count for part in parts) == 50
    assert all(p.low - 1e-9 <= p.confidence <= p.high + 1e-9 for p in parts if p.count)


@pytest.mark.parametrize("temperature", [0.4, 1.0, 2.5])
def test_the_temperature_that_made_the_labels_is_found(temperature):
    rng = np.random.default_rng(3)
    logits = rng.normal(0, 3, (20_000, 3))
    chance = softmax(logits / temperature).cumsum(1)
    gold = (rng.random((20_000, 1)) > chance).sum(1).clip(0, 2)
    assert fit_temperature(logits, gold) == pytest.approx(temperature, rel=0.06)


def test_it_is_the_minimum_of_the_log_loss():
    rng = np.random.default_rng(4)
    gold = rng.integers(0, 3, 200)
    logits = rng.normal(0, 4, (200, 3)) + 2 * np.eye(3)[gold]
    best = fit_temperature(logits, gold)
    losses = [log_loss(gold, softmax(logits / t), labels=range(3)) for t in (best, 0.9 * best, 1.1 * best)]
    assert losses[0] < min(losses[1:])


def test_no_finite_optimum_stays_within_bounds():
    logits = np.array([[4.0, 0.0], [0.0, 4.0]])
    assert fit_temperature(logits, np.array([0, 1])) == pytest.approx(0.05)
    assert fit_temperature(logits, np.array([1, 0])) == pytest.approx(20)
