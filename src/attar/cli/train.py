"""``attar train``: fine-tune the teacher."""

from __future__ import annotations

import typer

from attar.cli.options import DataFolder, OutFolder, Overrides, RecipePath
from attar.errors import TRAINING_PACKAGES, require_installed

__all__ = ["train"]


def train(recipe: RecipePath, data: DataFolder, out: OutFolder, overrides: Overrides = None) -> None:
    """Fine-tune the recipe's pretrained encoder: the teacher."""
    require_installed(TRAINING_PACKAGES, "train")
    from attar import pipeline
    from attar.recipe.load import load_recipe

    pipeline.train(load_recipe(recipe, overrides or ()), data, out)
    typer.echo(f"checkpoint: {out}")
