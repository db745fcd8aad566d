"""``attar distill``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from attar.cli.options import DataFolder, OutFolder, Overrides, RecipePath

__all__ = ["distill"]


def distill(
    recipe: RecipePath,
    data: DataFolder,
    out: OutFolder,
    teacher: Annotated[
        list[str] | None,
        typer.Option(help="A checkpoint that answers for it, or linear; may be given several times."),
    ] = None,
    overrides: Overrides = None,
) -> None:
    """Train the recipe's student on a teacher's answers, or on the mean of several teachers'.

    Without `--teacher`, the same student learns from the labels alone: the baseline.
    """
    from attar import pipeline
    from attar.recipe.load import load_recipe

    loaded = load_recipe(recipe, overrides or ())
    if teacher:
        pipeline.distill(loaded, data, [one if one == "linear" else Path(one) for one in teacher], out)
    else:
        pipeline.finetune(loaded, data, out)
    typer.echo(f"checkpoint: {out}")
