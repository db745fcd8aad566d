"""The command line: one thin function a verb."""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from attar import __version__
from attar.errors import AttarError, RecipeError

if TYPE_CHECKING:
    from attar.recipe import Recipe

__all__ = ["app", "main"]

_STOPPED = 130  # what a shell reports of a program that Ctrl-C ended

app = typer.Typer(
    name="attar",
    help="Labelled Chinese reviews in, a small, fast aspect-sentiment scorer that you can trust out.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
)

RecipePath = Annotated[Path, typer.Argument(metavar="RECIPE", help="A TOML recipe.")]
Overrides = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Override a key of the recipe.")
]
DataFolder = Annotated[Path, typer.Option("--data", help="A folder written by `attar prepare`.")]
OutFolder = Annotated[Path, typer.Option("--out", help="Where the result goes.")]


@app.callback(invoke_without_command=True)
def _options(
    debug: Annotated[bool, typer.Option("--debug", help="Show the whole trace of an error.")] = False,
    version: Annotated[bool, typer.Option("--version", help="Print the version and leave.")] = False,
) -> None:
    if version:
        typer.echo(f"attar {__version__}")
        raise typer.Exit
    if debug:
        os.environ["ATTAR_DEBUG"] = "1"


@app.command(epilog="Example: `attar run recipes/quickstart.toml --set distill.temperature=4`")
def run(
    recipe: RecipePath,
    out: Annotated[Path | None, typer.Option(help="The run folder. [default: runs/NAME]")] = None,
    overrides: Overrides = None,
) -> None:
    """Everything from one recipe: prepare, train, distill, export, evaluate.

    Can be stopped at any time; the same command goes on. A finished stage is repeated only if what
    it was made from changed.
    """
    import json
    import shlex

    from attar.recipe import load_recipe
    from attar.stages import run_recipe

    loaded = load_recipe(recipe, overrides or ())
    folders = run_recipe(loaded, out or Path("runs") / loaded.name, _say)
    report = json.loads((folders.report / "report.json").read_text("utf-8"))
    _print_summary(report)
    typer.echo(f"report:    {folders.report / 'report.html'}")
    typer.echo(f"artifact:  {folders.artifact}")
    artifact = shlex.quote(str(folders.artifact))
    typer.echo(f"score with: attar score {artifact} --in reviews.csv --out scored.csv")


@app.command(epilog="Example: `attar prepare corpus/cosmetics --task cosmetics --out data`")
def prepare(
    sources: Annotated[
        list[Path], typer.Argument(metavar="SOURCE...", help="Files or folders of labelled reviews.")
    ],
    out: OutFolder,
    task: Annotated[
        str | None, typer.Option(help="cosmetics, newcos or components. [default: cosmetics]")
    ] = None,
    recipe: Annotated[
        Path | None, typer.Option(help="Take task, [data] and seed from a recipe: for a task of your own.")
    ] = None,
    overrides: Overrides = None,
) -> None:
    """Check labelled reviews and split them into train, dev and test.

    Reads inline markup, the JSON rows of the original system, JSONL, CSV, TSV and Parquet. What
    cannot be used lands in rejected.jsonl with its reason.
    """
    from attar import stages
    from attar.records.prepared import load_manifest

    if task is not None and recipe is not None:
        raise RecipeError("attar prepare: a recipe names its task; give either --task or --recipe")
    loaded = _recipe_or(recipe, overrides, name=task or "cosmetics", task=task or "cosmetics")
    stages.prepare(loaded, sources, out)
    manifest = load_manifest(out)
    for name, labels in manifest["labels"].items():
        shares = ", ".join(f"{label} {count}" for label, count in labels.items())
        typer.echo(f"{name + ':':10} {sum(labels.values())} ({shares})")
    typer.echo(f"rejected:  {manifest['num_rejected']} -> {out / 'rejected.jsonl'}")
    typer.echo(f"data:      {out}")


@app.command(epilog="Example: `attar train recipes/quickstart.toml --data data --out teacher`")
def train(recipe: RecipePath, data: DataFolder, out: OutFolder, overrides: Overrides = None) -> None:
    """Fine-tune the recipe's pretrained encoder: the teacher."""
    from attar import stages
    from attar.recipe import load_recipe

    stages.train(load_recipe(recipe, overrides or ()), data, out)
    typer.echo(f"checkpoint: {out}")


@app.command(
    epilog="Example: `attar distill recipes/quickstart.toml --data data --teacher teacher --out student`"
)
def distill(
    recipe: RecipePath,
    data: DataFolder,
    out: OutFolder,
    teacher: Annotated[Path | None, typer.Option(help="A checkpoint that answers for it.")] = None,
    overrides: Overrides = None,
) -> None:
    """Train the recipe's student on a teacher's answers.

    Without `--teacher`, the same student learns from the labels alone: the baseline.
    """
    from attar import stages
    from attar.recipe import load_recipe

    loaded = load_recipe(recipe, overrides or ())
    if teacher is None:
        stages.finetune(loaded, data, out)
    else:
        stages.distill(loaded, data, teacher, out)
    typer.echo(f"checkpoint: {out}")


@app.command(epilog="Example: `attar export student --data data --out artifact`")
def export(
    checkpoint: Annotated[Path, typer.Argument(help="A checkpoint folder.")],
    data: DataFolder,
    out: OutFolder,
    recipe: Annotated[Path | None, typer.Option(help="Take the gates of [export] from a recipe.")] = None,
    overrides: Overrides = None,
) -> None:
    """Turn a checkpoint into an int8 artifact, verified on the dev split before it is written."""
    from attar import stages

    loaded = _recipe_or(recipe, overrides, name=checkpoint.name)
    stages.export(loaded, checkpoint, data, out)
    typer.echo(f"artifact:  {out}")


@app.command(
    epilog="Example: `attar evaluate --data data --teacher teacher --artifact artifact --out report`"
)
def evaluate(
    data: DataFolder,
    out: OutFolder,
    teacher: Annotated[Path | None, typer.Option(help="Checkpoint of the teacher.")] = None,
    student: Annotated[Path | None, typer.Option(help="Checkpoint of the student.")] = None,
    finetuned: Annotated[Path | None, typer.Option(help="Checkpoint of the student without teacher.")] = None,
    artifact: Annotated[Path | None, typer.Option(help="Artifact of the student.")] = None,
    recipe: Annotated[Path | None, typer.Option(help="Take [evaluate] from a recipe.")] = None,
    overrides: Overrides = None,
) -> None:
    """Compare models with each other and with the baselines on the test split."""
    import json

    from attar import stages
    from attar.records.prepared import load_manifest

    task = None if recipe else load_manifest(data)["task"]
    loaded = _recipe_or(recipe, overrides, name=data.name, task=task)
    stages.evaluate(loaded, data, stages.Models(teacher, student, finetuned, artifact), out)
    _print_summary(json.loads((out / "report.json").read_text("utf-8")))
    typer.echo(f"report:    {out / 'report.html'}")


@app.command(epilog="Example: `attar score artifact --in reviews.csv --out scored.csv`")
def score(
    artifact: Annotated[Path, typer.Argument(help="An artifact folder.")],
    source: Annotated[Path, typer.Option("--in", help="JSONL, CSV, TSV or Parquet rows with text and term.")],
    out: Annotated[
        Path, typer.Option(help="The same rows with label and probabilities; its ending says the form.")
    ],
    text: Annotated[str, typer.Option(help="Column of the text.")] = "text",
    term: Annotated[str | None, typer.Option(help="Column of the term. [default: term or keyword]")] = None,
    first: Annotated[bool, typer.Option("--first", help="Only the first occurrence of a term.")] = False,
    workers: Annotated[int | None, typer.Option(min=1, help="Processor cores. [default: all]")] = None,
) -> None:
    """Score rows: every occurrence of the term, or the one at start and end if the row has them."""
    from attar.artifact import load_artifact
    from attar.scoring.predictor import Predictor
    from attar.scoring.rows import score_file

    predictor = Predictor(load_artifact(artifact), workers=workers)
    counts = score_file(predictor, source, out, text_column=text, term_column=term, first=first)
    typer.echo(f"scored:    {counts.predictions} mentions of {counts.rows} rows -> {out}")
    if counts.rejected:
        reasons = ", ".join(f"{reason} {count}" for reason, count in counts.rejected.most_common())
        typer.echo(f"rejected:  {reasons} -> {out}.rejected.jsonl")


@app.command(epilog="Example: `attar bench artifact --data data --against teacher`")
def bench(
    artifact: Annotated[Path, typer.Argument(help="An artifact folder.")],
    data: DataFolder,
    against: Annotated[
        list[Path] | None, typer.Option(help="Checkpoints or artifacts to time beside it.")
    ] = None,
    repeats: Annotated[int, typer.Option(min=1, help="Interleaved rounds.")] = 5,
    out: Annotated[Path | None, typer.Option(help="Write the figures as JSON too.")] = None,
) -> None:
    """Time an artifact on this machine, text to label, beside other models in one interleaved run."""
    from attar.comparison import bench as measure
    from attar.files import write_json

    speeds = measure(artifact, against or [], data, repeats)
    _print_speeds(speeds)
    if out is not None:
        write_json(out, speeds)
        typer.echo(f"figures:   {out}")


def _recipe_or(path: Path | None, overrides: list[str] | None, **keys: object) -> Recipe:
    """The recipe at ``path``, or without one the defaults with these keys."""
    from attar.recipe import Recipe, load_recipe

    if path is not None:
        return load_recipe(path, overrides or ())
    if overrides:
        raise RecipeError("--set overrides the keys of a recipe; name it with --recipe")
    return Recipe.model_validate(keys)


def _say(line: str) -> None:
    logging.getLogger("attar").info("── %s", line)


def _print_summary(report: dict[str, Any]) -> None:
    """The report's main figures as a table."""
    from rich.console import Console
    from rich.table import Table

    table = Table(title=f"{report['title']}: {report['num_test']} test examples")
    for heading in ("model", "macro-F1 (95 %)", "accuracy", "size", "examples/s", "one example"):
        table.add_column(heading, justify="left" if heading == "model" else "right")
    for name, model in report["models"].items():
        size, speed, latency = (model[k] for k in ("size_bytes", "examples_per_second", "latency_ms_p50"))
        table.add_row(
            name,
            f"{model['macro_f1']:.3f} ({model['macro_f1_low']:.3f}-{model['macro_f1_high']:.3f})",
            f"{model['accuracy']:.3f}",
            "" if size is None else f"{size / 1e6:.1f} MB",
            "" if speed is None else f"{speed:,.0f}",
            "" if latency is None else f"{latency:.1f} ms",
        )
    Console().print(table)
    ratios = report["ratios"]
    if ratios["smaller"] and ratios["faster"]:
        typer.echo(
            f"{report['chosen']} against {report['reference']}: {ratios['smaller']:.0f}x smaller, "
            f"{ratios['faster']:.0f}x faster, same label for {report['agreement']:.1%}"
        )


def _print_speeds(speeds: dict[str, dict[str, Any]]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(title="text to label, one interleaved run")
    for heading in ("model", "examples/s", "slowest-fastest round", "one example p50", "p99", "x the first"):
        table.add_column(heading, justify="left" if heading == "model" else "right")
    first = next(iter(speeds.values()))["examples_per_second"]
    for name, speed in speeds.items():
        table.add_row(
            name,
            f"{speed['examples_per_second']:,.0f}",
            f"{speed['examples_per_second_low']:,.0f}-{speed['examples_per_second_high']:,.0f}",
            f"{speed['latency_ms_p50']:.2f} ms",
            f"{speed['latency_ms_p99']:.2f} ms",
            f"{speed['examples_per_second'] / first:.2f}",
        )
    Console().print(table)


def _set_up_logging() -> None:
    from rich.console import Console
    from rich.logging import RichHandler

    handler = RichHandler(console=Console(stderr=True), show_path=False, log_time_format="%H:%M:%S")
    logging.basicConfig(level=logging.WARNING, format="%(message)s", handlers=[handler])
    logging.getLogger("attar").setLevel(logging.INFO)
    # transformers draws bars of its own over ours.
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")


def main() -> None:
    """Run the command line: one line on stderr and exit 2 for an error that the user can mend."""
    if len(sys.argv) > 1 and not {"-h", "--help", "--version"} & set(sys.argv[1:]):
        _set_up_logging()
    try:
        app()
    except AttarError as error:
        if os.environ.get("ATTAR_DEBUG"):
            raise
        sys.stderr.write(f"attar: {error}\n")
        raise SystemExit(2) from None
    except (KeyboardInterrupt, SystemExit) as stop:
        # typer turns Ctrl-C into exit code 130 without a word.
        if isinstance(stop, SystemExit) and stop.code != _STOPPED:
            raise
        sys.stderr.write(
            "attar: stopped; a stage of a run goes on where it was when the same command is given again\n"
        )
        raise SystemExit(_STOPPED) from None
