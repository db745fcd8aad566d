"""The linear baseline as a teacher: it errs differently than a network, and costs next to nothing.

On the examples that it was fitted on it would only repeat their labels. So five are fitted, each
without a fifth of the reviews: a training example, or a changed copy of one, is predicted by the one
that never saw its review, every other example by the mean of all (cross-fitting, as in stacking:
Wolpert 1992, Stacked generalization).
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from attar.distillation.teachers import Teacher
from attar.evaluation.baselines import WindowedLinear
from attar.evaluation.calibration import fit_temperature
from attar.io.files import content_hash
from attar.task import Example, Task

__all__ = ["linear_teacher"]

_LOG = logging.getLogger(__name__)
_FOLDS = 5
_VERSION = "windowed-linear-2"  # changes whenever its logits do
_SMALLEST_PROB = 1e-6


def linear_teacher(task: Task, train: Sequence[Example], dev: Sequence[Example]) -> Teacher:
    """The windowed linear model of ``attar.evaluation.baselines``, fitted when it is first needed.

    Its logits are log-probs over one temperature that calibrates its predictions of the training
    examples, so that it is as sure as it is right and may be averaged with networks.

    ``dev`` chooses its window and strength; all examples are labelled.

    Raises:
        DataError: When it is fitted: a fold has no example, or a single label.
    """
    data = [[[*example.question, example.label] for example in part] for part in (train, dev)]
    fingerprint = content_hash([_VERSION, task.to_json(), data])
    model = _CrossFitted(task, train, dev)
    return Teacher("linear", fingerprint, model, fit=lambda: model.temperature)


class _CrossFitted:
    def __init__(self, task: Task, train: Sequence[Example], dev: Sequence[Example]) -> None:
        self.task, self.train, self.dev = task, train, dev
        reviews = dict.fromkeys(example.text for example in train)
        self.folds = {text: number % _FOLDS for number, text in enumerate(reviews)}

    def __call__(self, examples: Sequence[Example]) -> NDArray[np.float32]:
        return (self._log_probs(examples) / self.temperature).astype(np.float32)

    @cached_property
    def models(self) -> list[WindowedLinear]:
        found = []
        for fold in range(_FOLDS):
            seen = [example for example in self.train if self.folds[example.text] != fold]
            found.append(WindowedLinear(self.task, seen, self.dev))
            _LOG.info("linear teacher: fitted %d of %d, on %d examples", fold + 1, _FOLDS, len(seen))
        return found

    @cached_property
    def temperature(self) -> float:
        gold = np.array([self.task.index_of(example) for example in self.train])
        return fit_temperature(self._log_probs(self.train), gold)

    def _log_probs(self, examples: Sequence[Example]) -> NDArray[np.float64]:
        """[N, C]: of the model that did not see the review, or the mean of all."""
        every = np.stack([np.log(np.maximum(model(examples), _SMALLEST_PROB)) for model in self.models])
        chosen = [self.folds.get(example.meta.get("copy_of", example.text)) for example in examples]
        rows = [every[:, i].mean(0) if fold is None else every[fold, i] for i, fold in enumerate(chosen)]
        return np.array(rows, np.float64).reshape(len(examples), len(self.task.labels))
