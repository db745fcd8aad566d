"""Accuracy against speed over models of every cost, on one prepared data folder.

    python benchmarks/accuracy_speed.py makeup runs/makeup/data --out runs/makeup/accuracy_speed \
        --teacher runs/makeup/teacher --artifact runs/makeup/artifact --artifact runs/makeup-2x128/artifact
    python benchmarks/accuracy_speed.py cars runs/cars/data ... --results docs/results.md

fastText (`pip install fasttext-community`) and TF-IDF with a linear model are trained on the data's
training split and tuned on dev; the test split is scored once. A teacher is timed as the original
system runs one; all sides are timed in turns, in one process, on the first two cores. Writes
report.json, report.html and NAME.svg, and with --results a table between markers.
"""

from __future__ import annotations

import argparse
import itertools
import logging
import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from peers.document import command_line, machine_line, markdown_table, publish

from attar.artifact import load_artifact
from attar.errors import AttarError, DataError
from attar.evaluation.baselines import WindowedLinear
from attar.evaluation.page import tradeoff_points
from attar.evaluation.pictures import tradeoff_svg
from attar.evaluation.report import Candidate, evaluate
from attar.evaluation.stage import artifact_candidate, checkpoint_candidate
from attar.io.files import atomic_write
from attar.metrics import accuracy_of, confusion_counts, macro_f1_of
from attar.recipe.load import EvaluateRecipe
from attar.records.prepared_folder import load_split
from attar.svg import standalone
from attar.system_info import system_info
from attar.task import Example, Task

_LOG = logging.getLogger("accuracy_speed")
_WINDOWS: tuple[int | None, ...] = (8, 12, 25, None)  # of fastText, characters; None is the whole text
_EPOCHS = (10, 25, 50)
_NGRAMS = (2, 4)
_PREFIX = "__label__"


def parser() -> argparse.ArgumentParser:
    """The command line."""
    options = command_line(__doc__)
    options.add_argument("name", help="of the set: title, files, markers")
    options.add_argument("data", type=Path, help="folder that attar prepare wrote")
    options.add_argument("--out", type=Path, required=True)
    for kind, what in (("teacher", "a checkpoint"), ("artifact", "a student's artifact")):
        options.add_argument(f"--{kind}", metavar="[NAME=]FOLDER", action="append", default=[], help=what)
    options.add_argument("--rounds", type=int, default=8, help="interleaved rounds of timing")
    options.add_argument("--examples", type=int, default=400, help="different examples that are timed")
    return options


def main() -> None:
    """Score, time, draw."""
    args = parser().parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:2])
    load_before = os.getloadavg()[0]
    try:
        report = _measure(args)
    except AttarError as error:
        sys.exit(f"accuracy_speed: {error}")
    with atomic_write(args.out / f"{args.name}.svg") as draft:
        draft.write_text(standalone(tradeoff_svg(tradeoff_points(report))), "utf-8")
    heading = f"Accuracy against speed: {args.name}"
    publish(args.results, f"accuracy-speed-{args.name}", heading, _page(args, report, load_before))


def _measure(args: argparse.Namespace) -> dict[str, Any]:
    teachers = dict(_named(value, "teacher") for value in args.teacher)
    artifacts = dict(_named(value, "student_int8") for value in args.artifact)
    if len(teachers) + len(artifacts) < len(args.teacher) + len(args.artifact):
        raise AttarError("two models have one name; give --artifact NAME=FOLDER")
    if not artifacts:
        raise AttarError("no --artifact; expected at least one student's")
    train, dev, test = (load_split(args.data, name) for name in ("train", "dev", "test"))
    task = load_artifact(next(iter(artifacts.values()))).task
    description = "torch fp32, padded, batch 8"
    candidates = [
        checkpoint_candidate(name, folder, description, task, as_original=True)
        for name, folder in teachers.items()
    ]
    candidates += [artifact_candidate(name, folder, task) for name, folder in artifacts.items()]
    candidates += _static(task, train, dev)
    _LOG.info("scoring %d models on %d examples, then %d rounds", len(candidates), len(test), args.rounds)
    recipe = EvaluateRecipe(speed_examples=args.examples, speed_repeats=args.rounds)
    reference, chosen = next(iter(teachers), "teacher"), next(iter(artifacts))
    return evaluate(
        candidates, test, task, recipe, title=args.name, out=args.out, reference=reference, chosen=chosen
    )


def _named(value: str, kind: str) -> tuple[str, Path]:
    """NAME=FOLDER, or a folder alone, which is called by its kind."""
    name, equals, folder = value.partition("=")
    return (name, Path(folder)) if equals else (kind, Path(value))


def _static(task: Task, train: Sequence[Example], dev: Sequence[Example]) -> list[Candidate]:
    """The two baselines without any transformer, both tuned on dev; each computes on one thread."""
    _LOG.info("training TF-IDF with a linear model on %d examples", len(train))
    linear = WindowedLinear(task, train, dev)
    candidates = [Candidate("TF-IDF + linear", linear, linear.size_bytes, linear, "one thread")]
    if not task.has_term:
        _LOG.info("left out: fastText reads the surroundings of a term, and task %s has none", task.name)
        return candidates
    _LOG.info("training fastText: 24 settings")
    found = train_fasttext(task, train, dev)
    _LOG.info("fastText: window %s", found.window_chars or "the whole text")
    return [*candidates, Candidate("fastText", found, found.size_bytes, found, "one thread")]


@dataclass(frozen=True, slots=True)
class FastText:
    """A trained fastText classifier: examples in, probs [N, C] out.

    Joulin et al. 2016, "Bag of Tricks for Efficient Text Classification", arXiv:1607.01759. It reads
    characters; as the linear model does, it sees the term's surroundings and tells left and right of
    the term apart.
    """

    model: Any  # from the ``fasttext`` package
    num_labels: int
    window_chars: int | None  # read on either side of the term; None reads the whole text

    @property
    def size_bytes(self) -> int:
        """Bytes of its two matrices as float32, without the dictionary."""
        matrices = self.model.get_input_matrix(), self.model.get_output_matrix()
        return sum(4 * matrix.size for matrix in matrices)

    def __call__(self, examples: Sequence[Example]) -> NDArray[np.float32]:
        """Probs [N, C]; 0 for a label that training never saw."""
        probs = np.zeros((len(examples), self.num_labels), np.float32)
        lines = [_line(example, self.window_chars) for example in examples]
        for row, (labels, shares) in enumerate(zip(*self.model.predict(lines, k=-1), strict=True)):
            for label, share in zip(labels, shares, strict=True):
                probs[row, int(label.removeprefix(_PREFIX))] = share
        probs /= probs.sum(1, keepdims=True)  # fastText's own need not sum to 1
        return probs


def train_fasttext(task: Task, train: Sequence[Example], dev: Sequence[Example]) -> FastText:
    """Train on labelled examples with every setting of the grid and keep the best on dev.

    Best is the mean of macro-F1 and accuracy, as for the linear model.

    Raises:
        DataError: The package is not installed.
    """
    gold = np.array([task.index_of(example) for example in dev])

    def score(model: FastText) -> float:
        found = confusion_counts(gold, model(dev).argmax(1), model.num_labels)
        return float(macro_f1_of(found) + accuracy_of(found))

    settings = itertools.product(_WINDOWS, _EPOCHS, _NGRAMS)
    return max((_train(task, train, *setting) for setting in settings), key=score)


def _train(task: Task, examples: Sequence[Example], window: int | None, epochs: int, grams: int) -> FastText:
    """One model, on one thread, so that the same examples give the same model."""
    try:
        import fasttext  # type: ignore[import-not-found,import-untyped,unused-ignore]
    except ImportError as error:
        raise DataError("fastText is not installed; pip install fasttext-community") from error
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "train.txt"
        lines = [f"{_PREFIX}{task.index_of(e)} {_line(e, window)}" for e in examples]
        path.write_text("\n".join(lines) + "\n", "utf-8")
        model = fasttext.train_supervised(
            str(path), epoch=epochs, wordNgrams=grams, dim=50, lr=0.5, bucket=200_000,
            minCount=1, thread=1, verbose=0,
        )  # fmt: skip
    return FastText(model, len(task.labels), window)


def _line(example: Example, window: int | None) -> str:
    """Characters around the term, marked by their side, and the term, as fastText's words."""
    left, right = example.text[: example.start], example.text[example.end :]
    if window is not None:
        left, right = left[-window:], right[:window]
    sides = (("<", left), ("=", example.term), (">", right))
    return " ".join(f"{side}{char}" for side, text in sides for char in text if not char.isspace())


def _page(args: argparse.Namespace, report: dict[str, Any], load_before: float) -> list[str]:
    models = [f"--{kind} {value}" for kind in ("teacher", "artifact") for value in getattr(args, kind)]
    command = f"benchmarks/accuracy_speed.py {args.name} {args.data} --out {args.out} {' '.join(models)}"
    head = (
        f"`python {command}` on {machine_line(system_info(), 2)}, load {load_before:.1f} before: "
        f"n = {report['num_test']} test terms of {report['num_reviews']} reviews."
    )
    rows = []
    for name, model in report["models"].items():
        low, middle, high = (model["speed"][f"examples_per_second{end}"] for end in ("_low", "", "_high"))
        worst, score, best = (100 * model[f"macro_f1{end}"] for end in ("_low", "", "_high"))
        cells = [
            f"{100 * model['accuracy']:.1f}",
            f"{score:.1f} ({worst:.1f}-{best:.1f})",
            _difference(report, name),
            f"{model['size_bytes'] / 1e6:.1f} MB",
            f"{middle:,.0f} ({low:,.0f}-{high:,.0f})",
        ]
        rows.append([name, *cells])
    heads = (
        "model", "accuracy", "macro-F1 (95 %)", f"{report['chosen']} minus it", "size",
        "examples/s (slowest-fastest round)",
    )  # fmt: skip
    return [head, "", *markdown_table(heads, rows)]


def _difference(report: Mapping[str, Any], name: str) -> str:
    """Macro-F1 of the chosen model minus this one's, with its paired 95 % interval."""
    found = report["paired_differences"].get(name)
    if found is None:
        return ""
    value, low, high = (100 * found[key] for key in ("value", "low", "high"))
    return f"{value:+.1f} [{low:.1f}, {high:.1f}]"


if __name__ == "__main__":
    main()
