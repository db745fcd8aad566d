"""The verbs that use what was made: score, serve, compare, bench, verify, convert."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from attar.console import print_bench, print_comparison, print_verification
from attar.errors import RecipeError

__all__ = ["bench", "compare", "convert", "score", "serve", "verify"]

Workers = Annotated[
    int | None,
    typer.Option(
        "--workers",
        min=1,
        help="Threads that compute. "
        "[default: ATTAR_WORKERS, or one for each core that affinity and the CPU quota leave]",
    ),
]

_ROWS = ".jsonl, .csv, .tsv, .parquet, .xlsx or mongodb://HOST/DB/COLLECTION"


def score(
    artifact: Annotated[Path, typer.Argument(help="An artifact folder.")],
    source: Annotated[str, typer.Option("--in", help=f"Rows with text and term: {_ROWS}.")],
    out: Annotated[str, typer.Option(help=f"The same with label and probabilities: {_ROWS}, .json.")],
    text: Annotated[str, typer.Option(help="Column of the text; a.b is a nested one.")] = "text",
    term: Annotated[str | None, typer.Option(help="Column of the term. [default: term or keyword]")] = None,
    first: Annotated[bool, typer.Option("--first", help="Only the first occurrence of a term.")] = False,
    label: Annotated[str | None, typer.Option(help="Excel: the gold labels. [default: label]")] = None,
    query: Annotated[str | None, typer.Option(help="MongoDB: which documents, a filter as JSON.")] = None,
    into_source: Annotated[
        bool, typer.Option("--into-source", help="MongoDB: add a field `attar` to what is read.")
    ] = False,
    workers: Workers = None,
) -> None:
    """Score rows: every occurrence of the term, or the one at start and end if the row has them.

    `.xlsx` is a workbook for analysts; `.json` are Label Studio tasks with pre-annotations.
    """
    from attar.artifact import load_artifact
    from attar.recipe import expand_variables
    from attar.scoring.mongodb import parse_query
    from attar.scoring.predictor import Predictor
    from attar.scoring.rows import ScoreOptions, score_file, shown_place

    source, out = (expand_variables(place) if "://" in place else place for place in (source, out))
    chosen = parse_query(query) if query is not None else {}
    options = ScoreOptions(text, term, first, label, chosen, into_source)
    predictor = Predictor(load_artifact(artifact), workers=workers)
    counts = score_file(predictor, source, out, options)
    typer.echo(f"scored:    {counts.predictions} mentions of {counts.rows} rows -> {shown_place(out)}")
    if counts.rejected:
        reasons = ", ".join(f"{reason} {count}" for reason, count in counts.rejected.most_common())
        typer.echo(f"rejected:  {reasons} -> {counts.rejected_path}")


def serve(
    artifact: Annotated[Path, typer.Argument(help="An artifact folder.")],
    host: Annotated[str, typer.Option(help="Address to listen on; 0.0.0.0 for all.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes any that is free.")] = 8000,
    classic: Annotated[
        bool, typer.Option("--classic", help="Add the original system's /api routes, with its large limits.")
    ] = False,
    workers: Workers = None,
) -> None:
    """Serve an artifact over HTTP: POST /v1/score, GET /v1/model, /live, /ready, /openapi.json.

    Where ATTAR_API_KEY is set, clients must send it as `Authorization: Bearer KEY`. On SIGTERM what
    is being answered is answered first.
    """
    try:
        from attar.serving.server import serve_artifact
    except ImportError as error:
        raise RecipeError("attar serve needs FastAPI and uvicorn; pip install 'attar[serve]'") from error
    serve_artifact(artifact, host, port, classic=classic, workers=workers, say=typer.echo)


def compare(
    a: Annotated[Path, typer.Argument(metavar="A", help="Scored rows, or rows that people labelled.")],
    b: Annotated[Path | None, typer.Argument(metavar="[B]", help="Others, of the same texts.")] = None,
    out: Annotated[Path, typer.Option(help="The workbook, .xlsx.")] = Path("compared.xlsx"),
    gold: Annotated[Path | None, typer.Option(help="Gold labels. [default: the column input_label]")] = None,
    task: Annotated[str | None, typer.Option(help="Read labels in any spelling of this task.")] = None,
) -> None:
    """Compare answers with gold labels, two models, or annotators, in an Excel workbook.

    Sheets: wrong and correct of each, different, both wrong, and what is in one file only.
    """
    from attar.answers import compare_files
    from attar.task import task_by_name

    figures = compare_files(a, b, out, gold=gold, task=task_by_name(task) if task else None)
    print_comparison(figures)
    typer.echo(f"workbook:  {out}")


def bench(
    artifact: Annotated[Path, typer.Argument(help="An artifact folder.")],
    data: Annotated[
        Path | None,
        typer.Option(help="A folder written by `attar prepare`. [default: made-up texts of 12 to 70 tokens]"),
    ] = None,
    against: Annotated[
        list[Path] | None, typer.Option(help="Checkpoints or artifacts to time beside it.")
    ] = None,
    workers: Workers = None,
    repeats: Annotated[int, typer.Option(min=1, help="Interleaved rounds.")] = 5,
    price: Annotated[float, typer.Option(min=0, help="Price of a core for an hour, in any currency.")] = 0.04,
    out: Annotated[Path | None, typer.Option(help="Folder for bench.json and bench.svg.")] = None,
) -> None:
    """Time an artifact on this machine, text to label, beside other models in one interleaved run.

    Examples a second with all workers and with one, the time of one example, start-up and memory in
    fresh processes, file size, and the price of a million mentions. A checkpoint is run as the
    original system runs one.
    """
    from attar.comparison import bench as measure
    from attar.comparison import write_bench

    figures = measure(
        artifact, against or [], data, workers=workers, repeats=repeats, price_per_core_hour=price
    )
    print_bench(figures)
    if out is not None:
        typer.echo("figures:   {}, {}".format(*write_bench(out, figures)))


def verify(artifact: Annotated[Path, typer.Argument(help="An artifact folder.")]) -> None:
    """Check that an artifact answers on this machine as it did where it was exported.

    Computes all its stored inputs. Exit code 0 if the logits are within the artifact's tolerance, 2 if not.
    """
    from attar.errors import ArtifactError
    from attar.verify import verify as compute

    found = compute(artifact)
    print_verification(found)
    if not found.compared.passed:
        raise ArtifactError(
            f"{artifact} answers otherwise on this machine than where it was exported; copy the folder "
            "again, try another version of ONNX Runtime, or export again"
        )


def convert(
    old: Annotated[Path, typer.Argument(metavar="OLD", help="An artifact folder of an older attar.")],
    new: Annotated[Path, typer.Argument(metavar="NEW", help="A folder that is not there yet.")],
) -> None:
    """Make an artifact of an older attar exact on every processor; its answers stay the same.

    Exporting again from the checkpoint gives one that is also faster. Needs `attar[train]`.
    """
    try:
        from attar.export.convert import convert as rewrite
    except ImportError as error:
        raise RecipeError("attar convert needs the package onnx; pip install 'attar[train]'") from error
    rewrite(old, new)
    typer.echo(f"artifact:  {new}")
