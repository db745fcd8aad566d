"""``attar evaluate``: the report on all models of a run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from attar.cli.options import DataFolder, OutFolder, Overrides, recipe_or_defaults
from attar.cli.tables import print_summary
from attar.errors import TRAINING_PACKAGES, require_installed

__all__ = ["evaluate"]


def evaluate(
    data: DataFolder,
    out: OutFolder,
    teacher: Annotated[Path | None, typer.Option(help="Checkpoint of the teacher.")] = None,
    student: Annotated[Path | None, typer.Option(help="Checkpoint of the student.")] = None,
    finetuned: Annotated[Path | None, typer.Option(help="Checkpoint of the student without teacher.")] = None,
    artifact: Annotated[Path | None, typer.Option(help="Artifact of the student.")] = None,
    recipe: Annotated[Path | None, typer.Option(help="Take [evaluate] from a recipe.")] = None,
    overrides: Overrides = None,
) -> None:
    """Compare models with each other and with the baselines on the test split."""
    require_installed(TRAINING_PACKAGES, "train")
    from attar import pipeline
    from attar.records.prepared_folder import load_manifest

    task = None if recipe else load_manifest(data)["task"]
    loaded = recipe_or_defaults(recipe, overrides, name=data.name, task=task)
    pipeline.evaluate(loaded, data, pipeline.Models(teacher, student, finetuned, artifact), out)
    print_summary(out)
