"""Scores equal scikit-learn's, also where labels are absent."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, confusion_matrix, f1_score, precision_recall_fscore_support

from attar.errors import DataError
from attar.metrics import accuracy_of, confusion_counts, macro_f1_of, macro_f1_present, scores, tabulate
from attar.task import Task

TASK = Task("four", ("a", "b", "c", "d"))
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


@given(PAIRS)
def test_scores_equal_scikit_learn(pairs):
    gold, predicted = np.array(pairs).T
    result = scores(TASK, gold, np.eye(4, dtype=np.float32)[predicted])
    known = {"labels": range(4), "zero_division": 0}
    assert result.accuracy == pytest.approx(accuracy_score(gold, predicted))
    assert result.macro_f1 == pytest.approx(f1_score(gold, predicted, average="macro", **known))
    assert result.confusion.tolist() == confusion_matrix(gold, predicted, labels=range(4)).tolist()
    expected = np.array(precision_recall_fscore_support(gold, predicted, **known)).T
    found = [[s.precision, s.recall, s.f1, s.support] for s in result.labels.values()]
    assert np.allclose(found, expected)
    assert list(result.labels) == list(TASK.labels)


def test_a_label_that_nobody_has_counts_as_zero():
    gold = np.array([0, 1, 2])
    assert scores(TASK, gold, np.eye(4)[gold]).macro_f1 == pytest.approx(0.75)
    assert macro_f1_present(scores(TASK, gold, np.eye(4)[gold]).confusion) == 1.0


@pytest.mark.parametrize(("num_gold", "shape"), [(0, (0, 4)), (2, (3, 4)), (2, (2, 3))])
def test_what_does_not_belong_together_is_refused(num_gold, shape):
    with pytest.raises(DataError, match=r"four.*expected"):
        scores(TASK, np.zeros(num_gold, int), np.zeros(shape))
