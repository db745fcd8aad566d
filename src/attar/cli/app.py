"""The typer app: every verb with its example, in the order in which they are used, and the global options.

Imports typer and attar's command line alone: each verb imports its work when it is called, so that
``attar --help`` takes no seconds.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from typing import Annotated

import typer

from attar import __version__
from attar.cli.bench import bench
from attar.cli.cascade import cascade
from attar.cli.clean import clean
from attar.cli.compare import compare
from attar.cli.convert import convert
from attar.cli.distill import distill
from attar.cli.evaluate import evaluate
from attar.cli.export import export
from attar.cli.init import init
from attar.cli.insight import insight
from attar.cli.once import Once
from attar.cli.prepare import prepare
from attar.cli.pretrain import pretrain
from attar.cli.run import run
from attar.cli.score import score
from attar.cli.serve import serve
from attar.cli.terms import terms
from attar.cli.train import train
from attar.cli.verify import verify
from attar.errors import system_error

__all__ = ["app"]

app = typer.Typer(
    name="attar",
    help="Turn labelled Chinese reviews into a small, fast aspect-sentiment model that can be trusted.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback(invoke_without_command=True)
def _options(
    debug: Annotated[bool, typer.Option("--debug", help="Show the full traceback of an error.")] = False,
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
) -> None:
    if version:
        typer.echo(f"attar {__version__}")
        raise typer.Exit
    if debug:
        os.environ["ATTAR_DEBUG"] = "1"


_EXAMPLES: dict[Callable[..., None], str] = {
    init: "`attar init reviews.csv`",
    run: "`attar run recipes/quickstart.toml --set distill.temperature=4`",
    prepare: "`attar prepare corpus/cosmetics --task cosmetics --out data`",
    pretrain: "`attar pretrain recipes/quickstart.toml --texts reviews.txt --out pretrained`",
    train: "`attar train recipes/quickstart.toml --data data --out teacher`",
    distill: "`attar distill recipes/quickstart.toml --data data --teacher teacher --out student`",
    export: "`attar export student --data data --out artifact`",
    evaluate: "`attar evaluate --data data --teacher teacher --artifact artifact --out report`",
    cascade: "`attar cascade --first linear --second artifact --data data --out cascade`",
    terms: "`attar terms reviews.csv --out terms.csv`",
    score: "`attar score artifact --in reviews.csv --out scored.csv`",
    serve: "`attar serve artifact --port 8000`",
    compare: "`attar compare old.csv new.csv --gold test.json --out compared.xlsx`",
    insight: "`attar insight scored.parquet --by brand,term,date:month --labels checked.csv --out insight`",
    verify: "`attar verify artifact`",
    convert: "`attar convert old-artifact new-artifact`",
    bench: "`attar bench artifact --against teacher --data data --out bench`",
    clean: "`attar clean runs`",
}


def _with_own_errors(verb: Callable[..., None]) -> Callable[..., None]:
    """A verb whose errors of the system are attar's; else typer says "Aborted." of a stream that ends."""

    @functools.wraps(verb)
    def run(*arguments: object, **options: object) -> None:
        try:
            verb(*arguments, **options)
        except BrokenPipeError:  # who read the output is gone: typer ends without a word
            raise
        except (OSError, EOFError) as error:
            raise system_error(error) or error from error

    return run


for _verb, _example in _EXAMPLES.items():
    app.command(cls=Once, epilog=f"Example: {_example}")(_with_own_errors(_verb))
