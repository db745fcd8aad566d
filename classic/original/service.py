"""The original's services: ABSA on port 5000, components on 5010.

``flags -> models -> attar.serving``. Flags that name no model default to the paths of the original, so
that a service can be started inside a folder that has them.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from attar.classic.files import DEFAULT_MAX_TOKENS, labels_from, marks_from
from attar.classic.routes import ClassicModels, create_classic_app
from attar.classic.rows import ClassicModel
from attar.classic.weights import architecture_of, read_weights
from attar.errors import CheckpointError
from attar.serving.keys import key_from_environment
from attar.serving.limits import CLASSIC_LIMITS
from attar.serving.server import listen, serve
from original import values
from original.service_models import ModelReader, Newest, first_use
from original.service_training import StartFiles, TrainingService, TrainSettings
from original.tasks import TASKS
from original.tool import say

__all__ = ["Defaults", "models_of", "read_flags", "serve_original"]

_NAMED = ("macbert", "albert")


@dataclass(frozen=True, slots=True)
class Defaults:
    """The tasks of a service, and the paths of the original.

    Attributes:
        tasks: Of its models; the first is the default.
        port: To listen on.
        model: Weights, config and vocab of the served model.
        named: The same for macbert and albert.
        train_from: The same for the initial model of a training.
    """

    tasks: tuple[str, ...]
    port: int
    model: tuple[str, str, str]
    named: Mapping[str, tuple[str, str, str]] = field(default_factory=dict)
    train_from: tuple[str, str, str] | None = None


def serve_original(defaults: Defaults, argv: Sequence[str] | None = None) -> None:
    """Serve until SIGTERM or Ctrl-C.

    Args:
        defaults: Of the service.
        argv: The flags; None takes those of this process.

    Raises:
        AttarError: A model cannot be loaded, or the address or the key is not valid.
    """
    args = read_flags(defaults, argv)
    key = key_from_environment(os.environ)
    models, close = models_of(args)
    try:
        app = create_classic_app(models, limits=CLASSIC_LIMITS, api_key=key)
        listener = listen(args.host, args.port)
        shown = f"[{args.host}]" if ":" in args.host else args.host
        without = "" if key else ", without a key"
        say(f"serving: http://{shown}:{listener.getsockname()[1]}{without}")
        serve(app, listener, grace_s=args.grace_s)
    finally:
        close()


def read_flags(defaults: Defaults, argv: Sequence[str] | None = None) -> argparse.Namespace:
    """The flags of a service; models that they do not name are looked for at the paths of the original."""
    parser = values.Parser(description="A service of the original: POST /api/...")
    add = parser.add_argument
    paths = "an artifact's or a checkpoint's folder, or WEIGHTS CONFIG VOCAB"
    add("--model", nargs="+", type=Path, default=list(map(Path, defaults.model)), metavar="PATH",
        help=f"model of /api/predict*: {paths}; default {' '.join(defaults.model)}")  # fmt: skip
    for name in _NAMED:
        place = defaults.named.get(name)
        shown = " ".join(place) if place else "the model"
        add(f"--{name}", nargs="+", type=Path, default=_if_exists(place), metavar="PATH",
            help=f"model of /api/predict_{name}: {paths}; default {shown}")  # fmt: skip
    start = defaults.train_from
    add("--train_from", nargs=3, type=Path, default=_if_exists(start), metavar=("WEIGHTS", "CONFIG", "VOCAB"),
        help="the encoder that a training starts from; default: "
        f"{' '.join(start) + ' if it exists, else ' if start else ''}the whole model")  # fmt: skip
    add("--task_name", choices=defaults.tasks, default=defaults.tasks[0], help=f"default {defaults.tasks[0]}")
    add(
        "--labels", help="the labels in the order of a gs*.pkl's logits, with commas; default: the original's"
    )
    add("--cased", action="store_true", help="the models were trained without --do_lower_case")
    add("--marks", choices=("auto", "on", "off"), default="auto",
        help="_ around the keyword; auto: as a gs*.json says, else in rows with offsets alone")  # fmt: skip
    add(
        "--max_seq_length",
        type=values.length,
        help="longest input in tokens; default as a gs*.json says, else 70",
    )
    add("--host", default="127.0.0.1", help="to listen on; 0.0.0.0 for all, as the original did")
    add("--port", type=int, default=defaults.port, help=f"default {defaults.port}; 0 takes any free one")
    add(
        "--grace_s", type=float, default=CLASSIC_LIMITS.timeout_s, help="seconds for open requests at the end"
    )
    add("--no_train", action="store_true", help="no /api/train")
    add("--output_dir", type=Path, help="of the trainings; default output_root_dir/train_api/TASK")
    add("--num_train_epochs", type=values.above_0, default=1.0, help="default 1")
    add("--train_batch_size", type=values.whole_number, default=8, help="default 8")
    add("--learning_rate", type=values.above_0, default=2e-5, help="default 2e-5")
    add("--random_seed", type=values.seed, default=9580, help="default 9580")
    return parser.parse_args(argv)


def models_of(args: argparse.Namespace) -> tuple[ClassicModels, Callable[[], None]]:
    """The models behind the routes, and a function that ends their training.

    Raises:
        AttarError: A model cannot be loaded.
    """
    labels = labels_from(args.labels)
    cased = False if args.cased else None
    marks = marks_from(args.marks)
    reader = ModelReader(TASKS[args.task_name].task, args.max_seq_length, labels, cased, marks)
    _check_exists("--model", args.model)
    served, task = reader.load(args.model)
    named: dict[str, Callable[[], ClassicModel]] = {}
    for name in _NAMED:
        paths = getattr(args, name)
        if paths is None or paths == args.model:
            named[name] = lambda: served
        else:
            _check_exists(f"--{name}", paths)
            named[name] = first_use(lambda paths=paths: reader.load(paths)[0])  # type: ignore[misc]
    training = None if args.no_train else _training(args, is_reordered=bool(labels))
    if training is None:
        return ClassicModels(task, served, named=named), lambda: None
    newest = Newest(training.newest, replace(reader, labels=()))
    return ClassicModels(task, served, newest, named, training), training.close


def _training(args: argparse.Namespace, *, is_reordered: bool) -> TrainingService | None:
    """The training service; None if there are no weights to start from."""
    start = args.train_from
    if start is not None:
        _check_exists("--train_from", start)
    # The trainer needs a whole model's logits in the original's order.
    elif len(args.model) == 3 and not is_reordered:
        start = args.model
    else:
        return None
    weights, config, vocab = start
    architecture = architecture_of(read_weights(weights), weights)
    files = StartFiles(weights, config, vocab, architecture, is_whole=args.train_from is None)
    settings = TrainSettings(
        args.task_name, args.max_seq_length or DEFAULT_MAX_TOKENS, not args.cased, args.num_train_epochs,
        args.train_batch_size, args.learning_rate, args.random_seed, args.marks,
    )  # fmt: skip
    out = args.output_dir or Path("output_root_dir/train_api") / args.task_name
    return TrainingService(files, settings, out)


def _if_exists(paths: Sequence[str] | None) -> list[Path] | None:
    found = [Path(path) for path in paths or ()]
    return found if found and all(path.is_file() for path in found) else None


def _check_exists(flag: str, paths: Sequence[Path]) -> None:
    for path in paths:
        if not path.exists():
            raise CheckpointError(f"{flag} {path}: no such file or folder, seen from {Path.cwd()}")
