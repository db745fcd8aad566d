"""The steps of a training: how many, the rows of each, and after which to evaluate.

All follow from the recipe, the examples' lengths and the seed, so that a resumed training takes
exactly the remaining steps.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from attar.errors import RecipeError
from attar.recipe.load import FitRecipe
from attar.text.buckets import shuffled_batches

__all__ = ["StepPlan", "label_counts", "sampled_rows"]

_POWERS = {"shuffled": 1.0, "sqrt": 0.5, "balanced": 0.0}


class StepPlan:
    """The steps of one training.

    Args:
        lengths: Tokens of each example, N of them.
        recipe: Its ``epochs``, ``min_steps``, ``batch_size``, ``drop_last``, ``sampling`` and
            ``evaluations_per_epoch``.
        seed: Decides the batches.
        labels: Class index of each example; needed unless ``sampling`` is "shuffled".

    Raises:
        RecipeError: ``drop_last`` leaves no batch.
    """

    def __init__(
        self, lengths: Sequence[int], recipe: FitRecipe, seed: int, labels: Sequence[int] | None = None
    ) -> None:
        assert recipe.sampling == "shuffled" or labels is not None
        self._lengths, self._recipe, self._seed, self._labels = lengths, recipe, seed, labels
        batches = len(lengths) / recipe.batch_size
        self.steps_per_epoch = math.floor(batches) if recipe.drop_last else math.ceil(batches)
        if self.steps_per_epoch == 0:
            raise RecipeError(
                f"{len(lengths)} training examples are fewer than batch_size = {recipe.batch_size}, and "
                "drop_last leaves out the last, smaller batch; lower batch_size or set drop_last = false"
            )
        steps = math.ceil(recipe.epochs * self.steps_per_epoch)
        self.total_steps = max(1, steps, recipe.min_steps or 0)
        times = recipe.evaluations_per_epoch
        self._evaluated = {self.steps_per_epoch * i // times for i in range(times)}

    def evaluates_after(self, step: int) -> bool:
        """Whether dev is scored after ``step`` optimiser steps.

        At the shares 1/n, 2/n, ... of each epoch, rounded down, and after the last step.
        """
        return step % self.steps_per_epoch in self._evaluated or step == self.total_steps

    def batches_after(self, step: int) -> Iterator[list[int]]:
        """The batches, as indices of examples, that remain after ``step`` optimiser steps."""
        size = self.steps_per_epoch
        for epoch in range(step // size, math.ceil(self.total_steps / size)):
            for number, rows in enumerate(self._batches_of(epoch), epoch * size):
                if step <= number < self.total_steps:
                    yield rows

    def _batches_of(self, epoch: int) -> list[list[int]]:
        recipe, lengths, drawn = self._recipe, self._lengths, None
        if recipe.sampling != "shuffled" and self._labels is not None:
            drawn = sampled_rows(self._labels, recipe.sampling, seed=self._seed, epoch=epoch)
            lengths = np.asarray(lengths)[drawn].tolist()
        batches = shuffled_batches(
            lengths, recipe.batch_size, seed=self._seed, epoch=epoch, drop_last=recipe.drop_last
        )
        return batches if drawn is None else [drawn[batch].tolist() for batch in batches]


def label_counts(
    counts: Sequence[int] | NDArray[np.int64], kind: Literal["shuffled", "sqrt", "balanced"]
) -> NDArray[np.int64]:
    """How many rows of each label an epoch of N = sum n_c rows has.

    N n_c^p / sum_k n_k^p with p = 1, 0.5 or 0, rounded by largest remainder so that they add up to
    N; a label without rows gets none. (p-sampling: Mahajan et al. 2018, arXiv:1805.00932, section 2.2,
    takes p = 0.5.)

    Args:
        counts: [C] rows of each label, n_c.
        kind: "shuffled" takes each row once.
    """
    present = np.asarray(counts, np.int64)
    strength = np.where(present > 0, present.astype(np.float64) ** _POWERS[kind], 0.0)
    exact = present.sum() * strength / strength.sum()
    whole: NDArray[np.int64] = np.floor(exact + 1e-9).astype(np.int64)
    left = present.sum() - whole.sum()
    whole[np.argsort(-(exact - whole), kind="stable")[:left]] += 1
    return whole


def sampled_rows(
    labels: Sequence[int], kind: Literal["shuffled", "sqrt", "balanced"], *, seed: int, epoch: int
) -> NDArray[np.int64]:
    """The N rows of one epoch, ordered by label, for the class indices [N]; see ``label_counts``.

    Of a label that is oversampled each row is repeated equally often; the remainder is drawn without
    replacement.
    """
    rng = np.random.default_rng((seed, epoch, 1))  # not the stream that shuffles the batches
    classes = np.asarray(labels)
    drawn: list[NDArray[np.int64]] = []
    for label, wanted in enumerate(label_counts(np.bincount(classes), kind)):
        rows = np.flatnonzero(classes == label)
        if wanted:
            drawn += [np.tile(rows, wanted // len(rows)), rng.permutation(rows)[: wanted % len(rows)]]
    return np.concatenate(drawn)
