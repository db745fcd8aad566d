"""The ``distill`` stage: a student learns from the teacher, or, for comparison, from labels alone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import torch

from attar.distillation.objective import Distillation
from attar.distillation.teachers import cached_logits, load_teacher
from attar.errors import RecipeError
from attar.models.checkpoint import Checkpoint
from attar.models.encoders import Encoder, load_encoder
from attar.models.students import build_student
from attar.recipe import DistillRecipe, Recipe
from attar.records.prepared import load_split
from attar.records.transfer import transfer_examples
from attar.task import Example
from attar.text.encoding import InputSpec, TextEncoder
from attar.training.fit import Objective
from attar.training.objectives import HardLabels
from attar.training.stage import fit_and_save

__all__ = ["distill", "finetune_student"]


def distill(recipe: Recipe, data: Path, teacher: Path, out: Path) -> Path:
    """Train the recipe's student on the teacher's soft labels and the hard labels.

    Args:
        recipe: Its ``[student]``, ``[distill]`` and ``[encode]``.
        data: A folder written by ``attar prepare``.
        teacher: A checkpoint of the same task.
        out: Gets the student's checkpoint, metrics.jsonl, tensorboard/ and the teacher's answers.

    Raises:
        RecipeError: The teacher's labels are not the recipe's.
    """
    task = recipe.resolved_task()
    theirs, ask, identity = load_teacher(teacher)
    if theirs.task.labels != task.labels:
        raise RecipeError(
            f"{teacher}: the teacher answers {list(theirs.task.labels)}, the recipe's task has "
            f"{list(task.labels)}; labels and their order must be the same"
        )
    examples = load_split(data, "train")
    if recipe.distill.transfer:
        known = [*examples, *load_split(data, "dev"), *load_split(data, "test")]
        examples += transfer_examples(
            recipe.distill.transfer,
            task,
            known,
            columns=recipe.data.columns,
            near_duplicate=recipe.data.near_duplicate,
        )
    logits = cached_logits(ask, identity, examples, len(task.labels), out / "teacher-answers")
    objective = Distillation(task, examples, logits, recipe.distill)
    source = Encoder(theirs.model, theirs.encoder.tokenizer, theirs.encoder.spec.token_types)
    student = _Student(recipe, recipe.distill, source, "student")
    return student.fit(examples, objective, load_split(data, "dev"), out)


def finetune_student(recipe: Recipe, data: Path, out: Path) -> Path:
    """Train the same student, from the pretrained encoder's layers, on the labels alone.

    The baseline that says what the teacher was worth.
    """
    task = recipe.resolved_task()
    examples = load_split(data, "train")
    torch.manual_seed(recipe.seed)
    source = load_encoder(recipe.train, len(task.labels), (e.text for e in examples))
    settings = recipe.finetuning()
    objective = HardLabels(task, examples, settings.class_weights)
    return _Student(recipe, settings, source, "finetuned").fit(
        examples, objective, load_split(data, "dev"), out
    )


class _Student(NamedTuple):
    """What a student is made of, whatever it learns from."""

    recipe: Recipe
    settings: DistillRecipe
    source: Encoder
    role: str

    def fit(
        self, examples: Sequence[Example], objective: Objective, dev: Sequence[Example], out: Path
    ) -> Path:
        """Build it, train it and write its checkpoint."""
        recipe, task = self.recipe, self.recipe.resolved_task()
        torch.manual_seed(recipe.seed)
        student = build_student(
            recipe.student,
            self.source,
            (e.text for e in examples),
            num_labels=len(task.labels),
            dropout=self.settings.dropout,
        )
        spec = InputSpec.for_task(
            task, recipe.encode.max_tokens, token_types=student.token_types, reads=recipe.encode.reads
        )
        checkpoint = Checkpoint(student.model, TextEncoder(student.tokenizer, spec), task)
        notes = {"role": self.role, "student": recipe.student.model_dump(mode="json")}
        return fit_and_save(
            checkpoint, examples, objective, self.settings, dev, out, seed=recipe.seed, notes=notes
        )
