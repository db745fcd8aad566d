"""``attar train``: fine-tune the teacher."""

from __future__ import annotations

import typer

from attar.cli.options import DataFolder, OutFolder, Overrides, RecipePath, recipe_or_defaults
from attar.errors import TRAINING_PACKAGES, require_installed

__all__ = ["train"]


def train(recipe: RecipePath, data: DataFolder, out: OutFolder, overrides: Overrides = None) -> None:
    """Fine-tune the recipe's pretrained encoder: the teacher."""
    require_installed(TRAINING_PACKAGES, "train")
    from attar import pipeline

    pipeline.train(recipe_or_defaults(recipe, overrides), data, out)
    typer.echo(f"checkpoint: {out}")
