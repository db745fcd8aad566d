"""``attar compare``: two sets of labels of the same texts, as an Excel workbook."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from attar.cli.options import InEncoding
from attar.cli.tables import print_comparison
from attar.errors import RecipeError, require

__all__ = ["compare"]


def compare(
    files: Annotated[
        list[Path] | None,
        typer.Argument(metavar="A [B]", help="Scored rows, or rows that people labelled; of the same texts."),
    ] = None,
    more: Annotated[
        list[Path] | None, typer.Option("--in", help="The same as A and B. May be given twice.")
    ] = None,
    out: Annotated[Path, typer.Option(help="The workbook, .xlsx.")] = Path("compared.xlsx"),
    gold: Annotated[
        list[Path] | None, typer.Option(help="A file of gold labels. May be given several times.")
    ] = None,
    gold_column: Annotated[
        str | None, typer.Option(help="Column of the gold labels. [default: gold or gold_label]")
    ] = None,
    task: Annotated[str | None, typer.Option(help="Read labels in any spelling of this task.")] = None,
    text: Annotated[str | None, typer.Option(help="Column of the text. [default: text]")] = None,
    term: Annotated[str | None, typer.Option(help="Column of the term. [default: term or keyword]")] = None,
    label: Annotated[str | None, typer.Option(help="Column of the label. [default: label]")] = None,
    quotes: Annotated[
        bool, typer.Option("--quotes/--no-quotes", help="CSV, TSV: whether quotes enclose cells.")
    ] = True,
    offsets: Annotated[
        bool, typer.Option("--offsets/--no-offsets", help="Whether columns start and end may be offsets.")
    ] = True,
    encoding: InEncoding = None,
) -> None:
    """Compare predictions with gold labels, two models, or annotators, in an Excel workbook.

    Sheets: wrong and correct of each, different, both wrong, and the rows of one file only.
    """
    require("openpyxl", "excel")
    from attar.compare.annotations import AnnotationOptions
    from attar.compare.stage import compare_files
    from attar.task import task_by_name

    named = [*(files or ()), *(more or ())]
    if len(named) not in (1, 2):
        raise RecipeError(f"attar compare: {len(named)} files are named; expected one or two, A and B")
    options = AnnotationOptions(
        text, term, label, gold_column, quoted=quotes, offsets=offsets, encoding=encoding
    )
    a, b = named[0], named[1] if len(named) == 2 else None
    judge = task_by_name(task) if task else None
    figures = compare_files(a, b, out, gold=gold or None, task=judge, options=options)
    print_comparison(figures)
    typer.echo(f"workbook:  {out}")
