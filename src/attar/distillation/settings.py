"""What the stages that train a student read of a recipe and depend on, without torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from attar.models.carried import general_folder
from attar.recipe.load import DataRecipe, DistillRecipe, EncodeRecipe, Recipe, StudentRecipe, TrainRecipe
from attar.records.remote.fetch import source_inputs
from attar.stage_cache import fingerprint
from attar.task import Task
from attar.training.settings import encoder_inputs, fit_inputs

__all__ = ["LINEAR", "StudentSettings", "distill_inputs", "every_teacher", "finetune_inputs"]

LINEAR = "linear"
"""Names the linear baseline among the teachers."""


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


def every_teacher(settings: StudentSettings, teachers: Sequence[Path | str]) -> list[Path | str]:
    """The teachers that were named, and those of ``distill.more_teachers``; the linear model once."""
    named = list(teachers)
    more = (entry for entry in settings.fit.more_teachers if entry != LINEAR or LINEAR not in named)
    return [*named, *more]


def distill_inputs(settings: StudentSettings, data: Path, teachers: Sequence[Path | str]) -> dict[str, Any]:
    """Everything that the student of ``distill`` depends on; the arguments are the same."""
    every = every_teacher(settings, teachers)
    # Where the teachers are and how large a cache may be do not count.
    fit = fit_inputs(settings.fit)
    del fit["more_teachers"], fit["cache_limit_gb"]
    found = settings.fit.unlabelled
    fit["transfer"] = [source_inputs(source) for source in settings.fit.transfer]
    fit["unlabelled"]["sources"] = [source_inputs(source) for source in found.sources]
    if isinstance(found.terms, str):
        fit["unlabelled"]["terms"] = fingerprint(Path(found.terms))
    return {
        **_student_inputs(settings, data),
        "distill": fit,
        "teachers": [entry if entry == LINEAR else fingerprint(Path(entry)) for entry in every],
        "transfer_set": _transfer_set_inputs(settings),
        **({} if any(entry != LINEAR for entry in every) else encoder_inputs(settings.encoder)),
    }


def finetune_inputs(settings: StudentSettings, data: Path) -> dict[str, Any]:
    """Everything that the student of ``finetune_student`` depends on; the arguments are the same."""
    return {
        **_student_inputs(settings, data),
        "finetuning": fit_inputs(settings.fit),
        **encoder_inputs(settings.encoder),
    }


def _student_inputs(settings: StudentSettings, data: Path) -> dict[str, Any]:
    start = general_folder() if settings.student.start == "general" else settings.student.from_checkpoint
    return {
        "task": settings.task.to_json(),
        "seed": settings.seed,
        "encode": settings.encode.model_dump(mode="json"),
        "student": settings.student.model_dump(mode="json", exclude={"from_checkpoint"}),
        **({} if start is None else {"pretrained": fingerprint(Path(start))}),
        "data": fingerprint(data),
    }


def _transfer_set_inputs(settings: StudentSettings) -> dict[str, Any]:
    """What of ``[data]`` decides what is in the transfer set."""
    if settings.fit.transfer or settings.fit.unlabelled.sources:
        of_the_split = {"sources", "dev", "test", "train_only"}
        return settings.data.model_dump(mode="json", exclude=of_the_split)
    return settings.data.model_dump(
        mode="json", include={"near_duplicate"} if settings.fit.augment.copies else set()
    )
