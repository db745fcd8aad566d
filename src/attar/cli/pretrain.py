"""``attar pretrain``: learn from reviews without labels."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from attar.cli.options import (
    InEncoding,
    Lang,
    OutFolder,
    Overrides,
    RecipePath,
    expanded,
    lines_in,
    recipe_or_defaults,
    with_encoding,
)
from attar.errors import TRAINING_PACKAGES, require_installed

__all__ = ["pretrain"]


def pretrain(
    recipe: RecipePath,
    out: OutFolder,
    texts: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FILE",
            help="Reviews without labels: one a line, or any format that prepare reads; may be given several "
            "times. [default: those of the recipe]",
        ),
    ] = None,
    data: Annotated[
        list[Path] | None,
        typer.Option(
            help="A prepared folder of a later task: its words join the vocabulary, its dev and test reviews "
            "are left out; may be given several times."
        ),
    ] = None,
    encoding: InEncoding = None,
    overrides: Overrides = None,
    lang: Lang = None,
) -> None:
    """Train the student, or the encoder, on reviews without labels, before any task.

    `pretrain.kind = "relations"` distils the layers of an encoder into the recipe's student: then set
    `student.start = "pretrained"` and `student.from_checkpoint` to the result. "mlm" continues the
    encoder's own masked-language-model training: then set `train.encoder` to the result.
    """
    tr = lines_in(lang)
    require_installed(TRAINING_PACKAGES, "train")
    from attar import pipeline
    from attar.recipe.load import SourceRecipe

    loaded = recipe_or_defaults(recipe, overrides)
    if texts:
        named = tuple(SourceRecipe(path=expanded(one)) for one in texts)
        named = tuple(with_encoding(named, encoding)) if encoding is not None else named
        loaded = loaded.model_copy(update={"pretrain": loaded.pretrain.model_copy(update={"texts": named})})
    pipeline.pretrain(loaded, data or (), out)
    typer.echo(tr("pretrained: {path}", path=out))
