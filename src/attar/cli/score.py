"""``attar score``: label the rows of a file or a collection."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from attar.cli.options import ArtifactFolder, InEncoding, Workers, expanded
from attar.errors import DataError

if TYPE_CHECKING:
    from attar.scoring.stage import Counts

__all__ = ["score"]

_ROWS = ".jsonl, .csv, .tsv, .parquet, .xlsx or mongodb://HOST/DB/COLLECTION"

_Quotes = Annotated[
    bool, typer.Option("--quotes/--no-quotes", help="CSV, TSV: whether quotes enclose cells.")
]
_Offsets = Annotated[
    bool, typer.Option("--offsets/--no-offsets", help="Whether columns start and end may be offsets.")
]
_Terms = Annotated[
    Path | None,
    typer.Option(
        "--terms",
        help="A list, `term,synonym,...` a line or a table: score each mention of a term; rows need none.",
    ),
]
_SplitTerms = Annotated[
    str | None, typer.Option("--split-terms", help="What parts several terms in one cell, such as 、.")
]


def score(
    artifact: ArtifactFolder,
    sources: Annotated[
        list[str],
        typer.Option("--in", help=f"Rows with text and term: {_ROWS}. May be given several times."),
    ],
    out: Annotated[str, typer.Option(help=f"The same with label and probabilities: {_ROWS}, .json.")],
    text: Annotated[str, typer.Option(help="Column of the text; a.b is a nested one.")] = "text",
    term: Annotated[str | None, typer.Option(help="Column of the term. [default: term or keyword]")] = None,
    first: Annotated[bool, typer.Option("--first", help="Only the first occurrence of a term.")] = False,
    label: Annotated[str | None, typer.Option(help="Excel: the gold labels. [default: label]")] = None,
    query: Annotated[str | None, typer.Option(help="MongoDB: which documents, a filter as JSON.")] = None,
    into_source: Annotated[
        bool, typer.Option("--into-source", help="MongoDB: add a field `attar` to what is read.")
    ] = False,
    quotes: _Quotes = True,
    offsets: _Offsets = True,
    terms: _Terms = None,
    split_terms: _SplitTerms = None,
    encoding: InEncoding = None,
    workers: Workers = None,
) -> None:
    """Score rows: every occurrence of the term, or the one at start and end if the row has them.

    `.xlsx` is a workbook for analysts; `.json` are Label Studio tasks with pre-annotations.
    """
    from attar.artifact import load_artifact
    from attar.io.mongo import shown_place
    from attar.scoring.mongodb import parse_query
    from attar.scoring.predictor import Predictor
    from attar.scoring.stage import ScoreOptions, score_file
    from attar.terms.term_list import read_term_list

    if terms is not None and (term is not None or split_terms is not None):
        raise DataError("--terms finds the terms; --term and --split-terms are for rows that have theirs")

    out = expanded(out)
    chosen = parse_query(query) if query is not None else {}
    options = ScoreOptions(
        text=text,
        term=term,
        first=first,
        label=label,
        query=chosen,
        into_source=into_source,
        quoted=quotes,
        offsets=offsets,
        split_terms=split_terms or None,
        encoding=encoding,
        terms=read_term_list(terms) if terms is not None else None,
    )
    predictor = Predictor(load_artifact(artifact), workers=workers)
    counts = score_file(predictor, [expanded(source) for source in sources], out, options)
    _print_counts(counts, shown_place(out), terms)


def _print_counts(counts: Counts, out: str, terms: Path | None) -> None:
    typer.echo(f"scored:    {counts.predictions} mentions of {counts.rows} rows -> {out}")
    if without := counts.without_term.total():
        typer.echo(f"no term:   {without} rows name no term of {terms}; they are not written")
    for note in counts.notes:
        typer.echo(f"read:      {note}")
    if counts.rejected:
        reasons = ", ".join(f"{reason} {count}" for reason, count in counts.rejected.most_common())
        typer.echo(f"rejected:  {reasons} -> {counts.rejected_path}")
