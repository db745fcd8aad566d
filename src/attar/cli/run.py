"""``attar run``: all stages of a recipe."""

from __future__ import annotations

import logging
import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from attar.cli.options import Overrides, RecipePath, recipe_or_defaults
from attar.cli.tables import print_summary, print_verdict
from attar.errors import TRAINING_PACKAGES, require_installed

__all__ = ["run"]


def run(
    recipe: RecipePath,
    out: Annotated[Path | None, typer.Option(help="The run folder. [default: runs/NAME]")] = None,
    overrides: Overrides = None,
) -> None:
    """Run every stage of one recipe: prepare, train, distill, export, evaluate.

    May be stopped at any time; the same command resumes. A finished stage is repeated only if its
    inputs changed. A model that fails `[gate]` lies in artifact-refused/ and the exit code is 3; what
    stood in artifact/ stays.
    """
    require_installed(TRAINING_PACKAGES, "train")
    from attar.gate.conditions import Gate
    from attar.gate.verdict import check_passed
    from attar.pipeline import run_recipe

    loaded = recipe_or_defaults(recipe, overrides)
    folders = run_recipe(loaded, out or Path("runs") / loaded.name, _say)
    print_summary(folders.report)
    gate = Gate(loaded.gate, loaded.export.max_f1_loss)
    verdict = print_verdict(folders.report, gate)
    typer.echo(f"linear:    {folders.linear}")
    if verdict["status"] == "refuse":
        stays = f"; {folders.artifact} is as it was" if folders.artifact.is_dir() else ""
        typer.echo(f"refused:   {folders.refused}{stays}")
        typer.echo(_score_line(folders.linear))
    else:
        typer.echo(f"artifact:  {folders.artifact}")
        typer.echo(_score_line(folders.artifact))
    sys.stdout.flush()
    check_passed(verdict, str(folders.refused))


def _score_line(folder: Path) -> str:
    return f"score with: attar score {shlex.quote(str(folder))} --in reviews.csv --out scored.csv"


def _say(line: str) -> None:
    logging.getLogger("attar").info("── %s", line)
