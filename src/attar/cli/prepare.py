"""``attar prepare``: labelled reviews as audited train, dev and test splits."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from attar.cli.options import (
    Aliases,
    Columns,
    InEncoding,
    Lang,
    Overrides,
    expanded,
    lines_in,
    pairs,
    recipe_or_defaults,
    with_encoding,
)
from attar.cli.tables import print_prepared, print_understood
from attar.errors import RecipeError, require

if TYPE_CHECKING:
    from attar.language.translator import Translator
    from attar.recipe.load import Recipe, SourceRecipe

__all__ = ["prepare"]


def prepare(
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
    out: Annotated[Path | None, typer.Option(help="The folder to write; a dry run needs none.")] = None,
    columns: Columns = None,
    aliases: Aliases = None,
    encoding: InEncoding = None,
    is_dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Read and check, say what was understood, and write nothing."),
    ] = False,
    overrides: Overrides = None,
    lang: Lang = None,
) -> None:
    """Fetch and check labelled reviews, and split them into train, dev and test.

    Reads inline markup, the JSON rows of the original system, JSONL, CSV, TSV, Excel, Parquet, the
    three-line format, BIO tags, triplets, Label Studio exports, and MongoDB and Label Studio over the
    network (an interrupted MongoDB fetch resumes). Rejected rows are listed in rejected.jsonl with the
    reason, repaired ones in repaired.jsonl; audit.html shows both, audit.zh.html in Chinese.
    """
    tr = lines_in(lang)
    if task is not None and recipe is not None:
        raise RecipeError("attar prepare: a recipe names its task; give either --task or --recipe")
    loaded = recipe_or_defaults(recipe, overrides, name=task or "cosmetics", task=task or "cosmetics")
    loaded = loaded.with_words(pairs("--column", columns), pairs("--alias", aliases))
    at_prompt = [expanded(one) for one in sources or ()]
    named: Sequence[SourceRecipe | str] = at_prompt or loaded.data.sources
    if not named:
        raise RecipeError("attar prepare: name at least one SOURCE, or a --recipe with data.sources")
    if encoding is not None:
        named = with_encoding(named, encoding)
    if is_dry_run:
        _dry_run(loaded, named, tr)
        return
    if out is None:
        raise RecipeError("attar prepare: name the folder to write as --out, or try it with --dry-run")
    require("jinja2", "data")
    from attar import pipeline
    from attar.records.prepared_folder import load_manifest

    pipeline.prepare(loaded, named, out)
    print_prepared(load_manifest(out), out, tr)


def _dry_run(recipe: Recipe, named: Sequence[SourceRecipe | str], tr: Translator) -> None:
    """Print what is understood of some sources, and raise what ``prepare`` would."""
    from attar.recipe.load import SourceRecipe
    from attar.records.dry_run import dry_run

    sources = [SourceRecipe.model_validate(source) for source in named]
    found = dry_run(sources, recipe.resolved_task(), recipe.data, tr)
    print_understood(found.understood, found.warnings, tr)
    if found.problem is not None:
        raise found.problem
    typer.echo(tr("dry run:   nothing was written"))
