"""``attar prepare``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from attar.cli.options import OutFolder, Overrides, recipe_or_defaults
from attar.errors import RecipeError

__all__ = ["prepare"]


def prepare(
    out: OutFolder,
    sources: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="SOURCE...",
            help="Files or folders of labelled reviews, mongodb://HOST/DATABASE/COLLECTION, or the address "
            "of a Label Studio project. [default: those of the recipe]",
        ),
    ] = None,
    task: Annotated[
        str | None, typer.Option(help="cosmetics, newcos or components. [default: cosmetics]")
    ] = None,
    recipe: Annotated[
        Path | None, typer.Option(help="Take task, [data] and seed from a recipe: for a task of your own.")
    ] = None,
    overrides: Overrides = None,
) -> None:
    """Fetch and check labelled reviews, and split them into train, dev and test.

    Reads inline markup, the JSON rows of the original system, JSONL, CSV, TSV, Excel, Parquet, the
    three-line form, BIO tags, triplets, Label Studio exports, and MongoDB and Label Studio over the
    network (a MongoDB fetch that was stopped goes on). What cannot be used lands in rejected.jsonl with its
    reason, what was mended in repaired.jsonl; audit.html shows it all.
    """
    from attar import pipeline
    from attar.recipe.load import expand_variables
    from attar.records.prepared_folder import load_manifest

    if task is not None and recipe is not None:
        raise RecipeError("attar prepare: a recipe names its task; give either --task or --recipe")
    loaded = recipe_or_defaults(recipe, overrides, name=task or "cosmetics", task=task or "cosmetics")
    # Only of an address: a file may have a $ in its name, and the shell has done its part.
    given = [expand_variables(one) if "://" in one else one for one in sources or ()]
    named = given or loaded.data.sources
    if not named:
        raise RecipeError("attar prepare: name at least one SOURCE, or a --recipe with data.sources")
    pipeline.prepare(loaded, named, out)
    manifest = load_manifest(out)
    for name, labels in manifest["labels"].items():
        shares = ", ".join(f"{label} {count}" for label, count in labels.items())
        typer.echo(f"{name + ':':10} {sum(labels.values())} ({shares})")
    typer.echo(f"rejected:  {manifest['num_rejected']} -> {out / 'rejected.jsonl'}")
    typer.echo(f"repaired:  {manifest['num_repaired']} -> {out / 'repaired.jsonl'}")
    typer.echo(f"audit:     {out / 'audit.html'}")
    typer.echo(f"data:      {out}")
