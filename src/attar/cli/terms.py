"""``attar terms``: propose a list of terms from reviews."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from attar.cli.options import InEncoding, Lang, lines_in

__all__ = ["terms"]


def terms(
    source: Annotated[
        Path,
        typer.Argument(metavar="REVIEWS", help="A table, a folder of them, or .txt with a review a line."),
    ],
    out: Annotated[Path, typer.Option(help="The list: .csv, .tsv, .jsonl or .parquet.")],
    text: Annotated[str, typer.Option(help="Column of the text.")] = "text",
    known: Annotated[
        Path | None, typer.Option(help="A list whose terms and synonyms are not proposed.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="Number of terms at most.")] = 500,
    min_count: Annotated[int, typer.Option(min=2, help="Occurrences of a term at least.")] = 5,
    encoding: InEncoding = None,
    lang: Lang = None,
) -> None:
    """Propose the terms that reviews talk about, the likeliest first, each with an example.

    A person reads the list and deletes what is no term. `attar score --terms` finds what is left.
    """
    tr = lines_in(lang)
    from attar.terms.stage import propose_term_list

    found = propose_term_list(
        source, out, text=text, known=known, limit=limit, min_count=min_count, encoding=encoding
    )
    first = "、".join(each.term for each in found[:8])
    typer.echo(tr("terms:     {num}, the first: {first} -> {path}", num=len(found), first=first, path=out))
