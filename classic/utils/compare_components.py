"""Compares the labels of people with a model's predictions, or two annotators with each other.

``python utils/compare_components.py export.json`` queries the components service (``--url``: another one,
``--artifact``: a model without a service) and writes result, wrong and correct as Excel files; a
second export of the same reviews gives different.xlsx: where two annotators disagree.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from original.installed import require

require("excel")

from attar.compare.join import join
from attar.errors import DataError
from attar.recipe.load import SourceRecipe
from attar.records.remote.fetch import fetched
from attar.task import Example
from original.client import request_predictions
from original.comparing import prediction_of, write_different, write_predictions
from original.data import load_examples
from original.marks import marked_by_shape
from original.tasks import TASKS
from original.tool import run_tool

_URLS = {
    "components": "http://127.0.0.1:5010/api/predict_albert",
    "cosmetics": "http://127.0.0.1:5000/api/predict_macbert",
    "newcos": "http://127.0.0.1:5000/api/predict_macbert",
}

_Predict = Callable[[Sequence[Example]], list[tuple[str, float]]]


def main(argv: Sequence[str] | None = None) -> None:
    """Read the labels, get the predictions, and write the Excel files."""
    args = _parser().parse_args(argv)
    if len(args.files) > 2:
        raise DataError(f"{len(args.files)} files of labels: give one, or two of the same reviews")
    people = [_read(source, args.task_name) for source in args.files]
    predict = None if args.no_model else _model(args)
    if predict is None and len(people) < 2:
        raise DataError("--no_model compares two people: give two files of labels")
    if predict is not None:
        for examples, suffix in zip(people, ("", "_2"), strict=False):
            predicted = zip(examples, predict(examples), strict=True)
            predictions = [prediction_of(example, label, prob) for example, (label, prob) in predicted]
            write_predictions(args.out, predictions, suffix)
    if len(people) > 1:
        a, b = ([prediction_of(example, example.label) for example in side] for side in people)
        write_different(args.out, join(a, b))


def _read(path: str, task_name: str) -> list[Example]:
    with tempfile.TemporaryDirectory() as folder:
        local = fetched(SourceRecipe(path=path), Path(folder))
        marks = marked_by_shape(local.source)
        return load_examples(local.source, TASKS[task_name], marks=marks).examples


def _model(args: argparse.Namespace) -> _Predict:
    if args.artifact is None:
        url = args.url or _URLS[args.task_name]
        return lambda examples: request_predictions(url, examples)
    from attar.artifact import load_artifact
    from attar.scoring.predictor import Predictor

    predictor = Predictor(load_artifact(args.artifact))

    def predict(examples: Sequence[Example]) -> list[tuple[str, float]]:
        labels = predictor.task.labels
        rows = predictor.predict_probs(examples)
        return [(labels[at], float(row[at])) for row, at in zip(rows, rows.argmax(1).tolist(), strict=True)]

    return predict


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Labels of people and of a model compared, as Excel files.")
    add = parser.add_argument
    add("files", nargs="+", metavar="LABELS", help="a Label Studio export, rows, or http://HOST/projects/7")
    add("--task_name", choices=sorted(_URLS), default="components", help="default components")
    chosen = parser.add_mutually_exclusive_group()
    chosen.add_argument("--url", help="of a service's route for rows with labels; default that of the task")
    chosen.add_argument("--artifact", type=Path, help="predict with this artifact instead of a service")
    chosen.add_argument("--no_model", action="store_true", help="compare two people, without a model")
    add("--out", type=Path, default=Path(), help="the folder; default: this one")
    return parser


if __name__ == "__main__":
    sys.exit(run_tool(main))
