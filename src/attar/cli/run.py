"""``attar run``: all stages of a recipe."""

from __future__ import annotations

import logging
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from attar.cli.options import Lang, Overrides, lines_in, recipe_or_defaults
from attar.cli.tables import print_promotion, print_summary, print_verdict
from attar.errors import TRAINING_PACKAGES, RecipeError, require_installed

if TYPE_CHECKING:
    from attar.language.translator import Translator

__all__ = ["run"]

_DIFFERS = 3  # as from a gate: the command did what it was asked, and what it found is not as it should be


def run(
    recipe: Annotated[Path | None, typer.Argument(metavar="RECIPE", help="A TOML recipe.")] = None,
    out: Annotated[
        Path | None, typer.Option(help="The run folder. [default: runs/NAME, or RUN.repeat]")
    ] = None,
    overrides: Overrides = None,
    repeat: Annotated[
        Path | None,
        typer.Option(metavar="RUN", help="Do this run again beside it, and say what differs; no RECIPE."),
    ] = None,
    against: Annotated[
        Path | None,
        typer.Option(
            metavar="RUN", help="The run, or the artifact, in service: compare with it, promote or keep?"
        ),
    ] = None,
    lang: Lang = None,
) -> None:
    """Run every stage of one recipe: prepare, train, distill, export, evaluate.

    May be stopped at any time; the same command resumes. A finished stage is repeated only if its
    inputs changed. A model that fails `[gate]` lies in artifact-refused/ and the exit code is 3; what
    stood in artifact/ stays. With `--repeat RUN` the exit code is 0 if every file is the same, else 3; with
    `--against RUN` 0 for promote and 3 for keep, and the new model lies in artifact/ either way.
    """
    tr = lines_in(lang)
    require_installed(TRAINING_PACKAGES, "train")
    if (recipe is None) == (repeat is None) or (repeat is not None and (overrides or against)):
        raise RecipeError(
            "attar run: name a RECIPE, with --set and --against, or --repeat RUN, which has its own recipe"
        )
    if repeat is not None:
        _repeat(repeat, out, tr)
        return
    from attar.gate.conditions import Gate
    from attar.gate.in_service import check_promoted
    from attar.gate.verdict import check_passed
    from attar.pipeline import run_recipe

    loaded = recipe_or_defaults(recipe, overrides)
    folders = run_recipe(loaded, out or Path("runs") / loaded.name, _say, against)
    print_summary(folders.report, tr)
    gate = Gate(loaded.gate, loaded.export.max_f1_loss)
    verdict = print_verdict(folders.report, gate, tr)
    typer.echo(tr("linear:    {path}", path=folders.linear))
    if verdict["status"] == "refuse":
        stays = tr("; {path} is as it was", path=folders.artifact) if folders.artifact.is_dir() else ""
        typer.echo(tr("refused:   {path}{stays}", path=folders.refused, stays=stays))
        typer.echo(_score_line(folders.linear, tr))
    else:
        typer.echo(tr("artifact:  {path}", path=folders.artifact))
        typer.echo(_score_line(folders.artifact, tr))
    decision = print_promotion(folders.report, tr) if against is not None else None
    sys.stdout.flush()
    check_passed(verdict, str(folders.refused))
    check_promoted(decision, str(against), str(folders.artifact))


def _score_line(folder: Path, tr: Translator) -> str:
    command = f"attar score {shlex.quote(str(folder))} --in reviews.csv --out scored.csv"
    return tr("score with: {command}", command=command)


def _repeat(run: Path, out: Path | None, tr: Translator) -> None:
    """Do a run again; exit code 3 if it differs."""
    from attar.pipeline import run_recipe
    from attar.repeat import repeat_run

    folder, found = repeat_run(run, out, lambda recipe, target: run_recipe(recipe, target, _say), _say)
    for line in found.surroundings:
        typer.echo(tr("not as it was:  {said}", said=line))
    for line in found.differences:
        typer.echo(tr("differs:   {said}", said=line))
    same = found.num_files - sum(": not in " not in line for line in found.differences)
    times = tr(" (of {num} all but the times)", num=str(found.num_timed)) if found.num_timed else ""
    line = tr(
        "the same:  {same} of {num} files{times} -> {path}",
        same=str(same), num=str(found.num_files), times=times, path=folder,
    )  # fmt: skip
    typer.echo(line)
    if found.differences:
        raise typer.Exit(_DIFFERS)


def _say(line: str) -> None:
    logging.getLogger("attar").info("── %s", line)
