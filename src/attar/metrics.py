"""Accuracy and F1 of confusion counts: what evaluation and the workbooks share.

Counts are arrays [..., C, C], row = gold, column = predicted. The bootstrap scores a thousand
resamples at once with the same functions. Equal to scikit-learn's figures with ``zero_division=0``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "accuracy_of",
    "confusion_counts",
    "f1_of",
    "macro_f1_of",
    "macro_f1_present",
    "tabulate",
]

Counts = NDArray[np.int64]


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
