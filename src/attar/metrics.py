"""Accuracy and F1 of confusion counts, and the ``Scores`` of a model's probs.

Counts are arrays [..., C, C], row = gold, column = predicted. The bootstrap scores a thousand
resamples at once with the same functions. Equal to scikit-learn's figures with ``zero_division=0``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from attar.errors import DataError
from attar.task import Task

__all__ = [
    "LabelScores",
    "Scores",
    "accuracy_of",
    "confusion_counts",
    "f1_of",
    "macro_f1_of",
    "macro_f1_present",
    "scores",
    "tabulate",
]

Counts = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class LabelScores:
    """One label against the rest; ``support`` is how many examples truly have it."""

    precision: float
    recall: float
    f1: float
    support: int


@dataclass(frozen=True, slots=True)
class Scores:
    """What a model reaches on labelled examples.

    Attributes:
        accuracy: Share of examples whose likeliest label is the gold one.
        macro_f1: Unweighted mean of the F1 of every label of the task.
        labels: Scores by label, in the order of the logits.
        confusion: [C, C] counts, row = gold, column = predicted.
    """

    accuracy: float
    macro_f1: float
    labels: dict[str, LabelScores]
    confusion: NDArray[np.int64]


def confusion_counts(gold: NDArray[np.integer], predicted: NDArray[np.integer], num_labels: int) -> Counts:
    """[C, C] counts of (gold, predicted) pairs, row = gold."""
    cells = gold.astype(np.int64) * num_labels + predicted
    return np.bincount(cells, minlength=num_labels**2).reshape(num_labels, num_labels).astype(np.int64)


def tabulate(pairs: Mapping[tuple[str, str], int], labels: Iterable[str] = ()) -> Counts:
    """[C, C] counts of pairs of names: the given labels in their order, then the others that occur."""
    names = dict.fromkeys([*labels, *(name for pair in pairs for name in pair)])
    number = {name: i for i, name in enumerate(names)}
    confusion = np.zeros((len(names), len(names)), np.int64)
    for (first, second), count in pairs.items():
        confusion[number[first], number[second]] += count
    return confusion


def accuracy_of(confusion: NDArray[np.number]) -> NDArray[np.float64]:
    """Accuracy of [..., C, C] counts, shape [...]; 0 where there are no counts."""
    return _ratio(np.trace(confusion, axis1=-2, axis2=-1), confusion.sum((-2, -1)))


def f1_of(confusion: NDArray[np.number]) -> NDArray[np.float64]:
    """F1 of each label, [..., C], of [..., C, C] counts: 2 hits / (gold + predicted)."""
    hits = np.diagonal(confusion, axis1=-2, axis2=-1)
    return _ratio(2 * hits, confusion.sum(-1) + confusion.sum(-2))


def macro_f1_of(confusion: NDArray[np.number]) -> NDArray[np.float64]:
    """Mean F1 over all labels of [..., C, C] counts, shape [...]."""
    return np.asarray(f1_of(confusion).mean(-1), np.float64)


def macro_f1_present(confusion: NDArray[np.number]) -> float:
    """Mean F1 over the labels of [C, C] counts that are gold or predicted somewhere.

    For small parts of a test set (a channel, a wordtype), where a label that does not
    occur there tells nothing about the model.
    """
    used = (confusion.sum(0) + confusion.sum(1)) > 0
    return float(f1_of(confusion)[used].mean()) if used.any() else 0.0


def _ratio(part: NDArray[np.number], whole: NDArray[np.number]) -> NDArray[np.float64]:
    part, whole = np.asarray(part, np.float64), np.asarray(whole, np.float64)
    ratio = np.zeros(whole.shape)
    np.divide(part, whole, out=ratio, where=whole > 0)
    return ratio


def scores(task: Task, gold: NDArray[np.integer], probs: NDArray[np.floating]) -> Scores:
    """Score probs against gold labels.

    Macro-F1 is the mean over all labels of the task, whether or not they occur: a label that is
    neither in ``gold`` nor predicted counts as F1 = 0, as scikit-learn's ``zero_division=0`` with
    ``labels=`` all of them has it. A ratio without a denominator is 0.

    Args:
        task: Names the C labels.
        gold: [N] label indices.
        probs: [N, C].

    Raises:
        DataError: No examples, or shapes that do not belong together.
    """
    if len(gold) == 0 or probs.shape != (len(gold), len(task.labels)):
        raise DataError(
            f"task {task.name!r}: cannot score probs of shape {list(probs.shape)} against {len(gold)} gold "
            f"labels; expected [{len(gold) or 'N > 0'}, {len(task.labels)}], one row an example"
        )
    confusion = confusion_counts(gold, probs.argmax(1), len(task.labels))
    hits, support = np.diagonal(confusion), confusion.sum(1)
    precision = hits / np.maximum(confusion.sum(0), 1)  # no hits where the sum is 0
    recall, f1 = hits / np.maximum(support, 1), f1_of(confusion)
    labels = {
        label: LabelScores(float(precision[i]), float(recall[i]), float(f1[i]), int(support[i]))
        for i, label in enumerate(task.labels)
    }
    return Scores(float(accuracy_of(confusion)), float(macro_f1_of(confusion)), labels, confusion)
