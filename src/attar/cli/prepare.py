"""``attar prepare``: labelled reviews as audited train, dev and test splits."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from attar.cli.options import OutFolder, Overrides, expanded, pairs, recipe_or_defaults
from attar.cli.tables import print_prepared
from attar.errors import RecipeError, require

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
    columns: Annotated[
        list[str] | None,
        typer.Option(
            "--column",
            metavar="OURS=THEIRS",
            help="What a column is called in your tables, as label=情感; start= says that it is not there.",
        ),
    ] = None,
    aliases: Annotated[
        list[str] | None,
        typer.Option(
            "--alias", metavar="SPELLING=LABEL", help="What a label in your files stands for, as 推荐=积极."
        ),
    ] = None,
    overrides: Overrides = None,
) -> None:
    """Fetch and check labelled reviews, and split them into train, dev and test.

    Reads inline markup, the JSON rows of the original system, JSONL, CSV, TSV, Excel, Parquet, the
    three-line format, BIO tags, triplets, Label Studio exports, and MongoDB and Label Studio over the
    network (an interrupted MongoDB fetch resumes). Rejected rows are listed in rejected.jsonl with the
    reason, repaired ones in repaired.jsonl; audit.html shows both.
    """
    require("jinja2", "data")
    from attar import pipeline
    from attar.records.prepared_folder import load_manifest

    if task is not None and recipe is not None:
        raise RecipeError("attar prepare: a recipe names its task; give either --task or --recipe")
    loaded = recipe_or_defaults(recipe, overrides, name=task or "cosmetics", task=task or "cosmetics")
    loaded = loaded.with_words(pairs("--column", columns), pairs("--alias", aliases))
    named = [expanded(one) for one in sources or ()] or loaded.data.sources
    if not named:
        raise RecipeError("attar prepare: name at least one SOURCE, or a --recipe with data.sources")
    pipeline.prepare(loaded, named, out)
    print_prepared(load_manifest(out), out)
