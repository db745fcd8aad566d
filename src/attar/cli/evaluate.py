"""``attar evaluate``: the report on all models of a run."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from attar.cli.options import DataFolder, Lang, OutFolder, Overrides, lines_in, recipe_or_defaults
from attar.cli.tables import print_promotion, print_summary, print_verdict
from attar.errors import TRAINING_PACKAGES, RecipeError, require_installed

__all__ = ["evaluate"]


def evaluate(
    data: DataFolder,
    out: OutFolder,
    teacher: Annotated[Path | None, typer.Option(help="Checkpoint of the teacher.")] = None,
    student: Annotated[Path | None, typer.Option(help="Checkpoint of the student.")] = None,
    finetuned: Annotated[Path | None, typer.Option(help="Checkpoint of the student without teacher.")] = None,
    artifact: Annotated[Path | None, typer.Option(help="Artifact of the student.")] = None,
    linear: Annotated[
        Path | None, typer.Option(help="The linear model's artifact. [default: it is fitted on the data]")
    ] = None,
    against: Annotated[
        Path | None, typer.Option(help="The artifact in service, or its run folder: promote or keep?")
    ] = None,
    recipe: Annotated[Path | None, typer.Option(help="Take [evaluate] and [gate] from a recipe.")] = None,
    overrides: Overrides = None,
    lang: Lang = None,
) -> None:
    """Compare models with each other and with the baselines on the test split, and judge the artifact.

    The artifact itself is only read. Exit code 3 where the gate refuses it, and where `--against` says keep.
    """
    tr = lines_in(lang)
    require_installed(TRAINING_PACKAGES, "train")
    from attar import pipeline
    from attar.gate.conditions import Gate
    from attar.gate.in_service import check_promoted
    from attar.gate.verdict import check_passed
    from attar.records.prepared_folder import load_manifest

    task = None if recipe else load_manifest(data)["task"]
    loaded = recipe_or_defaults(recipe, overrides, name=data.name, task=task)
    models = pipeline.Models(teacher, student, finetuned, artifact)
    if against is not None and artifact is None:
        raise RecipeError("--against compares artifacts: name the new one with --artifact")
    in_service = pipeline.find_in_service(loaded, against)
    pipeline.evaluate(loaded, data, models, out, linear, in_service)
    print_summary(out, tr)
    verdict = print_verdict(out, Gate(loaded.gate, loaded.export.max_f1_loss), tr)
    decision = print_promotion(out, tr)
    sys.stdout.flush()
    check_passed(verdict, str(artifact))
    check_promoted(decision, str(against), str(artifact))
