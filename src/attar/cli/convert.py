"""``attar convert``: an artifact of an older attar in today's format."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from attar.cli.options import Lang, lines_in
from attar.errors import require

__all__ = ["convert"]


def convert(
    old: Annotated[Path, typer.Argument(metavar="OLD", help="An artifact folder of an older attar.")],
    new: Annotated[Path, typer.Argument(metavar="NEW", help="A folder that does not exist yet.")],
    lang: Lang = None,
) -> None:
    """Make an artifact of an older attar exact on every processor; its predictions stay the same.

    Exporting again from the checkpoint gives one that is also faster. Needs `attar[train]`.
    """
    tr = lines_in(lang)
    require("onnx", "train")
    from attar.export.convert import convert as rewrite

    rewrite(old, new)
    typer.echo(tr("artifact:  {path}", path=new))
