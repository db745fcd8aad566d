"""``attar init``: a recipe that runs, guessed from labelled reviews."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from attar.cli.options import Aliases, Columns, InEncoding, Lang, lines_in, pairs
from attar.cli.tables import print_understood

__all__ = ["init"]


def init(
    sources: Annotated[
        list[str],
        typer.Argument(
            metavar="FILE...",
            help="Files or folders of labelled reviews, mongodb://HOST/DATABASE/COLLECTION, or the address "
            "of a Label Studio project.",
        ),
    ],
    out: Annotated[Path, typer.Option(help="The recipe to write; it must not be there.")] = Path(
        "recipe.toml"
    ),
    columns: Columns = None,
    aliases: Aliases = None,
    encoding: InEncoding = None,
    lang: Lang = None,
) -> None:
    """Look at labelled reviews and write a recipe that `attar run` runs.

    Guesses format, delimiter, sheet, which column is which, the task, what each spelling of a label stands
    for, and a model; each guess has a comment that says what it was made from. What cannot be guessed is an
    error that lists the columns; --column and --alias say it. The recipe is tried before it is written.
    """
    from attar.init.stage import initialise

    tr = lines_in(lang)
    new = initialise(sources, out, pairs("--column", columns), pairs("--alias", aliases), encoding, tr)
    print_understood(new.found.understood, new.found.warnings, tr)
    for left_out in new.left_out:
        typer.echo(tr("not read:  {what}", what=left_out))
    if new.found.problem is not None:
        raise new.found.problem
    num = new.text.count("guessed: ")
    typer.echo(tr("guesses:   {num}, each with a comment in the recipe; check them", num=num))
    typer.echo(tr("recipe:    {path}", path=out))
    typer.echo(tr("next:      {command}", command=f"attar run {shlex.quote(str(out))}"))
