"""A trainer's answers beside the labels of its dev file, or two trainers' beside each other.

``python utils/compare_eval_result.py --data data_root_dir/newcos/dev.json --predictions
output_root_dir/newcos/eval_results-newcos.json``. Excel files: result, wrong, correct; with a second
file of answers also different.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from original.installed import require

require("openpyxl")

from attar.classic.files import classic_labels
from attar.compare.join import Annotation, Case
from attar.errors import DataError
from attar.io.files import read_json
from attar.records.readers.sources import read_source
from attar.records.record import Record
from attar.task import Task
from original.comparing import answer_of, write_answers, write_different
from original.data import load_examples, source_of
from original.marks import marked_by_shape
from original.tasks import TASKS
from original.tool import run_tool


def main(argv: Sequence[str] | None = None) -> None:
    """Join the answers with the labels and write the Excel files."""
    args = _parser().parse_args(argv)
    task = TASKS[args.task_name].task
    given = tuple(label.strip() for label in args.labels.split(",")) if args.labels else ()
    labels = classic_labels(task, given)
    sides = [_answers(path, labels, args.data, args.task_name) for path in args.predictions]
    for answers, suffix in zip(sides, ("", "_2"), strict=False):
        write_answers(args.out, answers, suffix)
    if len(sides) > 1:
        if len(sides[0]) != len(sides[1]):
            raise DataError(
                f"{args.predictions[0]} has {len(sides[0])} answers, {args.predictions[1]} {len(sides[1])}; "
                "expected the answers of two models to the same file"
            )
        write_different(args.out, [Case(a, b, a.gold) for a, b in zip(*sides, strict=True)])


def _answers(path: Path, labels: Sequence[str], data: Path, task_name: str) -> list[Annotation]:
    """The answers of a file, each at its row: of all rows, or of those that main.trainer.py uses here."""
    predictions = _predictions(path, len(labels))
    task = TASKS[task_name]
    source = source_of(data.parent, task, data.stem, "dev")
    rows = list(read_source(source))
    marks = marked_by_shape(source)
    asked: list[Annotation | None]
    if len(predictions) == len(rows):
        asked = [_as_it_stands(row, task.task) if isinstance(row, Record) else None for row in rows]
    else:
        asked = [answer_of(example) for example in load_examples(source, task, marks=marks).examples]
    if len(predictions) != len(asked):
        raise DataError(
            f"{path} has {len(predictions)} answers; {data} has {len(rows)} rows, of which {len(asked)} "
            "are used: the answers are not those to this file"
        )
    pairs = zip(asked, predictions, strict=True)
    return [replace(one, label=labels[at], prob=prob) for one, (at, prob) in pairs if one is not None]


def _as_it_stands(record: Record, task: Task) -> Annotation:
    groups = {name: record.meta[name] for name in ("channel", "wordtype") if name in record.meta}
    gold = task.label_of(record.label) if record.label else None
    return Annotation(record.text, record.term, record.start, record.end, gold=gold, groups=groups)


def _predictions(path: Path, num_labels: int) -> list[tuple[int, float]]:
    try:
        found = read_json(path)
    except OSError as error:
        raise DataError(f"{path}: cannot read the answers ({error.strerror}); see --predictions") from error
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
    parser = argparse.ArgumentParser(description="A trainer's answers beside the labels, as Excel files.")
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
