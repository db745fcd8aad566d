"""``attar compare``: labels of the same texts side by side, as an Excel workbook or a table."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from attar.cli.comparisons import print_comparison
from attar.cli.options import InEncoding, Lang, lines_in
from attar.errors import RecipeError, require

__all__ = ["compare"]


_Files = Annotated[
    list[Path] | None,
    typer.Argument(
        metavar="A [B...]",
        help="Scored rows, rows that people labelled, or artifacts, which score the others' rows.",
    ),
]
_More = Annotated[list[Path] | None, typer.Option("--in", help="The same as A and B.")]
_Out = Annotated[Path, typer.Option(help="The workbook, .xlsx; or a table: .csv, .tsv, .jsonl, .parquet.")]
_Names = Annotated[
    str | None, typer.Option(metavar="A,B,...", help="What they are called. [default: by their files]")
]
_Gold = Annotated[list[Path] | None, typer.Option(help="A file of gold labels.")]
_GoldColumn = Annotated[
    list[str] | None,
    typer.Option(help="Column of the gold labels of one annotator. [default: gold or gold_label]"),
]
_By = Annotated[
    str | None, typer.Option(metavar="COLUMN,...", help="Columns of your own to slice the figures by.")
]
_Train = Annotated[
    list[Path] | None,
    typer.Option(help="Training examples, whose terms are the seen ones: a prepared folder or a file."),
]
_Figures = Annotated[Path | None, typer.Option(help="Write all figures for programs, too: a .json file.")]
_Quotes = Annotated[
    bool, typer.Option("--quotes/--no-quotes", help="CSV, TSV: whether quotes enclose cells.")
]
_Offsets = Annotated[
    bool, typer.Option("--offsets/--no-offsets", help="Whether columns start and end may be offsets.")
]


def compare(
    files: _Files = None,
    more: _More = None,
    out: _Out = Path("compared.xlsx"),
    names: _Names = None,
    gold: _Gold = None,
    gold_column: _GoldColumn = None,
    by: _By = None,
    train: _Train = None,
    figures: _Figures = None,
    task: Annotated[str | None, typer.Option(help="Read labels in any spelling of this task.")] = None,
    text: Annotated[str | None, typer.Option(help="Column of the text. [default: text]")] = None,
    term: Annotated[str | None, typer.Option(help="Column of the term. [default: term or keyword]")] = None,
    label: Annotated[str | None, typer.Option(help="Column of the label. [default: label]")] = None,
    quotes: _Quotes = True,
    offsets: _Offsets = True,
    bootstrap: Annotated[int, typer.Option(min=100, help="Draws of reviews for the intervals.")] = 1000,
    seed: Annotated[int, typer.Option(help="Of the draws.")] = 20,
    encoding: InEncoding = None,
    lang: Lang = None,
) -> None:
    """Compare predictions with gold labels, two or more models, or annotators.

    Sheets: summary, slices, wrong and correct of each, different, wrong in all, and the rows of one only.
    Your own columns are kept. With gold labels every two have the difference of macro-F1 with its interval.
    """
    from attar.compare.annotations import AnnotationOptions
    from attar.compare.stage import CompareOptions, compare_files
    from attar.io.files import write_json
    from attar.io.outputs import check_output
    from attar.language.translator import page_language
    from attar.task import task_by_name

    tr = lines_in(lang)
    if out.suffix.lower() == ".xlsx":
        require("openpyxl", "excel")
    named = [*(files or ()), *(more or ())]
    if not named:
        raise RecipeError("attar compare: no files are named; expected one or more, such as old.csv new.csv")
    if figures is not None:
        check_output(figures, [*named, *(gold or ()), *(train or ()), out])
    options = AnnotationOptions(
        text, term, label, tuple(gold_column or ()) or None, quoted=quotes, offsets=offsets, encoding=encoding
    )
    compared = CompareOptions(
        _listed(names), _listed(by), train or (), bootstrap, seed, page_language(lang), tr.language
    )
    judge = task_by_name(task) if task else None
    found = compare_files(named, out, gold=gold or None, task=judge, options=options, compared=compared)
    if figures is not None:
        write_json(figures, found)
    print_comparison(found, tr)
    is_workbook = out.suffix.lower() == ".xlsx"
    typer.echo(tr("workbook:  {path}", path=out) if is_workbook else tr("table:  {path}", path=out))


def _listed(given: str | None) -> tuple[str, ...]:
    return tuple(name.strip() for name in given.split(",")) if given else ()
