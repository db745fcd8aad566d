"""``attar run``: all stages of a recipe."""

from __future__ import annotations

import logging
import shlex
from pathlib import Path
from typing import Annotated

import typer

from attar.cli.options import Overrides, RecipePath, recipe_or_defaults
from attar.cli.tables import print_summary
from attar.errors import TRAINING_PACKAGES, require_installed

__all__ = ["run"]


def run(
    recipe: RecipePath,
    out: Annotated[Path | None, typer.Option(help="The run folder. [default: runs/NAME]")] = None,
    overrides: Overrides = None,
) -> None:
    """Run every stage of one recipe: prepare, train, distill, export, evaluate.

    May be stopped at any time; the same command resumes. A finished stage is repeated only if its
    inputs changed.
    """
    require_installed(TRAINING_PACKAGES, "train")
    from attar.pipeline import run_recipe

    loaded = recipe_or_defaults(recipe, overrides)
    folders = run_recipe(loaded, out or Path("runs") / loaded.name, _say)
    print_summary(folders.report)
    typer.echo(f"artifact:  {folders.artifact}")
    artifact = shlex.quote(str(folders.artifact))
    typer.echo(f"score with: attar score {artifact} --in reviews.csv --out scored.csv")


def _say(line: str) -> None:
    logging.getLogger("attar").info("── %s", line)
