"""What the ``train`` stage depends on, without torch: a finished run is up to date in a second."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from attar.recipe.fit import IDLE_KEYS
from attar.recipe.load import EncodeRecipe, FitRecipe, Recipe, TrainRecipe
from attar.stage_cache import fingerprint
from attar.task import Task

__all__ = ["TrainSettings", "encoder_inputs", "fit_inputs", "inputs"]


@dataclass(frozen=True, slots=True)
class TrainSettings:
    """What ``train`` reads of a recipe."""

    task: Task
    seed: int
    encode: EncodeRecipe
    train: TrainRecipe

    @classmethod
    def of(cls, recipe: Recipe) -> TrainSettings:
        """Those of a whole recipe."""
        return cls(recipe.resolved_task(), recipe.seed, recipe.encode, recipe.train)


def inputs(settings: TrainSettings, data: Path) -> dict[str, Any]:
    """Everything that the teacher's checkpoint depends on."""
    return {
        "task": settings.task.to_json(),
        "seed": settings.seed,
        "encode": settings.encode.model_dump(mode="json"),
        **encoder_inputs(settings.train),
        "train": fit_inputs(settings.train),
        "data": fingerprint(data),
    }


def fit_inputs(settings: FitRecipe) -> dict[str, Any]:
    """The settings of a training that its result depends on."""
    return settings.model_dump(mode="json", exclude=set(IDLE_KEYS))


def encoder_inputs(settings: TrainRecipe) -> dict[str, Any]:
    """What an encoder that is to be loaded depends on; a local one on its files too."""
    which = {"encoder", "hub", "revision", "keep_layers", "vocab_margin"}
    chosen: dict[str, Any] = {"train": settings.model_dump(mode="json", include=which)}
    folder = Path(settings.encoder)
    return chosen | {"encoder": fingerprint(folder)} if folder.is_dir() else chosen
