"""The scores of a model: gold label indices and probs in, ``Scores`` out.

First step of ``attar evaluate``. Everything is computed from confusion counts (``attar.metrics``), as
the bootstrap's resamples are (``intervals``).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from attar.errors import DataError
from attar.metrics import accuracy_of, confusion_counts, f1_of, macro_f1_of
from attar.task import Task

__all__ = ["LabelScores", "Scores", "scores"]


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
