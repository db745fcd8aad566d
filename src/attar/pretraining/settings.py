"""What the ``pretrain`` stage reads of a recipe and depends on, without torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from attar.models.carried import general_folder
from attar.recipe.load import PretrainRecipe, Recipe, StudentRecipe, TrainRecipe
from attar.records.remote.fetch import source_inputs
from attar.stage_cache import fingerprint
from attar.task import Task
from attar.text.normalise import Step
from attar.training.settings import fit_inputs

__all__ = ["PretrainSettings", "inputs"]


@dataclass(frozen=True, slots=True)
class PretrainSettings:
    """What ``pretrain`` reads of a recipe.

    Attributes:
        task: Of the data to come: which part of its texts the vocabulary covers.
        seed: Order of the pieces, dropout and masks.
        pretrain: The training.
        train: Names the encoder where ``pretrain`` does not.
        student: What learns from the encoder.
        columns: Of sources without columns of their own.
        normalise: Done to every text before it is read.
    """

    task: Task
    seed: int
    pretrain: PretrainRecipe
    train: TrainRecipe
    student: StudentRecipe
    columns: Mapping[str, str]
    normalise: tuple[Step, ...]

    @classmethod
    def of(cls, recipe: Recipe) -> PretrainSettings:
        """Those of a whole recipe."""
        columns, steps = recipe.data.columns, recipe.encode.normalise
        task = recipe.resolved_task()
        return cls(task, recipe.seed, recipe.pretrain, recipe.train, recipe.student, columns, steps)

    @property
    def encoder(self) -> str:
        """Name or folder of the encoder."""
        return self.pretrain.encoder or self.train.encoder


def inputs(settings: PretrainSettings, data: Sequence[Path]) -> dict[str, Any]:
    """Everything that what is pretrained depends on; the arguments are those of ``pretrain``."""
    student = settings.pretrain.kind == "relations"
    general = student and settings.student.start == "general"
    encoder = Path(settings.encoder)
    fit = fit_inputs(settings.pretrain)
    del fit["texts"]
    return {
        "seed": settings.seed,
        "pretrain": fit,
        "texts": [source_inputs(source) for source in settings.pretrain.texts],
        "columns": dict(settings.columns),
        "normalise": list(settings.normalise),
        "encoder": [str(encoder), settings.train.hub, settings.train.revision],
        "encoder_files": fingerprint(encoder) if encoder.is_dir() else None,
        "student": settings.student.model_dump(mode="json") if student else None,
        **({"general": fingerprint(general_folder())} if general else {}),
        "data": [fingerprint(folder) for folder in data],
        "task": settings.task.to_json() if student and data else None,
    }
