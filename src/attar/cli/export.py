"""``attar export``: a checkpoint as a verified artifact."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from attar.cli.options import DataFolder, Lang, OutFolder, Overrides, lines_in, recipe_or_defaults
from attar.errors import TRAINING_PACKAGES, RecipeError, require_installed

__all__ = ["export"]


def export(
    data: DataFolder,
    out: OutFolder,
    checkpoint: Annotated[Path | None, typer.Argument(help="A checkpoint folder.")] = None,
    recipe: Annotated[Path | None, typer.Option(help="Take the gates of [export] from a recipe.")] = None,
    overrides: Overrides = None,
    classic: Annotated[
        Path | None,
        typer.Option(help="Instead of a folder, a gs*.pkl of the original system; needs the next two."),
    ] = None,
    config: Annotated[Path | None, typer.Option(help="Its config.json.")] = None,
    vocab: Annotated[Path | None, typer.Option(help="Its vocab.txt.")] = None,
    task: Annotated[str | None, typer.Option(help="Its task. [default: that of the data]")] = None,
    architecture: Annotated[
        Literal["bert", "electra", "albert"] | None,
        typer.Option(help="Its architecture. [default: what its weights say]"),
    ] = None,
    labels: Annotated[
        str | None,
        typer.Option(help="Its labels in the order of its logits, with commas. [default: the original's]"),
    ] = None,
    cased: Annotated[bool, typer.Option("--cased", help="It was trained without --do_lower_case.")] = False,
    marks: Annotated[
        Literal["auto", "on", "off"],
        typer.Option(
            help="Whether it was trained with _ around the term. auto: as the gs*.json beside it says; "
            "without one, off, as the checkpoints of the original's README were."
        ),
    ] = "auto",
    lang: Lang = None,
) -> None:
    """Export a checkpoint as an artifact, verified on dev and train before it is written.

    int8 where that changes next to no label, else a higher precision where it helps most
    (`--set export.precision=int8` or `fp32` fixes it).

    A classic one: `--classic gs3024.pkl --config config.json --vocab vocab.txt`. It reads 70 tokens,
    or as many as `--set encode.max_tokens=...` says.
    """
    tr = lines_in(lang)
    require_installed(TRAINING_PACKAGES, "train")
    from attar import pipeline
    from attar.classic.files import ClassicFiles, labels_from, marks_from
    from attar.records.prepared_folder import load_manifest

    if (checkpoint is None) == (classic is None):
        raise RecipeError("attar export: name either a checkpoint folder or --classic gs*.pkl")
    if checkpoint is not None:
        pipeline.export(recipe_or_defaults(recipe, overrides, name=checkpoint.name), checkpoint, data, out)
    elif classic is None or config is None or vocab is None:
        raise RecipeError("attar export --classic: a gs*.pkl holds weights alone; add --config and --vocab")
    elif task is not None and recipe is not None:
        raise RecipeError("attar export: a recipe names its task; give either --task or --recipe")
    else:
        found = None if recipe else task or load_manifest(data)["task"]
        loaded = recipe_or_defaults(recipe, overrides, name=classic.stem, task=found)
        read_as = labels_from(labels), marks_from(marks)
        files = ClassicFiles(config, vocab, classic, architecture, False if cased else None, *read_as)
        pipeline.export(loaded, files, data, out)
    typer.echo(tr("artifact:  {path}", path=out))
