"""``attar compare``: two sets of labels of the same texts, as an Excel workbook."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from attar.cli.tables import print_comparison
from attar.errors import require

__all__ = ["compare"]


def compare(
    a: Annotated[Path, typer.Argument(metavar="A", help="Scored rows, or rows that people labelled.")],
    b: Annotated[Path | None, typer.Argument(metavar="[B]", help="Others, of the same texts.")] = None,
    out: Annotated[Path, typer.Option(help="The workbook, .xlsx.")] = Path("compared.xlsx"),
    gold: Annotated[Path | None, typer.Option(help="Gold labels. [default: the column input_label]")] = None,
    task: Annotated[str | None, typer.Option(help="Read labels in any spelling of this task.")] = None,
) -> None:
    """Compare predictions with gold labels, two models, or annotators, in an Excel workbook.

    Sheets: wrong and correct of each, different, both wrong, and the rows of one file only.
    """
    require("openpyxl", "excel")
    from attar.compare.stage import compare_files
    from attar.task import task_by_name

    figures = compare_files(a, b, out, gold=gold, task=task_by_name(task) if task else None)
    print_comparison(figures)
    typer.echo(f"workbook:  {out}")
