"""``attar distill``: train the student on its teachers."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from attar.cli.options import DataFolder, Lang, OutFolder, Overrides, RecipePath, lines_in, recipe_or_defaults
from attar.errors import TRAINING_PACKAGES, require_installed

__all__ = ["distill"]


def distill(
    recipe: RecipePath,
    data: DataFolder,
    out: OutFolder,
    teacher: Annotated[
        list[str] | None,
        typer.Option(help="A checkpoint to learn from, or linear; may be given several times."),
    ] = None,
    overrides: Overrides = None,
    lang: Lang = None,
) -> None:
    """Train the recipe's student on a teacher's probabilities, or on the mean of several teachers'.

    Without `--teacher`, the same student is trained on the labels alone: the baseline.
    """
    tr = lines_in(lang)
    require_installed(TRAINING_PACKAGES, "train")
    from attar import pipeline

    loaded = recipe_or_defaults(recipe, overrides)
    if teacher:
        pipeline.distill(loaded, data, [one if one == "linear" else Path(one) for one in teacher], out)
    else:
        pipeline.finetune(loaded, data, out)
    typer.echo(tr("checkpoint: {path}", path=out))
