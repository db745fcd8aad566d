"""``attar train``: fine-tune the teacher."""

from __future__ import annotations

import typer

from attar.cli.options import DataFolder, Lang, OutFolder, Overrides, RecipePath, lines_in, recipe_or_defaults
from attar.errors import TRAINING_PACKAGES, require_installed

__all__ = ["train"]


def train(
    recipe: RecipePath, data: DataFolder, out: OutFolder, overrides: Overrides = None, lang: Lang = None
) -> None:
    """Fine-tune the recipe's pretrained encoder: the teacher."""
    tr = lines_in(lang)
    require_installed(TRAINING_PACKAGES, "train")
    from attar import pipeline

    pipeline.train(recipe_or_defaults(recipe, overrides), data, out)
    typer.echo(tr("checkpoint: {path}", path=out))
