"""The bootstrap: reproducible, paired, and over reviews."""

import sys

import numpy as np
import pytest

from attar.intervals import paired_difference, resample
from attar.metrics import confusion_counts, macro_f1_of


def draw(gold, predicted, reviews, seed=0, repeats=400):
    return resample(gold, predicted, reviews, num_labels=3, repeats=repeats, seed=seed)


@pytest.fixture
def sample():
    rng = np.random.default_rng(1)
    gold = rng.integers(0, 3, 300)
    right = rng.random(300) < 0.8
    return gold, np.where(right, gold, rng.integers(0, 3, 300))


def test_the_seed_decides(sample):
    gold, predicted = sample
    first, again, other = (draw(gold, {"m": predicted}, range(300), seed)["m"] for seed in (1, 1, 2))
    assert first.macro_f1() == again.macro_f1()
    assert first.macro_f1() != other.macro_f1()
    assert first.macro_f1().value == other.macro_f1().value


def test_counts_are_those_of_the_drawn_examples(sample):
    gold, predicted = sample
    found = draw(gold, {"m": predicted}, range(300), seed=5, repeats=3)["m"]
    rng = np.random.default_rng(5)
    for row in found.draws:
        drawn = rng.integers(300, size=300)
        assert row.tolist() == confusion_counts(gold[drawn], predicted[drawn], 3).tolist()
    assert found.observed.tolist() == confusion_counts(gold, predicted, 3).tolist()


def test_accuracy_interval_is_the_binomial_one_for_single_examples(sample):
    gold, predicted = sample
    interval = draw(gold, {"m": predicted}, range(300), repeats=4000)["m"].accuracy()
    half = 1.96 * np.sqrt(interval.value * (1 - interval.value) / 300)
    assert interval.low == pytest.approx(interval.value - half, abs=0.008)
    assert interval.high == pytest.approx(interval.value + half, abs=0.008)


def test_repeating_the_terms_of_a_review_buys_no_certainty(sample):
    gold, predicted = np.tile(sample, 4)
    reviews = list(range(300)) * 4
    once = draw(*sample[:1], {"m": sample[1]}, range(300))["m"].macro_f1()
    clustered = draw(gold, {"m": predicted}, reviews)["m"].macro_f1()
    naive = draw(gold, {"m": predicted}, range(1200))["m"].macro_f1()
    assert clustered.high - clustered.low == pytest.approx(once.high - once.low)
    assert naive.high - naive.low < 0.65 * (once.high - once.low)


def test_a_paired_difference_is_that_of_the_same_draws(sample):
    gold, predicted = sample
    found = draw(gold, {"a": predicted, "b": predicted, "c": gold}, range(300))
    same = paired_difference(found["a"], found["b"])
    assert (same.value, same.low, same.high) == (0, 0, 0)
    gap = paired_difference(found["c"], found["a"])
    assert gap.value == pytest.approx(1 - float(macro_f1_of(found["a"].observed)))
    assert 0 < gap.low < gap.value < gap.high


def test_draws_that_are_not_paired_are_refused(sample):
    gold, predicted = sample
    first = draw(gold, {"m": predicted}, range(300), repeats=5)["m"]
    other = draw(gold, {"m": predicted}, range(300), repeats=6)["m"]
    with pytest.raises(AssertionError):
        paired_difference(first, other)


def lines_run(work):
    """How many lines of Python ``work`` runs: an array's elements are none, a loop's rounds are."""
    count, before = 0, sys.gettrace()

    def trace(_frame, event, _arg):
        nonlocal count
        count += event == "line"
        return trace

    sys.settrace(trace)
    try:
        work()
    finally:
        sys.settrace(before)
    return count


def test_no_draw_loops_over_examples_or_reviews():
    rng = np.random.default_rng(0)
    gold, predicted = rng.integers(0, 3, (2, 10_000))
    reviews = rng.integers(0, 7_000, 10_000).tolist()
    few, many = (
        lines_run(lambda n=n: draw(gold, {"a": gold, "b": predicted}, reviews, repeats=n)) for n in (20, 120)
    )
    assert (many - few) / 100 < 50
