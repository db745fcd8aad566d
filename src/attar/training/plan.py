"""How many steps a training has, what each of them reads, and after which it evaluates.

All of it follows from the recipe, the examples' lengths and the seed, so that a resumed training
takes exactly the steps that are left.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from attar.errors import RecipeError
from attar.recipe import FitRecipe
from attar.text.buckets import shuffled_batches

__all__ = ["StepPlan"]


class StepPlan:
    """The steps of one training.

    Args:
        lengths: Tokens of each example, N of them.
        recipe: Its ``epochs``, ``batch_size``, ``drop_last`` and ``evaluations_per_epoch``.
        seed: Decides the batches.

    Attributes:
        steps_per_epoch: N / batch_size, rounded up, or down with ``drop_last``.
        total_steps: Steps of all epochs.

    Raises:
        RecipeError: ``drop_last`` leaves no batch.
    """

    def __init__(self, lengths: Sequence[int], recipe: FitRecipe, seed: int) -> None:
        self._lengths, self._recipe, self._seed = lengths, recipe, seed
        batches = len(lengths) / recipe.batch_size
        self.steps_per_epoch = math.floor(batches) if recipe.drop_last else math.ceil(batches)
        if self.steps_per_epoch == 0:
            raise RecipeError(
                f"{len(lengths)} training examples are fewer than batch_size = {recipe.batch_size}, and "
                "drop_last leaves out the last, smaller batch; lower batch_size or set drop_last = false"
            )
        self.total_steps = max(1, math.ceil(recipe.epochs * self.steps_per_epoch))
        times = recipe.evaluations_per_epoch
        self._evaluated = {self.steps_per_epoch * i // times for i in range(times)}

    def evaluates_after(self, step: int) -> bool:
        """Whether dev is scored after ``step`` optimiser steps.

        At the shares 1/n, 2/n, ... of each epoch, rounded down, and after the last step.
        """
        return step % self.steps_per_epoch in self._evaluated or step == self.total_steps

    def batches_after(self, step: int) -> Iterator[list[int]]:
        """The batches, as indices of examples, that are left after ``step`` optimiser steps."""
        size = self.steps_per_epoch
        for epoch in range(step // size, math.ceil(self.total_steps / size)):
            batches = shuffled_batches(
                self._lengths,
                self._recipe.batch_size,
                seed=self._seed,
                epoch=epoch,
                drop_last=self._recipe.drop_last,
            )
            for number, rows in enumerate(batches, epoch * size):
                if step <= number < self.total_steps:
                    yield rows
