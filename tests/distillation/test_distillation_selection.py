"""Which examples are learnt from: those that teachers are confident of, in balance, the same for a seed."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from attar.distillation.data.transfer_set import select_rows
from attar.recipe.load import UnlabelledRecipe

COUNTS = (900, 90, 10)


def probs_of(counts, top=0.9):
    """[N, C] of which so many are of each label, mixed."""
    labels = np.random.default_rng(5).permutation(np.repeat(np.arange(len(counts)), counts))
    rest = (1 - top) / (len(counts) - 1)
    return np.where(np.eye(len(counts), dtype=bool)[labels], top, rest)


def kept_by_label(probs, **keys):
    rows, _ = select_rows(probs, UnlabelledRecipe(**keys), seed=3)
    return tuple(np.bincount(probs[rows].argmax(1), minlength=probs.shape[1]).tolist())


@pytest.mark.parametrize(
    ("balance", "limit", "expected"),
    [
        ("none", 10_000, (900, 90, 10)),
        ("none", 100, (90, 9, 1)),
        ("sqrt", 10_000, (703, 90, 10)),  # 1000 * 30 / (30 + 9.4868 + 3.1623) = 703.4
        ("sqrt", 100, (70, 22, 7)),
        ("equal", 10_000, (333, 90, 10)),
        ("equal", 30, (10, 10, 10)),
    ],
)
def test_labels_share_the_limit(balance, limit, expected):
    assert kept_by_label(probs_of(COUNTS), balance=balance, limit=limit) == expected


def test_a_label_that_is_never_said_takes_no_share():
    assert kept_by_label(probs_of((5, 5, 0)), balance="equal") == (5, 5, 0)


def test_only_what_is_sure_is_kept():
    probs = np.array([[0.5, 0.5], [0.79, 0.21], [0.1, 0.9], [0.8, 0.2]])
    rows, sure = select_rows(probs, UnlabelledRecipe(min_confidence=0.8, balance="none"), seed=1)
    assert rows.tolist() == sure.tolist() == [2, 3]
    rows, sure = select_rows(probs, UnlabelledRecipe(min_confidence=0.95), seed=1)
    assert (rows.size, sure.size) == (0, 0)


def test_the_seed_decides_and_not_the_confidence():
    probs = probs_of((500, 500))
    settings = UnlabelledRecipe(limit=100)
    first, again, other = (select_rows(probs, settings, seed)[0].tolist() for seed in (1, 1, 2))
    assert first == again != other


@given(
    arrays.arrays(np.float64, st.tuples(st.integers(1, 40), st.integers(2, 4)), elements=st.floats(0.01, 1)),
    st.sampled_from(["none", "sqrt", "equal"]),
    st.integers(1, 50),
)
def test_rows_are_within_every_bound(raw, balance, limit):
    probs = raw / raw.sum(1, keepdims=True)
    rows, sure = select_rows(probs, UnlabelledRecipe(min_confidence=0.3, balance=balance, limit=limit), 1)
    assert len(rows) <= limit
    assert set(rows) <= set(sure)
    assert np.all(np.diff(rows) > 0)
    if balance == "none" and limit >= len(sure):
        assert rows.tolist() == sure.tolist()
