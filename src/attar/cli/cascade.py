"""``attar cascade``: a fast and a strong artifact as one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from attar.cli.options import DataFolder, Lang, OutFolder, lines_in
from attar.cli.tables import print_cascade

__all__ = ["cascade"]


def cascade(
    first: Annotated[Path, typer.Option(help="The artifact that is asked first, such as RUN/linear.")],
    second: Annotated[Path, typer.Option(help="The artifact that is asked where the first is not sure.")],
    data: DataFolder,
    out: OutFolder,
    third: Annotated[Path | None, typer.Option(help="One more, where the second is not sure.")] = None,
    agreement: Annotated[
        float, typer.Option(min=0.5, max=0.9999, help="Least share of rows that get the last one's label.")
    ] = 0.99,
    bound: Annotated[
        Literal["conformal", "binomial"],
        typer.Option(help="In the mean over dev splits, or surely (95 %) for this one."),
    ] = "conformal",
    accept_refused: Annotated[
        bool, typer.Option("--accept-refused", help="Take an artifact that the gate refused.")
    ] = False,
    lang: Lang = None,
) -> None:
    """Make one artifact of two or three: the first answers where it is sure enough, the next one the rest.

    How sure is chosen on dev, so that the labels agree with the last one's as often as `--agreement` says.
    """
    tr = lines_in(lang)
    from attar.artifact import load_artifact
    from attar.cascade.stage import CascadeSettings, make_cascade

    members = [first, second, *([third] if third is not None else [])]
    make_cascade(members, data, out, CascadeSettings(agreement, bound, accept_refused=accept_refused))
    print_cascade(load_artifact(out).cascade, members, tr)
    typer.echo(tr("artifact:  {path}", path=out))
