"""``attar run``."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Annotated

import typer

from attar.cli.options import Overrides, RecipePath
from attar.cli.tables import print_summary

__all__ = ["run"]


def run(
    recipe: RecipePath,
    out: Annotated[Path | None, typer.Option(help="The run folder. [default: runs/NAME]")] = None,
    overrides: Overrides = None,
) -> None:
    """Everything from one recipe: prepare, train, distill, export, evaluate.

    Can be stopped at any time; the same command goes on. A finished stage is repeated only if what
    it was made from changed.
    """
    import json
    import shlex

    from attar.pipeline import run_recipe
    from attar.recipe.load import load_recipe

    loaded = load_recipe(recipe, overrides or ())
    folders = run_recipe(loaded, out or Path("runs") / loaded.name, _say)
    report = json.loads((folders.report / "report.json").read_text("utf-8"))
    print_summary(report)
    typer.echo(f"report:    {folders.report / 'report.html'}")
    typer.echo(f"artifact:  {folders.artifact}")
    artifact = shlex.quote(str(folders.artifact))
    typer.echo(f"score with: attar score {artifact} --in reviews.csv --out scored.csv")


def _say(line: str) -> None:
    logging.getLogger("attar").info("── %s", line)
