"""What the stages that train a student read of a recipe."""

from __future__ import annotations

from dataclasses import dataclass

from attar.recipe.load import DataRecipe, DistillRecipe, EncodeRecipe, Recipe, StudentRecipe, TrainRecipe
from attar.task import Task

__all__ = ["StudentSettings"]


@dataclass(frozen=True, slots=True)
class StudentSettings:
    """What ``distill``, or ``finetune_student``, reads of a recipe.

    Attributes:
        task: Labels, style and window.
        seed: Order of the examples, dropout, and what is drawn of the transfer set.
        encode: The input.
        encoder: Where the student starts if no teacher is a checkpoint.
        student: Its shape and start.
        fit: The training: ``[distill]``, or the same without a teacher.
        data: How the rows of the transfer set are read, and which reviews are nearly the same.
    """

    task: Task
    seed: int
    encode: EncodeRecipe
    encoder: TrainRecipe
    student: StudentRecipe
    fit: DistillRecipe
    data: DataRecipe

    @classmethod
    def taught(cls, recipe: Recipe) -> StudentSettings:
        """Those of the student that learns from teachers."""
        return cls._of(recipe, recipe.distill)

    @classmethod
    def alone(cls, recipe: Recipe) -> StudentSettings:
        """Those of the same student trained on the labels alone."""
        return cls._of(recipe, recipe.finetuning())

    @classmethod
    def _of(cls, recipe: Recipe, fit: DistillRecipe) -> StudentSettings:
        task = recipe.resolved_task()
        return cls(task, recipe.seed, recipe.encode, recipe.train, recipe.student, fit, recipe.data)
