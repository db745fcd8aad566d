"""The command line: one thin function a verb; those that use what was made are in ``attar.applying``."""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from attar import __version__
from attar.applying import bench, compare, convert, score, serve, verify
from attar.console import print_summary, set_up_logging
from attar.cores import limit_library_threads
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
    print_summary(report)
    typer.echo(f"report:    {folders.report / 'report.html'}")
    typer.echo(f"artifact:  {folders.artifact}")
    artifact = shlex.quote(str(folders.artifact))
    typer.echo(f"score with: attar score {artifact} --in reviews.csv --out scored.csv")


@app.command(epilog="Example: `attar prepare corpus/cosmetics --task cosmetics --out data`")
def prepare(
    out: OutFolder,
    sources: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="SOURCE...",
            help="Files or folders of labelled reviews, mongodb://HOST/DATABASE/COLLECTION, or the address "
            "of a Label Studio project. [default: those of the recipe]",
        ),
    ] = None,
    task: Annotated[
        str | None, typer.Option(help="cosmetics, newcos or components. [default: cosmetics]")
    ] = None,
    recipe: Annotated[
        Path | None, typer.Option(help="Take task, [data] and seed from a recipe: for a task of your own.")
    ] = None,
    overrides: Overrides = None,
) -> None:
    """Fetch and check labelled reviews, and split them into train, dev and test.

    Reads inline markup, the JSON rows of the original system, JSONL, CSV, TSV, Excel, Parquet, the
    three-line form, BIO tags, triplets, Label Studio exports, and MongoDB and Label Studio over the
    network (a MongoDB fetch that was stopped goes on). What cannot be used lands in rejected.jsonl with its
    reason, what was mended in repaired.jsonl; audit.html shows it all.
    """
    from attar import stages
    from attar.recipe import expand_variables
    from attar.records.prepared import load_manifest

    if task is not None and recipe is not None:
        raise RecipeError("attar prepare: a recipe names its task; give either --task or --recipe")
    loaded = _recipe_or(recipe, overrides, name=task or "cosmetics", task=task or "cosmetics")
    # Only of an address: a file may have a $ in its name, and the shell has done its part.
    given = [expand_variables(one) if "://" in one else one for one in sources or ()]
    named = given or loaded.data.sources
    if not named:
        raise RecipeError("attar prepare: name at least one SOURCE, or a --recipe with data.sources")
    stages.prepare(loaded, named, out)
    manifest = load_manifest(out)
    for name, labels in manifest["labels"].items():
        shares = ", ".join(f"{label} {count}" for label, count in labels.items())
        typer.echo(f"{name + ':':10} {sum(labels.values())} ({shares})")
    typer.echo(f"rejected:  {manifest['num_rejected']} -> {out / 'rejected.jsonl'}")
    typer.echo(f"repaired:  {manifest['num_repaired']} -> {out / 'repaired.jsonl'}")
    typer.echo(f"audit:     {out / 'audit.html'}")
    typer.echo(f"data:      {out}")


@app.command(epilog="Example: `attar pretrain recipes/quickstart.toml --texts reviews.txt --out pretrained`")
def pretrain(
    recipe: RecipePath,
    out: OutFolder,
    texts: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FILE",
            help="Reviews without labels: one a line, or any form that prepare reads; may be given several "
            "times. [default: those of the recipe]",
        ),
    ] = None,
    data: Annotated[
        list[Path] | None,
        typer.Option(
            help="A prepared folder of a task to come, for its words and to leave out its dev and test "
            "reviews; may be given several times."
        ),
    ] = None,
    overrides: Overrides = None,
) -> None:
    """Teach the student, or the encoder, on reviews without labels, before there is a task.

    `pretrain.kind = "relations"` teaches the recipe's student the layers of an encoder: then set
    `student.start = "pretrained"` and `student.from_checkpoint` to the result. "mlm" goes on with the
    encoder's own masked-language-model training: then set `train.encoder` to the result.
    """
    from attar import stages
    from attar.recipe import SourceRecipe, expand_variables, load_recipe

    loaded = load_recipe(recipe, overrides or ())
    if texts:
        named = tuple(SourceRecipe(path=expand_variables(one) if "://" in one else one) for one in texts)
        loaded = loaded.model_copy(update={"pretrain": loaded.pretrain.model_copy(update={"texts": named})})
    stages.pretrain(loaded, data or (), out)
    typer.echo(f"pretrained: {out}")


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
    teacher: Annotated[
        list[str] | None,
        typer.Option(help="A checkpoint that answers for it, or linear; may be given several times."),
    ] = None,
    overrides: Overrides = None,
) -> None:
    """Train the recipe's student on a teacher's answers, or on the mean of several teachers'.

    Without `--teacher`, the same student learns from the labels alone: the baseline.
    """
    from attar import stages
    from attar.recipe import load_recipe

    loaded = load_recipe(recipe, overrides or ())
    if teacher:
        stages.distill(loaded, data, [one if one == "linear" else Path(one) for one in teacher], out)
    else:
        stages.finetune(loaded, data, out)
    typer.echo(f"checkpoint: {out}")


@app.command(epilog="Example: `attar export student --data data --out artifact`")
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
) -> None:
    """Turn a checkpoint into an artifact, verified on the dev split before it is written.

    int8 where that changes next to no label, else finer arithmetic where it buys most
    (`--set export.precision=int8` or `fp32` says which).

    A classic one: `--classic gs3024.pkl --config config.json --vocab vocab.txt`. It reads 70 tokens,
    or as many as `--set encode.max_tokens=...` says.
    """
    from attar import stages
    from attar.records.prepared import load_manifest

    if (checkpoint is None) == (classic is None):
        raise RecipeError("attar export: name either a checkpoint folder or --classic gs*.pkl")
    if classic is None:
        assert checkpoint is not None
        stages.export(_recipe_or(recipe, overrides, name=checkpoint.name), checkpoint, data, out)
    elif config is None or vocab is None:
        raise RecipeError("attar export --classic: a gs*.pkl holds weights alone; add --config and --vocab")
    elif task is not None and recipe is not None:
        raise RecipeError("attar export: a recipe names its task; give either --task or --recipe")
    else:
        found = None if recipe else task or load_manifest(data)["task"]
        order = tuple(label.strip() for label in labels.split(",")) if labels else ()
        files = stages.ClassicFiles(
            config, vocab, classic, architecture, False if cased else None, order, stages.marks_from(marks)
        )
        stages.export(_recipe_or(recipe, overrides, name=classic.stem, task=found), files, data, out)
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
    print_summary(json.loads((out / "report.json").read_text("utf-8")))
    typer.echo(f"report:    {out / 'report.html'}")


app.command(epilog="Example: `attar score artifact --in reviews.csv --out scored.csv`")(score)
app.command(epilog="Example: `attar serve artifact --port 8000`")(serve)
app.command(epilog="Example: `attar compare old.csv new.csv --gold test.json --out compared.xlsx`")(compare)
app.command(epilog="Example: `attar verify artifact`")(verify)
app.command(epilog="Example: `attar convert old-artifact new-artifact`")(convert)
app.command(epilog="Example: `attar bench artifact --against teacher --data data --out bench`")(bench)


def _recipe_or(path: Path | None, overrides: list[str] | None, **keys: object) -> Recipe:
    """The recipe at ``path``, or without one the defaults with these keys."""
    from attar.recipe import load_recipe, make_recipe

    return load_recipe(path, overrides or ()) if path is not None else make_recipe(keys, overrides or ())


def _say(line: str) -> None:
    logging.getLogger("attar").info("── %s", line)


def main() -> None:
    """Run the command line: one line on stderr and exit 2 for an error that the user can mend."""
    works = len(sys.argv) > 1 and not {"-h", "--help", "--version"} & set(sys.argv[1:])
    if works:
        set_up_logging()
    try:
        if works:
            limit_library_threads()
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
