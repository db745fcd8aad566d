"""Options that several verbs share."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from attar.recipe.load import Recipe

__all__ = ["DataFolder", "OutFolder", "Overrides", "RecipePath", "Workers", "recipe_or_defaults"]

RecipePath = Annotated[Path, typer.Argument(metavar="RECIPE", help="A TOML recipe.")]
Overrides = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Override a key of the recipe.")
]
DataFolder = Annotated[Path, typer.Option("--data", help="A folder written by `attar prepare`.")]
OutFolder = Annotated[Path, typer.Option("--out", help="Where the result goes.")]
Workers = Annotated[
    int | None,
    typer.Option(
        "--workers",
        min=1,
        help="Threads that compute. "
        "[default: ATTAR_WORKERS, or one for each core that affinity and the CPU quota leave]",
    ),
]


def recipe_or_defaults(path: Path | None, overrides: list[str] | None, **keys: object) -> Recipe:
    """The recipe at ``path``, or without one the defaults with these keys."""
    from attar.recipe.load import load_recipe, make_recipe

    return load_recipe(path, overrides or ()) if path is not None else make_recipe(keys, overrides or ())
