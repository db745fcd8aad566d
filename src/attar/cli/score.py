"""``attar score``: label the rows of a file or a collection."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from attar.cli.options import ArtifactFolder, InEncoding, Lang, Workers, expanded, lines_in
from attar.errors import DataError, RecipeError

if TYPE_CHECKING:
    from attar.language.translator import Translator
    from attar.scoring.options import Counts, ScoreOptions

__all__ = ["score"]

_ROWS = ".jsonl, .json, .csv, .tsv (.gz, .zst), .parquet, .xlsx, mongodb://HOST/DB/COLLECTION or -"

# Options that Spark's job does not have, by their names in ScoreOptions.
_ONE_MACHINE = {
    "label": "--label",
    "query": "--query",
    "into_source": "--into-source",
    "quoted": "--no-quotes",
    "in_encoding": "--in-encoding",
    "encoding": "--encoding",
    "stream_format": "--format",
    "rejected": "--rejected",
}

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


_IntoSource = Annotated[
    bool, typer.Option("--into-source", help="MongoDB: add a field `attar` to what is read.")
]
_Columns = Annotated[
    str | None, typer.Option("--columns", help="Columns to keep, as id,brand. [default: all]")
]
_Encoding = Annotated[
    str | None,
    typer.Option(help="CSV, TSV out: utf-8, utf-8-sig, gb18030 or utf-16. [default: CSV utf-8-sig]"),
]
_Overwrite = Annotated[
    bool, typer.Option("--overwrite", help="Replace what is at --out, or the parts of another job.")
]
_Rejected = Annotated[
    Path | None, typer.Option(help="File for rows that cannot be used. [default: OUT.rejected.jsonl]")
]
_Strict = Annotated[
    float | None, typer.Option(help="Exit 3 if a larger share of the rows is rejected, such as 0.01.")
]
_Format = Annotated[str, typer.Option("--format", help="Of standard input and output: jsonl, csv or tsv.")]
_AcceptRefused = Annotated[
    bool, typer.Option("--accept-refused", help="Score with an artifact that its gate refused.")
]
_Engine = Annotated[
    Literal["local", "spark"],
    typer.Option(help="This machine, or Apache Spark: Parquet and hive://DB/TABLE."),
]
_Master = Annotated[
    str | None, typer.Option(help="Spark's: yarn, spark://HOST:PORT, k8s://https://HOST:PORT, local[CORES].")
]
_Conf = Annotated[
    list[str] | None, typer.Option("--conf", metavar="KEY=VALUE", help="A property of Spark; several times.")
]


def score(
    artifact: ArtifactFolder,
    sources: Annotated[
        list[str],
        typer.Option("--in", help=f"Rows with text and term: {_ROWS}; folders, 'patterns*'; several times."),
    ],
    out: Annotated[str, typer.Option(help=f"The same with label and probabilities: {_ROWS}.")],
    text: Annotated[str, typer.Option(help="Column of the text; a.b is a nested one.")] = "text",
    term: Annotated[str | None, typer.Option(help="Column of the term. [default: term or keyword]")] = None,
    first: Annotated[bool, typer.Option("--first", help="Only the first occurrence of a term.")] = False,
    label: Annotated[str | None, typer.Option(help="Excel: the gold labels. [default: label]")] = None,
    query: Annotated[str | None, typer.Option(help="MongoDB: which documents, a filter as JSON.")] = None,
    into_source: _IntoSource = False,
    quotes: _Quotes = True,
    offsets: _Offsets = True,
    terms: _Terms = None,
    split_terms: _SplitTerms = None,
    in_encoding: InEncoding = None,
    columns: _Columns = None,
    encoding: _Encoding = None,
    stream_format: _Format = "jsonl",
    rejected: _Rejected = None,
    strict: _Strict = None,
    overwrite: _Overwrite = False,
    accept_refused: _AcceptRefused = False,
    workers: Workers = None,
    engine: _Engine = "local",
    master: _Master = None,
    conf: _Conf = None,
    lang: Lang = None,
) -> None:
    """Score rows: every occurrence of the term, or the one at start and end if the row has them.

    `.xlsx` is for analysts, `.json` for Label Studio. The same command resumes an interrupted job.
    """
    from attar.language.translator import page_language
    from attar.scoring.mongodb import parse_query
    from attar.scoring.options import ScoreOptions, check_share, stream_format_of
    from attar.terms.term_list import read_term_list

    tr, out = lines_in(lang), expanded(out)
    if terms is not None and (term is not None or split_terms is not None):
        raise DataError("--terms finds the terms; --term and --split-terms are for rows that have theirs")
    check_share(strict or 0.0)
    if engine == "local":
        _check_local(out, [artifact, *([terms] if terms is not None else [])], master, conf)
    options = ScoreOptions(
        text=text, term=term, first=first, label=label, into_source=into_source, quoted=quotes,
        query=parse_query(query) if query is not None else {}, stream_format=stream_format_of(stream_format),
        offsets=offsets, split_terms=split_terms or None, overwrite=overwrite,
        in_encoding=in_encoding, encoding=encoding, rejected=rejected, accept_refused=accept_refused,
        terms=read_term_list(terms) if terms is not None else None,
        columns=None if columns is None else _listed(columns), language=page_language(lang),
    )  # fmt: skip
    if engine == "spark":
        counts = _scored_with_spark(artifact, sources, out, options, (workers, master, conf))
    else:
        counts = _scored(artifact, sources, out, options, workers)
    _print_counts(counts, out, terms, tr)
    _check(counts, strict)


def _listed(names: str) -> list[str]:
    return [name.strip() for name in names.split(",") if name.strip()]


def _check_local(out: str, paths_read: list[Path], master: str | None, conf: list[str] | None) -> None:
    from attar.io.mongo import is_mongodb
    from attar.io.outputs import check_output

    if master is not None or conf:
        raise RecipeError("--master and --conf are for Apache Spark; add --engine spark")
    if out != "-" and not is_mongodb(out):
        check_output(Path(out), paths_read)


def _scored(
    artifact: Path, sources: list[str], out: str, options: ScoreOptions, workers: int | None
) -> Counts:
    from attar.artifact import load_artifact
    from attar.scoring.predictor import Predictor
    from attar.scoring.stage import score_file

    predictor = Predictor(load_artifact(artifact), workers=workers)
    return score_file(predictor, [expanded(source) for source in sources], out, options)


def _scored_with_spark(
    artifact: Path,
    sources: list[str],
    out: str,
    options: ScoreOptions,
    given: tuple[int | None, str | None, list[str] | None],
) -> Counts:
    """Score with Spark; what it has no use for is refused, everything else checked before it is started."""
    from attar.artifact import load_artifact
    from attar.scoring.options import ScoreOptions
    from attar.scoring.refused import check_refused
    from attar.scoring.spark.job import check_places, score_with_spark
    from attar.scoring.spark.places import is_table
    from attar.scoring.spark.session import SparkSettings, open_session, read_conf

    for name, flag in _ONE_MACHINE.items():
        if getattr(options, name) != getattr(ScoreOptions(), name):
            raise RecipeError(
                f"{flag} is for files that Spark does not read or write; leave it or the engine out"
            )
    workers, master, conf = given
    loaded = load_artifact(artifact)
    check_refused(loaded, accepted=options.accept_refused)
    places = [expanded(source) for source in sources]
    check_places(places, out)
    settings = SparkSettings(master, read_conf(conf or ()))
    with open_session(settings, hive=any(map(is_table, (*places, out)))) as session:
        return score_with_spark(session, loaded, places, out, options, workers)


def _check(counts: Counts, strict: float | None) -> None:
    """What a finished job ends with: 2 if a file could not be read, 3 if too many rows were rejected."""
    from attar.scoring.options import check_strict

    if counts.damaged:
        raise DataError(
            f"{len(counts.damaged)} of the files could not be read whole; the others are scored: "
            + "; ".join(counts.damaged.values())
        )
    if strict is not None:
        check_strict(counts, strict)


def _print_counts(counts: Counts, out: str, terms: Path | None, tr: Translator) -> None:
    from attar.io.mongo import shown_place

    def say(line: str) -> None:
        typer.echo(line, err=out == "-")

    num, rows, place = str(counts.predictions), str(counts.rows), shown_place(out)
    say(tr("scored:    {num} mentions of {rows} rows -> {place}", num=num, rows=rows, place=place))
    if counts.reused:
        say(tr("resumed:   {num} of them were scored before the interruption", num=str(counts.reused)))
    if without := str(counts.without_term.total() or ""):
        say(tr("no term:   {num} rows name no term of {file}; they are not written", num=without, file=terms))
    for note in counts.notes:
        say(tr("read:      {said}", said=note))
    if counts.rejected:
        reasons = ", ".join(f"{reason} {count}" for reason, count in counts.rejected.most_common())
        kept = counts.rejected_path or tr("not kept; --rejected FILE keeps them")
        say(tr("rejected:  {count} -> {path}", count=reasons, path=kept))
    if counts.note_path is not None:
        say(tr("refused:   by the gate, and used all the same -> {path}", path=str(counts.note_path)))
