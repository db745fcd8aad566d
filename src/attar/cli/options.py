"""Arguments and options that several verbs share, and what they are read into."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from attar.recipe.load import Recipe

__all__ = [
    "ArtifactFolder",
    "DataFolder",
    "OutFolder",
    "Overrides",
    "RecipePath",
    "Workers",
    "expanded",
    "recipe_or_defaults",
]

ArtifactFolder = Annotated[Path, typer.Argument(help="An artifact folder.")]
RecipePath = Annotated[Path, typer.Argument(metavar="RECIPE", help="A TOML recipe.")]
Overrides = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Override a key of the recipe.")
]
DataFolder = Annotated[Path, typer.Option("--data", help="A folder written by `attar prepare`.")]
OutFolder = Annotated[Path, typer.Option("--out", help="The folder to write.")]
Workers = Annotated[
    int | None,
    typer.Option(
        "--workers",
        min=1,
        help="Number of threads. [default: ATTAR_WORKERS, else the cores that this process may use]",
    ),
]


def recipe_or_defaults(path: Path | None, overrides: list[str] | None, **keys: object) -> Recipe:
    """The recipe at ``path``, or without one the defaults with these keys."""
    from attar.recipe.load import load_recipe, make_recipe

    return load_recipe(path, overrides or ()) if path is not None else make_recipe(keys, overrides or ())


def expanded(place: str) -> str:
    """An address with its environment variables; a path stays as it is, for it may hold a ``$``."""
    from attar.recipe.base import expand_variables

    return expand_variables(place) if "://" in place else place
