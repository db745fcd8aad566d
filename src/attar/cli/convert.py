"""``attar convert``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from attar.errors import RecipeError

__all__ = ["convert"]


def convert(
    old: Annotated[Path, typer.Argument(metavar="OLD", help="An artifact folder of an older attar.")],
    new: Annotated[Path, typer.Argument(metavar="NEW", help="A folder that is not there yet.")],
) -> None:
    """Make an artifact of an older attar exact on every processor; its answers stay the same.

    Exporting again from the checkpoint gives one that is also faster. Needs `attar[train]`.
    """
    try:
        from attar.export.convert import convert as rewrite
    except ImportError as error:
        raise RecipeError("attar convert needs the package onnx; pip install 'attar[train]'") from error
    rewrite(old, new)
    typer.echo(f"artifact:  {new}")
