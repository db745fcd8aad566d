"""Offsets of labels: what they gain, by brute force, and that noise moves nothing."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, f1_score

from attar.evaluation.thresholds import best_offsets, choose_thresholds


def reluctant(seed, count=600, share=0.06, reluctance=2.0):
    """Logits of three labels, the first one rare and given too seldom."""
    rng = np.random.default_rng(seed)
    gold = rng.choice(3, size=count, p=[share, (1 - share) / 2, (1 - share) / 2])
    logits = rng.normal(size=(count, 3))
    logits[np.arange(count), gold] += 2
    logits[:, 0] -= reluctance
    return logits, gold


def macro_f1(logits, gold):
    return f1_score(gold, logits.argmax(1), average="macro", labels=range(logits.shape[1]), zero_division=0)


def accuracy(logits, gold):
    return accuracy_score(gold, logits.argmax(1))


@settings(max_examples=25)
@given(st.integers(0, 10_000), st.sampled_from(["macro_f1", "accuracy"]))
def test_two_labels_are_those_of_brute_force(seed, metric):
    rng = np.random.default_rng(seed)
    gold, logits = rng.integers(0, 2, 12), rng.normal(size=(12, 2)).astype(np.float32)
    offsets = best_offsets(logits, gold, metric)
    score = macro_f1 if metric == "macro_f1" else accuracy
    margins = np.sort(logits[:, 1] - logits[:, 0])
    places = [*((margins[1:] + margins[:-1]) / 2), 0.0]
    best = max(score(logits + np.array([place, 0.0]), gold) for place in places)
    assert score(logits + offsets, gold) == pytest.approx(best)
    assert offsets[np.bincount(gold, minlength=2).argmax()] == 0


def test_three_labels_come_near_a_grid():
    logits, gold = reluctant(1, count=200)
    grid = np.linspace(-3, 3, 13)
    commonest = np.bincount(gold).argmax()
    best = 0.0
    for pair in itertools.product(grid, repeat=2):
        offsets = np.insert(np.array(pair), commonest, 0.0)
        best = max(best, macro_f1(logits + offsets, gold))
    assert macro_f1(logits + best_offsets(logits, gold, "macro_f1"), gold) > best - 0.01


def test_a_label_given_too_seldom_is_given_more_often():
    logits, gold = reluctant(2)
    found = choose_thresholds(logits, gold, "macro_f1")
    assert found.kept
    assert 1 < found.offsets[0] < 3
    assert found.gain > 0.02
    assert found.before == pytest.approx(macro_f1(logits, gold))
    assert found.after == pytest.approx(macro_f1(logits + found.offsets, gold))
    fresh = reluctant(3, count=4000)
    assert macro_f1(fresh[0] + found.offsets, fresh[1]) > macro_f1(*fresh) + 0.02


def test_noise_is_not_kept():
    """Thresholds that are right already: what dev asks for on top of it is chance."""
    kept = [choose_thresholds(*reluctant(seed, 300, 1 / 3, 0.0), "macro_f1") for seed in range(20)]
    assert all(found.after >= found.before for found in kept)
    assert sum(found.kept for found in kept) <= 3


def test_it_is_the_same_again_and_does_not_depend_on_a_common_shift():
    logits, gold = reluctant(4)
    first, again = (choose_thresholds(logits, gold, "macro_f1") for _ in range(2))
    shifted = choose_thresholds(logits + np.arange(len(gold))[:, None], gold, "macro_f1")
    assert first.offsets.tolist() == again.offsets.tolist()
    np.testing.assert_allclose(shifted.offsets, first.offsets, atol=1e-9)
    assert (first.gain, first.kept) == (again.gain, again.kept)


def test_a_label_without_examples_and_a_collapsed_model_stay():
    logits, gold = reluctant(5, share=0.0)
    assert choose_thresholds(logits, gold, "macro_f1").offsets[0] == 0
    same = choose_thresholds(np.tile([[0.0, 1.0, 2.0]], (40, 1)), np.arange(40) % 3, "macro_f1")
    assert same.offsets.tolist() == [0, 0, 0]
    assert not same.kept


@pytest.mark.parametrize("gold", [[1], [1, 1, 1], [0, 1]])
def test_too_few_examples_choose_nothing(gold):
    logits = np.random.default_rng(0).normal(size=(len(gold), 3))
    assert not choose_thresholds(logits, np.array(gold), "macro_f1").kept
