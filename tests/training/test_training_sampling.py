"""Which rows an epoch reads: their shares, that nothing is lost, that it is the same again."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from attar.training.plan import label_counts, sampled_rows

COUNTS = st.lists(st.integers(0, 60), min_size=1, max_size=5).filter(any)


def test_shares_by_hand():
    assert label_counts([100, 25, 0, 0], "sqrt").tolist() == [83, 42, 0, 0]  # 125 x 10/15, 5/15
    assert label_counts([90, 9, 1], "balanced").tolist() == [34, 33, 33]
    assert label_counts([90, 9, 1], "shuffled").tolist() == [90, 9, 1]


@given(COUNTS, st.sampled_from(["shuffled", "sqrt", "balanced"]))
def test_an_epoch_has_as_many_rows_as_there_are(counts, kind):
    found = label_counts(counts, kind)
    assert found.sum() == sum(counts)
    assert all((wanted == 0) or there for wanted, there in zip(found, counts, strict=True))
    power = {"shuffled": 1, "sqrt": 0.5, "balanced": 0}[kind]
    strength = np.array([n**power if n else 0 for n in counts], float)
    assert np.abs(found - sum(counts) * strength / strength.sum()).max() < 1


@given(COUNTS, st.sampled_from(["shuffled", "sqrt", "balanced"]), st.integers(0, 9), st.integers(0, 9))
def test_rows_of_a_label_are_read_about_equally_often(counts, kind, seed, epoch):
    labels = np.random.default_rng(0).permutation(np.repeat(np.arange(len(counts)), counts))
    rows = sampled_rows(labels.tolist(), kind, seed=seed, epoch=epoch)
    assert rows.tolist() == sampled_rows(labels.tolist(), kind, seed=seed, epoch=epoch).tolist()
    times = np.bincount(rows, minlength=len(labels))
    for label, wanted in enumerate(label_counts(np.bincount(labels), kind)):
        mine = times[labels == label]
        assert mine.sum() == wanted
        assert len(mine) == 0 or mine.max() - mine.min() <= 1


@pytest.mark.parametrize("kind", ["sqrt", "balanced"])
def test_what_an_epoch_leaves_out_another_reads(kind):
    labels = [0] * 40 + [1] * 2
    epochs = [set(sampled_rows(labels, kind, seed=3, epoch=epoch).tolist()) for epoch in range(12)]
    assert len({frozenset(epoch) for epoch in epochs}) > 1
    assert set().union(*epochs) == set(range(42))
