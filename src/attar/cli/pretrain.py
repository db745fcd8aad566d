"""``attar pretrain``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from attar.cli.options import OutFolder, Overrides, RecipePath

__all__ = ["pretrain"]


def pretrain(
    recipe: RecipePath,
    out: OutFolder,
    texts: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FILE",
            help="Reviews without labels: one a line, or any form that prepare reads; may be given several "
            "times. [default: those of the recipe]",
        ),
    ] = None,
    data: Annotated[
        list[Path] | None,
        typer.Option(
            help="A prepared folder of a task to come, for its words and to leave out its dev and test "
            "reviews; may be given several times."
        ),
    ] = None,
    overrides: Overrides = None,
) -> None:
    """Teach the student, or the encoder, on reviews without labels, before there is a task.

    `pretrain.kind = "relations"` teaches the recipe's student the layers of an encoder: then set
    `student.start = "pretrained"` and `student.from_checkpoint` to the result. "mlm" goes on with the
    encoder's own masked-language-model training: then set `train.encoder` to the result.
    """
    from attar import pipeline
    from attar.recipe.load import SourceRecipe, expand_variables, load_recipe

    loaded = load_recipe(recipe, overrides or ())
    if texts:
        named = tuple(SourceRecipe(path=expand_variables(one) if "://" in one else one) for one in texts)
        loaded = loaded.model_copy(update={"pretrain": loaded.pretrain.model_copy(update={"texts": named})})
    pipeline.pretrain(loaded, data or (), out)
    typer.echo(f"pretrained: {out}")
