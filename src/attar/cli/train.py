"""``attar train``."""

from __future__ import annotations

import typer

from attar.cli.options import DataFolder, OutFolder, Overrides, RecipePath

__all__ = ["train"]


def train(recipe: RecipePath, data: DataFolder, out: OutFolder, overrides: Overrides = None) -> None:
    """Fine-tune the recipe's pretrained encoder: the teacher."""
    from attar import pipeline
    from attar.recipe.load import load_recipe

    pipeline.train(load_recipe(recipe, overrides or ()), data, out)
    typer.echo(f"checkpoint: {out}")
