"""Compares a trainer's predictions with the labels of its dev file, or those of two trainers.

``python utils/compare_eval_result.py --data data_root_dir/newcos/dev.json --predictions
output_root_dir/newcos/eval_results-newcos.json``. Excel files: result, wrong, correct; with a second
file of predictions also different.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from original.installed import require

require("excel")

from attar.classic.files import classic_labels, labels_from
from attar.compare.join import Annotation, Case
from attar.errors import DataError
from attar.io.files import read_json
from attar.records.readers.sources import read_source
from attar.records.record import Record
from attar.task import Task
from original.comparing import prediction_of, write_different, write_predictions
from original.data import load_examples, source_of
from original.marks import marked_by_shape
from original.tasks import TASKS
from original.tool import run_tool


def main(argv: Sequence[str] | None = None) -> None:
    """Join the predictions with the labels and write the Excel files."""
    args = _parser().parse_args(argv)
    task = TASKS[args.task_name].task
    labels = classic_labels(task, labels_from(args.labels))
    sides = [_side(path, labels, args.data, args.task_name) for path in args.predictions]
    for side, suffix in zip(sides, ("", "_2"), strict=False):
        write_predictions(args.out, side, suffix)
    if len(sides) > 1:
        if len(sides[0]) != len(sides[1]):
            raise DataError(
                f"{args.predictions[0]} has {len(sides[0])} predictions, {args.predictions[1]} "
                f"{len(sides[1])}; expected those of two models on the same file"
            )
        write_different(args.out, [Case((a, b), a.gold) for a, b in zip(*sides, strict=True)])


def _side(path: Path, labels: Sequence[str], data: Path, task_name: str) -> list[Annotation]:
    """The predictions of a file with their rows: all rows, or those that main.trainer.py uses."""
    predictions = _predictions(path, len(labels))
    task = TASKS[task_name]
    source = source_of(data.parent, task, data.stem, "dev")
    rows = list(read_source(source))
    marks = marked_by_shape(source)
    known: list[Annotation | None]
    if len(predictions) == len(rows):
        known = [_from_record(row, task.task) if isinstance(row, Record) else None for row in rows]
    else:
        known = [prediction_of(example) for example in load_examples(source, task, marks=marks).examples]
    if len(predictions) != len(known):
        raise DataError(
            f"{path} has {len(predictions)} predictions; {data} has {len(rows)} rows, of which {len(known)} "
            "are used: the predictions are of another file"
        )
    pairs = zip(known, predictions, strict=True)
    return [replace(one, label=labels[at], prob=prob) for one, (at, prob) in pairs if one is not None]


def _from_record(record: Record, task: Task) -> Annotation:
    groups = {name: record.meta[name] for name in ("channel", "wordtype") if name in record.meta}
    gold = task.label_of(record.label) if record.label else None
    return Annotation(record.text, record.term, record.start, record.end, gold=gold, groups=groups)


def _predictions(path: Path, num_labels: int) -> list[tuple[int, float]]:
    try:
        found = read_json(path)
    except OSError as error:
        raise DataError(
            f"{path}: cannot read the predictions ({error.strerror}); see --predictions"
        ) from error
    except ValueError as error:
        raise DataError(f"{path}: not valid JSON: {error}") from error
    if not isinstance(found, list):
        raise DataError(f"{path}: expected a list of [pred_id, max_prob], as main.trainer.py writes it")
    return [_prediction(f"{path}:{number}", row, num_labels) for number, row in enumerate(found, 1)]


def _prediction(where: str, row: object, num_labels: int) -> tuple[int, float]:
    match row:
        case [int(at), int(prob) | float(prob)] if 0 <= at < num_labels:
            return at, float(prob)
    raise DataError(f"{where}: expected [pred_id from 0 to {num_labels - 1}, max_prob]")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description="A trainer's predictions and the labels compared, as Excel files."
    )
    add = parser.add_argument
    add("--data", type=Path, required=True, help="the file that was evaluated, such as dev.json")
    add("--predictions", type=Path, nargs="+", required=True, metavar="JSON",
        help="eval_results-TASK.json of main.trainer.py, or of two of them", action=_OneOrTwo)  # fmt: skip
    add("--task_name", choices=("cosmetics", "newcos", "components"), default="newcos", help="default newcos")
    add("--labels", help="the labels by pred_id, with commas; default: the original's order")
    add("--out", type=Path, default=Path(), help="the folder; default: this one")
    return parser


class _OneOrTwo(argparse.Action):
    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: str | Sequence[object] | None,
        option_string: str | None = None,
    ) -> None:
        if values is None or len(values) > 2:
            parser.error(f"{option_string}: give one file or two")
        setattr(namespace, self.dest, values)


if __name__ == "__main__":
    sys.exit(run_tool(main))
