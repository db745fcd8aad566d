"""What a small student gives up, and which part of its training gives what: the tables of distillation.

    ATTAR_DATA=DIR python benchmarks/strength.py --out runs/strength                     # everything
    ATTAR_DATA=DIR python benchmarks/strength.py --out runs/strength --sets cars --seeds 20
    ATTAR_DATA=DIR python benchmarks/strength.py --out runs/strength --results docs/results.md

A queue: benchmarks/strength.toml says which models of which sets; each becomes a folder under OUT, and a
line of OUT/scores.jsonl with its score on dev once it is there. Started again it goes on; started
twice, on another core, the two share the work. Settings are chosen by the scores on dev; the test
split is answered when --results writes the tables, by what is finished then.
"""

from __future__ import annotations

import argparse
import ast
import csv
import fcntl
import json
import logging
import os
import random
import time
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from peers.document import write_block

from attar.distillation.linear import linear_teacher
from attar.evaluation.baselines import Majority, WindowedLinear
from attar.evaluation.intervals import Resampled, resample
from attar.evaluation.metrics import macro_f1_of, scores
from attar.io.files import atomic_write
from attar.models.checkpoint import load_checkpoint, predict_logits
from attar.pipeline import distill, prepare, pretrain, train
from attar.recipe.load import Recipe, make_recipe
from attar.records.prepared_folder import load_split
from attar.task import Example, Task

HERE = Path(__file__).resolve().parent
SETS = HERE.parent / "recipes" / "sets"
_LOG = logging.getLogger("strength")
_POLL_SECONDS = 20
_SHORTEST = 6  # characters of a whole review


class Model(NamedTuple):
    """One model of the tables; ``shape`` is empty where there is none to choose."""

    of: str
    row: str
    shape: str = ""
    seed: int = 20

    @property
    def name(self) -> str:
        """Its folder under the set's."""
        return "-".join(part for part in (self.row, self.shape, str(self.seed)) if part)


class Plan:
    """benchmarks/strength.toml, and where its models are.

    Args:
        out: OUT.
        seeds: Of the students.
    """

    def __init__(self, out: Path, seeds: Sequence[int]) -> None:
        self.out, self.seeds = out, seeds
        self.tree = tomllib.loads((HERE / "strength.toml").read_text("utf-8"))

    def folder(self, model: Model) -> Path:
        """Where a model is trained."""
        return self.out / model.of / model.name

    def data(self, of: str) -> Path:
        """A set's prepared folder."""
        return self.out / of / "data"

    def models(self, of: str) -> list[Model]:
        """A set's models, in the order of training: what others learn from first, then seed by seed."""
        table = self.tree["sets"][of]["rows"]
        students = [
            Model(of, row, shape, seed)
            for seed in self.seeds
            for row in table
            if row not in self.tree["teachers"]
            for shape in self.row(row).get("shapes", self.tree["shapes"])
        ]
        teachers = [
            Model(of, row, seed=seed)
            for row in table
            if row in self.tree["teachers"]
            for seed in self.teacher_seeds(of)
        ]
        return [*teachers, *students]

    def teacher_seeds(self, of: str) -> list[int]:
        """Students learn from the first; the others say how far one teacher's score is to be believed."""
        return list(self.tree["sets"][of].get("teacher_seeds", [Model._field_defaults["seed"]]))

    def recipe(self, model: Model) -> Recipe:
        """The recipe of a model: the set's own, then the plan's settings, the row's, the shape's."""
        chosen = self.tree["sets"][model.of]
        path = SETS / f"{chosen['recipe']}.toml"
        tree: dict[str, Any] = {"name": model.of, **tomllib.loads(path.read_text("utf-8"))}
        row = self.row(model.row)
        parts = [self.tree["settings"], chosen["settings"], row["settings"]]
        if model.shape:
            parts.append(self.tree["shapes"][model.shape])
        parts.append(chosen.get(model.row, {}))
        if row.get("start") == "general":
            begun = str(self.folder(self.begun(model)))
            parts.append({"student.start": "pretrained", "student.from_checkpoint": begun})
        _set(tree, parts)
        if "after" in chosen:
            tree["train"]["encoder"] = str(self.folder(Model(chosen["after"], "teacher")))
        if "terms" in chosen:
            for source in tree["data"]["sources"]:
                if source["split"] == "train":
                    source["path"] = str(self.out / model.of / "labelled.txt")
        if "apart_from" in chosen:
            held = {"path": str(self.out / model.of / "held_out.jsonl"), "split": "test"}
            tree["data"]["sources"].append(held)
        if "reviews" in chosen:
            tree["data"]["sources"] = [str(self.out / model.of / "rows.jsonl")]
        return make_recipe(tree | {"seed": model.seed}, where=str(path), folder=path.parent)

    def row(self, name: str) -> dict[str, Any]:
        """A row's keys over those of the row that it is ``over``, settings one by one."""
        mine = self.tree["rows"].get(name, {})
        below = self.row(mine["over"]) if "over" in mine else {"teachers": ["teacher"], "settings": {}}
        return below | mine | {"settings": below["settings"] | mine.get("settings", {})}

    def mixtures(self, of: str) -> dict[str, dict[str, float]]:
        """The teachers and their weights of each mixture that a row of a set learns from."""
        taught = [self.row(name)["teachers"] for name in self.tree["sets"][of]["rows"]]
        rows = {name: self.row(one["row"]) for name, one in self.tree["mixtures"].items()}
        return {
            name: dict(zip(row["teachers"], row["settings"]["distill.teacher_weights"], strict=True))
            for name, row in rows.items()
            if row["teachers"] in taught
        }

    def begun(self, model: Model) -> Model:
        """What a student starts from after its set's general stage."""
        return Model("general", self.tree["sets"][model.of]["after_general"], model.shape)

    def general(self, begun: Model) -> Recipe:
        """The recipe of a general stage."""
        chosen = self.tree["generals"][begun.row]
        tree: dict[str, Any] = {"name": "general", "pretrain": {"texts": chosen["texts"]}}
        _set(tree, [self.tree["settings"], chosen["settings"], self.tree["shapes"][begun.shape]])
        if "after" in chosen:
            tree["pretrain"]["encoder"] = str(self.folder(Model(chosen["after"], "teacher")))
        return make_recipe(tree, where="strength.toml")

    def covered(self, begun: Model) -> list[Path]:
        """The prepared folders whose sets go on from a general stage."""
        return [
            self.data(of) for of, one in self.tree["sets"].items() if one.get("after_general") == begun.row
        ]


def _set(tree: dict[str, Any], parts: Sequence[Mapping[str, Any]]) -> None:
    """Put settings of dotted keys into a recipe's tree, one part over the other."""
    for part in parts:
        for key, value in part.items():
            *sections, last = key.split(".")
            node = tree
            for section in sections:
                node = node.setdefault(section, {})
            node[last] = value


def cut_labels(plan: Plan, of: str) -> None:
    """The first reviews of train.txt keep their labels, the others only their text."""
    chosen = plan.tree["sets"][of]
    source = Path(os.environ["ATTAR_DATA"]) / chosen["recipe"] / "train.txt"
    terms, labelled, texts = 0, [], []
    for line in source.read_text("utf-8").splitlines():
        text, _, triplets = line.rpartition("####")
        if terms < chosen["terms"]:
            terms += len({str(span) for span, _, _ in ast.literal_eval(triplets)})
            labelled.append(line)
        else:
            texts.append("".join(text.split(" ")))
    for name, lines in (("labelled.txt", labelled), ("unlabelled.txt", texts)):
        with atomic_write(plan.out / of / name) as draft:
            draft.write_text("\n".join(lines) + "\n", "utf-8")


def cut_reviews(plan: Plan, of: str) -> None:
    """A sample of whole reviews, the beginning of each."""
    chosen = plan.tree["sets"][of]
    source = Path(os.environ["ATTAR_DATA"]) / chosen["recipe"] / f"{chosen['recipe']}.csv"
    with source.open(encoding="utf-8-sig", newline="") as stream:
        rows = list(csv.DictReader(stream))
    random.Random(plan.tree["sample_seed"]).shuffle(rows)  # noqa: S311 - a sample, not a secret
    labels: dict[str, str] = {}
    for row in rows:
        if len(text := row["review"].strip()) >= _SHORTEST:
            labels.setdefault(text, row["label"])
    with atomic_write(plan.out / of / "rows.jsonl") as draft, draft.open("w", encoding="utf-8") as stream:
        for text in list(labels)[: chosen["reviews"]]:
            row = {"text": text[: chosen["chars"]], "label": labels[text]}
            stream.write(json.dumps(row, ensure_ascii=False) + "\n")


def keep_apart(plan: Plan, of: str) -> None:
    """What another set holds out, as this set's test split: the audit lets nothing of it into training."""
    other = plan.tree["sets"][of]["apart_from"]
    task = plan.recipe(Model(other, "teacher")).resolved_task()
    held = [example for split in ("dev", "test") for example in load_split(plan.data(other), split)]
    with atomic_write(plan.out / of / "held_out.jsonl") as draft, draft.open("w", encoding="utf-8") as stream:
        for example in held:
            row = {"text": example.text, "term": example.term, "start": example.start, "end": example.end}
            row["label"] = task.labels[task.index_of(example)]
            stream.write(json.dumps(row, ensure_ascii=False) + "\n")


@contextmanager
def claimed(path: Path) -> Iterator[bool]:
    """Whether this process has the work that ``path`` stands for; another one's claim ends with it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        yield True


def make(plan: Plan, model: Model) -> bool:
    """Train one model and note its score on dev; False if what it learns from is not there yet."""
    recipe, data, folder = plan.recipe(model), plan.data(model.of), plan.folder(model)
    if model.row in plan.tree["teachers"]:
        first = plan.tree["sets"][model.of].get("after")
        if first and not answers_path(plan, Model(first, "teacher"), "dev").is_file():
            return False
        train(recipe, data, folder)
    else:
        names = plan.row(model.row)["teachers"]
        if recipe.student.start == "pretrained":
            begun = plan.begun(model)
            if not (plan.folder(begun) / "attar.json").is_file():
                with claimed(plan.out / "general" / "claims" / begun.name) as mine:
                    if not mine:
                        return False
                    pretrain(plan.general(begun), plan.covered(begun), plan.folder(begun))
        teachers = [name if name == "linear" else plan.folder(Model(model.of, name)) for name in names]
        if not all(
            name == "linear" or answers_path(plan, Model(model.of, name), "dev").is_file() for name in names
        ):
            return False
        distill(recipe, data, teachers, folder)
    answer(plan, model, "dev")
    return True


def answers_path(plan: Plan, model: Model, split: str) -> Path:
    """Where a model's answers for a split are kept."""
    return plan.out / model.of / "answers" / f"{model.name}.{split}.npy"


def kept(path: Path, ask: Callable[[], NDArray[np.float32]]) -> NDArray[np.float32]:
    """The answers in a file, asked for where there is none."""
    if not path.is_file():
        with atomic_write(path) as draft, draft.open("wb") as stream:
            np.save(stream, ask())
    found: NDArray[np.float32] = np.load(path)
    return found


def answer(plan: Plan, model: Model, split: Any) -> NDArray[np.float32]:  # noqa: ANN401 - a Literal
    """A model's logits [N, C] for a split, asked once."""
    path, examples = answers_path(plan, model, split), load_split(plan.data(model.of), split)
    new = not path.is_file()
    logits = kept(path, lambda: predict_logits(load_checkpoint(plan.folder(model)), examples))
    if new and split == "dev":
        task = plan.recipe(model).resolved_task()
        found_scores = scores(task, gold_of(task, examples), logits)
        line = {"set": model.of, "row": model.row, "shape": model.shape, "seed": model.seed}
        line |= {"macro_f1": round(found_scores.macro_f1, 4), "accuracy": round(found_scores.accuracy, 4)}
        line |= {"f1": [round(one.f1, 3) for one in found_scores.labels.values()]}
        with (plan.out / "scores.jsonl").open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(line) + "\n")
        _LOG.info("%s", line)
    return logits


def gold_of(task: Task, examples: Sequence[Example]) -> NDArray[np.int64]:
    """Label indices [N]."""
    return np.array([task.index_of(example) for example in examples], np.int64)


def work(plan: Plan, sets: Sequence[str], wanted: Callable[[Model], bool]) -> None:
    """Make every model that is wanted and not there, together with other processes that do the same."""
    for of in sets:
        with claimed(plan.out / of / "claims" / "data"):
            if "terms" in plan.tree["sets"][of] and not (plan.out / of / "unlabelled.txt").is_file():
                cut_labels(plan, of)
            if "reviews" in plan.tree["sets"][of] and not (plan.out / of / "rows.jsonl").is_file():
                cut_reviews(plan, of)
            if "apart_from" in plan.tree["sets"][of] and not (plan.out / of / "held_out.jsonl").is_file():
                keep_apart(plan, of)
            recipe = plan.recipe(Model(of, "teacher"))
            prepare(recipe, recipe.data.sources, plan.data(of))
    left = [model for of in sets for model in plan.models(of) if wanted(model)]
    while left:
        made = None
        for model in left:
            if answers_path(plan, model, "dev").is_file():
                made = model
                break
            with claimed(plan.out / model.of / "claims" / model.name) as mine:
                if mine and make(plan, model):
                    made = model
                    break
        if made is None:
            time.sleep(_POLL_SECONDS)
        else:
            left.remove(made)


class Column(NamedTuple):
    """A row of a table in one shape: its models' scores on test, one a seed."""

    macro_f1: list[float]
    accuracy: list[float]
    drawn: NDArray[np.float64]
    """Macro-F1 under each draw of reviews, the seeds' mean [R]."""

    @property
    def shown(self) -> str:
        """Mean; where there are several seeds, their spread and number."""
        several = len(self.macro_f1) > 1
        spread = f" ± {100 * np.std(self.macro_f1, ddof=1):.1f}" if several else ""
        number = f" ({len(self.macro_f1)})" if several else ""
        return f"{100 * np.mean(self.macro_f1):.1f}{spread} / {100 * np.mean(self.accuracy):.1f}{number}"


def table(plan: Plan, of: str) -> list[str]:
    """A set's block of docs/results.md, from the models that are finished."""
    data = plan.data(of)
    task = plan.recipe(Model(of, "teacher")).resolved_task()
    train_split, dev, test = (load_split(data, name) for name in ("train", "dev", "test"))
    finished = [model for model in plan.models(of) if answers_path(plan, model, "dev").is_file()]
    baseline = Model(of, "linear")
    logits = {
        Model(of, "majority"): Majority(task, train_split)(test),
        baseline: kept(
            answers_path(plan, baseline, "test"), lambda: WindowedLinear(task, train_split, dev)(test)
        ),
    }
    logits |= {model: answer(plan, model, "test") for model in finished if not model.shape}
    for name, weights in plan.mixtures(of).items():
        linear = kept(
            answers_path(plan, Model(of, "linear_teacher"), "test"),
            lambda: linear_teacher(task, train_split, dev).predict_logits(test),
        )
        for seed in plan.teacher_seeds(of):
            models = {row: Model(of, row, seed=seed) for row in weights if row != "linear"}
            if all(model in logits for model in models.values()):
                said = {"linear": linear} | {row: logits[model] for row, model in models.items()}
                mean = sum(share * said[row] for row, share in weights.items())
                logits[Model(of, name, seed=seed)] = np.asarray(mean, np.float32)
    logits |= {model: answer(plan, model, "test") for model in finished if model.shape}
    labels = {model: found.argmax(1) for model, found in logits.items()}
    named = {model.name: found for model, found in labels.items()}
    gold, reviews = gold_of(task, test), [example.text for example in test]
    drawn = resample(gold, named, reviews, num_labels=len(task.labels), repeats=1000, seed=20)
    groups: dict[tuple[str, str], list[Resampled]] = {}
    for model in labels:
        groups.setdefault((model.row, model.shape), []).append(drawn[model.name])
    columns = {key: _column(found) for key, found in groups.items()}
    shapes = list(dict.fromkeys(shape for _, shape in columns if shape)) or [""]
    sizes = f"{len(train_split):,} terms train, {len(dev):,} dev, {len(test):,} test of {len(set(reviews)):,}"
    command = "ATTAR_DATA=DIR python benchmarks/strength.py --out runs/strength"
    meaning = "Macro-F1 / accuracy on test; of several seeds the mean, ± its deviation, and how many"
    lines = [
        f"`{command} --sets {of} --results docs/results.md`: {sizes} reviews. {meaning}.",
        "",
        "| | " + " | ".join(shape or "" for shape in shapes) + " |",
        "| --- |" + " --- |" * len(shapes),
    ]
    for row in dict.fromkeys(row for row, _ in columns):
        alone = columns.get((row, ""))
        cells = [(columns.get((row, shape)) or alone) for shape in shapes]
        shown = [cell.shown if cell else "" for cell in cells]
        lines.append(f"| {_says(plan, row)} | " + " | ".join(shown) + " |")
    return [*lines, "", *_differences(plan, of, columns)]


def _column(found: Sequence[Resampled]) -> Column:
    return Column(
        [one.macro_f1().value for one in found],
        [one.accuracy().value for one in found],
        np.mean([macro_f1_of(one.draws) for one in found], axis=0),
    )


def _says(plan: Plan, row: str) -> str:
    for kind in ("teachers", "mixtures", "rows", "baselines"):
        if row in plan.tree[kind]:
            return str(plan.tree[kind][row]["says"])
    return row


def _differences(plan: Plan, of: str, columns: Mapping[tuple[str, str], Column]) -> list[str]:
    """Paired differences that the claims rest on, each with its 95 % interval over reviews."""
    pairs = plan.tree["sets"][of].get("differences", plan.tree["differences"])
    lines = []
    for (row, shape), first in columns.items():
        for other in (second for one, second in pairs if one == row):
            second = columns.get((other, shape)) or columns.get((other, ""))
            if second is None:
                continue
            low, high = np.percentile(first.drawn - second.drawn, (2.5, 97.5))
            value = np.mean(first.macro_f1) - np.mean(second.macro_f1)
            lines.append(
                f"{shape and shape + ': '}{_says(plan, row)} minus {_says(plan, other)}: "
                f"{100 * value:+.1f} macro-F1 [{100 * low:+.1f}, {100 * high:+.1f}].  "
            )
    return lines


def main() -> None:
    """Train what is asked for, or write the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--sets", nargs="+", metavar="SET", help="of strength.toml; all by default")
    parser.add_argument("--rows", nargs="+", metavar="ROW", help="these rows only")
    parser.add_argument("--shapes", nargs="+", metavar="SHAPE", help="these students only")
    parser.add_argument("--seeds", nargs="+", type=int, default=[20, 21, 22])
    parser.add_argument("--results", type=Path, help="write the tables into this page and train nothing")
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    out = args.out.resolve()
    os.environ["STRENGTH"] = str(out)
    plan = Plan(out, args.seeds)
    sets = args.sets or list(plan.tree["sets"])
    if args.results:
        for of in sets:
            write_block(args.results, f"strength-{of}", f"Distillation, row by row: {of}", table(plan, of))
        return

    def wanted(model: Model) -> bool:
        row = args.rows is None or model.row in args.rows
        return row and (not model.shape or args.shapes is None or model.shape in args.shapes)

    work(plan, sets, wanted)


if __name__ == "__main__":
    main()
