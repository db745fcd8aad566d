"""What the ``evaluate`` stage reads of a recipe and depends on, without torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from attar.gate.conditions import Gate
from attar.gate.in_service import InService
from attar.recipe.load import EvaluateRecipe, Recipe
from attar.stage_cache import fingerprint
from attar.task import Task

__all__ = ["EvaluateSettings", "inputs"]


@dataclass(frozen=True, slots=True)
class EvaluateSettings:
    """What ``evaluate_models`` reads of a recipe."""

    title: str
    task: Task
    seed: int
    evaluate: EvaluateRecipe
    gate: Gate

    @classmethod
    def of(cls, recipe: Recipe) -> EvaluateSettings:
        """Those of a whole recipe."""
        gate = Gate(recipe.gate, recipe.export.max_f1_loss)
        return cls(recipe.name, recipe.resolved_task(), recipe.seed, recipe.evaluate, gate)


def inputs(
    settings: EvaluateSettings, data: Path, models: Mapping[str, Path], in_service: InService | None = None
) -> dict[str, Any]:
    """Everything that the report depends on, its title aside."""
    against = {} if in_service is None else {"against": in_service.to_json()}
    return against | {
        "task": settings.task.to_json(),
        "seed": settings.seed,
        "evaluate": settings.evaluate.model_dump(mode="json"),
        "gate": settings.gate.to_json(),
        "data": fingerprint(data),
        **{role: fingerprint(folder) for role, folder in models.items()},
    }
