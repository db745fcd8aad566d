"""``attar insight``: what scored reviews say, by brand, term or month, and how far to trust it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from attar.cli.options import Lang, lines_in
from attar.errors import RecipeError, require

__all__ = ["insight"]


def insight(
    source: Annotated[
        Path, typer.Argument(metavar="SCORED", help="Scored rows: a table, or a folder of them.")
    ],
    by: Annotated[
        str, typer.Option(help="Columns to group by, up to four, as brand,term,date:month (day to year).")
    ],
    out: Annotated[Path, typer.Option(help="The folder to write.")],
    labels: Annotated[
        Path | None,
        typer.Option(help="A random sample of the rows with people's labels: corrects the shares."),
    ] = None,
    gold_column: Annotated[
        str | None, typer.Option(help="Its column of these labels. [default: gold or gold_label, else label]")
    ] = None,
    report: Annotated[
        Path | None,
        typer.Option(help="The model's report.json: corrects by its confusion, without a sample."),
    ] = None,
    report_model: Annotated[
        str | None, typer.Option(help="Model in the report. [default: the chosen one]")
    ] = None,
    label: Annotated[str, typer.Option(help="Column of the predicted label.")] = "label",
    text: Annotated[str, typer.Option(help="Column of the text.")] = "text",
    review: Annotated[
        str | None, typer.Option(help="Column that tells reviews apart. [default: the text]")
    ] = None,
    score: Annotated[
        list[str] | None,
        typer.Option(
            metavar="LABEL=SCORE", help="Score of a label from -1 to 1, as 差=-1; gives a net sentiment."
        ),
    ] = None,
    title: Annotated[str, typer.Option(help="Title of page and workbook.")] = "",
    lang: Lang = None,
) -> None:
    """Count what scored reviews say by columns of yours, corrected for the model's errors, with intervals.

    Writes a page, a workbook, Parquet and JSON, and pictures. Without --labels or --report the figures are
    the model's own and are marked as uncorrected.
    """
    require("pyarrow", "parquet")
    from attar.insight.scored_rows import ScoredColumns
    from attar.insight.stage import InsightOptions, make_insight
    from attar.language.translator import page_language

    tr = lines_in(lang)
    options = InsightOptions(
        ScoredColumns(label, text, review), labels, gold_column, report, report_model, _scores(score),
        page_language(lang), title,
    )  # fmt: skip
    make_insight(source, [each.strip() for each in by.split(",") if each.strip()], out, options)
    typer.echo(tr("page:      {path}", path=out / "insight.html"))
    typer.echo(tr("workbook:  {path}", path=out / "insight.xlsx"))
    typer.echo(tr("figures:   {cells}, {all}", cells=out / "cells.parquet", all=out / "insight.json"))


def _scores(given: list[str] | None) -> dict[str, float]:
    scores: dict[str, float] = {}
    for each in given or ():
        name, _, value = each.rpartition("=")
        try:
            scores[name.strip()] = float(value)
        except ValueError:
            raise RecipeError(f"--score {each}: expected LABEL=SCORE, as in --score 差=-1") from None
    return scores
