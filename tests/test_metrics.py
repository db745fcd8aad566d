"""Figures of confusion counts equal scikit-learn's, also where labels are absent."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import f1_score

from attar.metrics import accuracy_of, confusion_counts, macro_f1_of, macro_f1_present, tabulate

PAIRS = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=40)


@given(PAIRS)
def test_macro_f1_of_a_part_is_over_the_labels_that_occur(pairs):
    gold, predicted = np.array(pairs).T
    expected = f1_score(gold, predicted, average="macro", zero_division=0)
    assert macro_f1_present(confusion_counts(gold, predicted, 4)) == pytest.approx(expected)


def test_counts_can_be_stacked():
    stack = np.stack([np.diag([3, 1]), np.array([[0, 2], [2, 0]]), np.zeros((2, 2))])
    assert accuracy_of(stack).tolist() == [1.0, 0.0, 0.0]
    assert macro_f1_of(stack).tolist() == [1.0, 0.0, 0.0]


@given(PAIRS)
def test_pairs_of_names_are_counted_in_the_order_of_the_labels(pairs):
    named = Counter((f"label {gold}", f"label {predicted}") for gold, predicted in pairs)
    labels = [f"label {i}" for i in range(4)]
    assert (tabulate(named, labels) == confusion_counts(*np.array(pairs).T, 4)).all()
    assert tabulate(named).sum() == len(pairs)
