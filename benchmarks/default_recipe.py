"""What a recipe of `task` and `data` alone should do: ways to train, compared on dev splits of six sets.

    ATTAR_DATA=DIR python benchmarks/default_recipe.py --out runs/default                  # everything
    ATTAR_DATA=DIR python benchmarks/default_recipe.py --out runs/default --sets makeup cars --rows 1200
    python benchmarks/default_recipe.py --out runs/default --table   # what is there so far

Of each set the training and dev splits alone are read, never test. They are split again into `--rows`
terms to train, a sixth as many to choose by, and up to `--judge` that judge. A teacher is trained once
a set; each training gives several models (the last weights, the best epoch by macro-F1 or by likelihood, the
mean of the last weights), whose logits are kept. Each training adds a line a model to OUT/scores.jsonl.
Started again it resumes.
"""

from __future__ import annotations

import hashlib
import json
import logging
import math
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from peers.document import command_line, markdown_table
from peers.sets import SETS
from torch.nn import functional as F  # noqa: N812 - the field's usual name

from attar.distillation.data.augmentation import augmented_examples
from attar.distillation.linear import linear_teacher
from attar.distillation.stage import teach
from attar.distillation.teachers import Teacher, cached_logits, load_teacher, with_cached_logits
from attar.evaluation.baselines import WindowedLinear
from attar.io.files import atomic_write
from attar.metrics import accuracy_of, confusion_counts, f1_of, macro_f1_of
from attar.models.checkpoint import Checkpoint, predict_logits
from attar.models.encoders import load_encoder
from attar.models.general import general_student
from attar.models.students import build_student
from attar.pipeline import prepare
from attar.recipe.fit import FitRecipe
from attar.recipe.load import DataRecipe, DistillRecipe, EncodeRecipe, StudentRecipe, TrainRecipe, load_recipe
from attar.records.prepared_folder import load_split
from attar.records.split.near_duplicates import drop_near_duplicates
from attar.records.split.split import split
from attar.task import Example, Task
from attar.text.vocabulary import texts_read
from attar.training.fit import DevScore
from attar.training.objectives import HardLabels
from attar.training.stage import fit_and_save, text_encoder

_LOOKS = 8  # an epoch, at which weights are looked at
_TAILS = (0.125, 0.25, 0.5)  # last parts of the steps whose weights are averaged
_TEACHER: dict[str, Any] = {"freeze": 4, "learning_rate": 1.6e-4, "epochs": 3, "dropout": 0.0}
_STUDENT: dict[str, Any] = {
    "learning_rate": 2e-4, "epochs": 5, "temperature": 2, "dropout": 0.0, "token_dropout": 0.15,
}  # fmt: skip
_TEACHER_STEPS = 240  # at least, in whole epochs, as min_steps in attar.recipe.chosen
_ALONE = {"soft_weight": 0.0, "hard_weight": 1.0, "temperature": 1.0}
# What teaches, how much each counts, and what else is set.
WAYS: dict[str, tuple[dict[str, float], dict[str, Any]]] = {
    "alone": ({}, _ALONE),
    "taught": ({"teacher": 1.0}, {}),
    "taught+linear": ({"teacher": 0.7, "linear": 0.3}, {}),
    "taught+linear, equal": ({"teacher": 0.5, "linear": 0.5}, {}),
    "taught+linear, half": ({"teacher": 0.7, "linear": 0.3}, {"soft_weight": 0.5, "hard_weight": 0.5}),
    "taught+linear, 4 copies": ({"teacher": 0.7, "linear": 0.3}, {"augment": {"copies": 4}}),
    "taught+alone+linear, 4 copies": (
        {"teacher": 0.4, "alone": 0.4, "linear": 0.2}, {"augment": {"copies": 4}},
    ),
    "taught+linear, soft": ({"teacher": 0.7, "linear": 0.3}, {"soft_weight": 1.0, "hard_weight": 0.0}),
    "linear alone": ({"linear": 1.0}, {}),
}  # fmt: skip
_DEFAULT_WAYS = ("taught+linear", "alone", "taught")

_LOG = logging.getLogger("default_recipe")


class Data(NamedTuple):
    """A set's new split."""

    name: str
    task: Task
    encode: EncodeRecipe
    train: list[Example]
    dev: list[Example]
    judge: list[Example]


def main() -> None:
    """Train what is missing, or print what is there."""
    parser = command_line(__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--sets", nargs="+", choices=SETS, default=list(SETS))
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=list(_DEFAULT_WAYS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[20])
    parser.add_argument("--rows", type=int, default=1200)
    parser.add_argument("--judge", type=int, default=800)
    parser.add_argument("--steps", type=int, default=1500, help="of a student, at least")
    parser.add_argument("--table", action="store_true", help="print the scores that are there, train nothing")
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    if args.table:
        print("\n".join(_table(args.out)))
        return
    torch.set_num_threads(1)
    first = ["linear"] + ["teacher"] * any("teacher" in WAYS[way][0] for way in args.ways)
    for seed in args.seeds:
        for way in (*first, *args.ways):
            for name in args.sets:
                _train(name, way, seed, args)


def _train(name: str, way: str, seed: int, args: Namespace) -> None:
    out = args.out / name
    kept = out / f"{way}-{seed}.npz"
    if kept.is_file():
        return
    data = new_split(name, args.out, args.rows, args.judge)
    _LOG.info("%s: %s, seed %d, %d terms to train", name, way, seed, len(data.train))
    if way == "linear":
        model = WindowedLinear(data.task, data.train, data.dev)
        logits = {"last": [np.log(np.maximum(model(part), 1e-6)) for part in (data.dev, data.judge)]}
    elif way == "teacher":
        logits = _teacher(data, seed, out)
    else:
        logits = _student(data, way, seed, args.steps, out)
    _keep(kept, data, logits, {"set": name, "way": way, "seed": seed, "rows": len(data.train)})


def new_split(name: str, out: Path, rows: int, judge: int) -> Data:
    """The training and dev split of a set, split again by review; its test split is not read."""
    recipe = load_recipe(SETS[name])
    folder = out / name / "data"
    prepare(recipe, recipe.data.sources, folder)
    every = [*load_split(folder, "train"), *load_split(folder, "dev")]
    reviews = sorted({e.text for e in every}, key=lambda text: hashlib.sha256(text.encode()).digest())
    order = {text: number for number, text in enumerate(reviews)}
    wanted = rows + rows // 6 + judge
    pool = sorted(every, key=lambda e: order[e.text])[:wanted]
    shares = DataRecipe(dev=rows / 6 / wanted, test=judge / wanted)
    sides = split(pool, shares, seed=20).sides
    return Data(name, recipe.resolved_task(), recipe.encode, sides["train"], sides["dev"], sides["test"])


class Weights:
    """Weights of a model in training: of each epoch, the last, and the mean over the last steps."""

    def __init__(self, checkpoint: Checkpoint, dev: Sequence[Example], epochs: float) -> None:
        self.checkpoint, self.dev, self.looks = checkpoint, dev, round(epochs * _LOOKS)
        self.gold = torch.from_numpy(gold_of(checkpoint.task, dev))
        self.seen = 0
        self.epochs: list[dict[str, torch.Tensor]] = []
        self.scores: list[tuple[float, float]] = []
        self.sums: dict[float, dict[str, torch.Tensor]] = {}

    def collect(self, step: int, _: DevScore) -> None:
        """Called after some steps; the arguments are those of ``attar.training.fit.fit``."""
        self.seen += 1
        weights = {key: value.detach().clone() for key, value in self.checkpoint.model.state_dict().items()}
        for tail in _TAILS:
            if self.seen > self.looks * (1 - tail):
                total = self.sums.setdefault(tail, {})
                for key, value in weights.items():
                    total[key] = total[key] + value if key in total else value.clone()
        if self.seen % _LOOKS == 0:
            logits = torch.from_numpy(predict_logits(self.checkpoint, self.dev))
            found = confusion_counts(self.gold.numpy(), logits.numpy().argmax(1), logits.shape[1])
            loss = float(F.cross_entropy(logits, self.gold))
            self.scores.append((float(macro_f1_of(found)), -loss))
            self.epochs.append(weights)
            _LOG.info("step %d: dev macro-F1 %.4f, loss %.4f", step, *map(abs, self.scores[-1]))

    def chosen(self) -> dict[str, dict[str, torch.Tensor]]:
        """The weights that each rule would keep."""
        by_f1, by_loss = (int(np.argmax([one[i] for one in self.scores])) for i in (0, 1))
        last = self.epochs[-1]
        means = {}
        for tail, total in self.sums.items():
            num = sum(look > self.looks * (1 - tail) for look in range(1, self.seen + 1))
            means[f"mean of the last {tail:.1%}"] = {
                key: (value / num if value.is_floating_point() else last[key]) for key, value in total.items()
            }
        best = {"best macro-F1": self.epochs[by_f1], "best likelihood": self.epochs[by_loss]}
        return {"last": last, **best, **means}


def _logits_of(weights: Weights, data: Data) -> dict[str, list[NDArray[np.float32]]]:
    found: dict[str, list[NDArray[np.float32]]] = {}
    known: dict[int, list[NDArray[np.float32]]] = {}
    for rule, state in weights.chosen().items():
        if id(state) not in known:
            weights.checkpoint.model.load_state_dict(state)
            known[id(state)] = [predict_logits(weights.checkpoint, part) for part in (data.dev, data.judge)]
        found[rule] = known[id(state)]
    return found


def _epochs(settings: FitRecipe, rows: int, least_steps: int) -> float:
    """As many as the least number of steps takes, where that is more than the settings say."""
    return max(settings.epochs, math.ceil(least_steps * settings.batch_size / rows))


def _nothing() -> DevScore:
    return DevScore(0.0)


def _teacher(data: Data, seed: int, out: Path) -> dict[str, list[NDArray[np.float32]]]:
    settings = TrainRecipe(**_TEACHER, keep="last", evaluations_per_epoch=_LOOKS)
    settings = settings.model_copy(update={"epochs": _epochs(settings, len(data.train), _TEACHER_STEPS)})
    torch.manual_seed(seed)
    texts = texts_read(data.train, data.task, data.encode.normalise)
    encoder = load_encoder(settings, len(data.task.labels), texts)
    checkpoint = Checkpoint(encoder.model, text_encoder(encoder, data.task, data.encode), data.task)
    weights = Weights(checkpoint, data.dev, settings.epochs)
    fit_and_save(
        checkpoint, data.train, HardLabels(data.task, data.train, settings), settings, data.dev,
        out / f"teacher-{seed}", seed=seed, notes={"role": "teacher"}, evaluate=_nothing,
        after_evaluation=weights.collect,
    )  # fmt: skip
    return _logits_of(weights, data)


def _student(data: Data, way: str, seed: int, steps: int, out: Path) -> dict[str, list[NDArray[np.float32]]]:
    shares, more = WAYS[way]
    settings = DistillRecipe(
        **(_STUDENT | more), keep="last", evaluations_per_epoch=_LOOKS, teacher_weights=tuple(shares.values())
    )
    reach = data.task.window_chars or data.encode.max_tokens
    copies = augmented_examples(data.train, settings.augment, reach, seed) if settings.augment.copies else []
    examples = [*data.train, *drop_near_duplicates(copies, [*data.dev, *data.judge], 0.8)]
    settings = settings.model_copy(update={"epochs": _epochs(settings, len(examples), steps)})
    texts = [*texts_read(examples, data.task, data.encode.normalise)]
    torch.manual_seed(seed)
    student = build_student(
        StudentRecipe(start="general"), general_student(texts), texts,
        num_labels=len(data.task.labels), dropout=settings.dropout,
    )  # fmt: skip
    checkpoint = Checkpoint(student.model, text_encoder(student, data.task, data.encode), data.task)
    weights = Weights(checkpoint, data.dev, settings.epochs)
    folder = out / f"{way.replace(' ', '').replace(',', '-')}-{seed}"
    told: dict[str, Any] = {"seed": seed, "evaluate": _nothing, "after_evaluation": weights.collect}
    if shares:
        loaded = [_asked(data, who, examples, seed, out) for who in shares]
        teach(checkpoint, loaded, examples, data.dev, settings, folder, notes={"role": "student"}, **told)
    else:
        objective = HardLabels(data.task, data.train, settings)
        notes = {"role": "finetuned"}
        fit_and_save(checkpoint, data.train, objective, settings, data.dev, folder, notes=notes, **told)
    return _logits_of(weights, data)


def _asked(data: Data, who: str, examples: Sequence[Example], seed: int, out: Path) -> Teacher:
    """A teacher whose logits for what the student learns from are computed once a set."""
    if who == "linear":
        teacher = linear_teacher(data.task, data.train, data.dev)
    else:
        teacher = load_teacher(out / f"{who}-{seed}", data.task)
    logits = cached_logits(teacher, examples, len(data.task.labels), out / "asked")
    return with_cached_logits(teacher, examples, dict(enumerate(logits)))


def gold_of(task: Task, examples: Sequence[Example]) -> NDArray[np.int64]:
    """Label indices [N]."""
    return np.array([task.index_of(example) for example in examples], np.int64)


def _keep(path: Path, data: Data, logits: dict[str, list[NDArray[Any]]], line: dict[str, Any]) -> None:
    """Keep every model's logits, and add their scores on the judging examples to scores.jsonl."""
    gold_dev, gold = gold_of(data.task, data.dev), gold_of(data.task, data.judge)
    arrays: dict[str, Any] = {
        f"{rule}/{part}": each for rule, both in logits.items() for part, each in zip("dj", both, strict=True)
    }
    lines = []
    for rule, (_, judged) in logits.items():
        found = confusion_counts(gold, judged.argmax(1), len(data.task.labels))
        loss = float(F.cross_entropy(torch.from_numpy(judged).float(), torch.from_numpy(gold)))
        scores = {"macro_f1": float(macro_f1_of(found)), "accuracy": float(accuracy_of(found)), "loss": loss}
        one = line | {"rule": rule} | {key: round(value, 4) for key, value in scores.items()}
        lines.append(one | {"f1": [round(float(each), 3) for each in f1_of(found)]})
        _LOG.info("%s", lines[-1])
    counts = np.bincount(gold_of(data.task, data.train), minlength=len(data.task.labels))
    with atomic_write(path) as draft, draft.open("wb") as stream:
        np.savez(stream, allow_pickle=False, gold_dev=gold_dev, gold=gold, counts=counts, **arrays)
    with (path.parents[1] / "scores.jsonl").open("a", encoding="utf-8") as stream:
        stream.writelines(json.dumps(one) + "\n" for one in lines)


def _table(out: Path) -> list[str]:
    """Macro-F1 / accuracy of each way and rule, a column a set."""
    lines = [json.loads(line) for line in (out / "scores.jsonl").read_text("utf-8").splitlines()]
    sets = list(dict.fromkeys(line["set"] for line in lines))
    rows = []
    for way, rule, seed in dict.fromkeys((line["way"], line["rule"], line["seed"]) for line in lines):
        cells = []
        for name in sets:
            key = (name, way, rule, seed)
            some = [one for one in lines if (one["set"], one["way"], one["rule"], one["seed"]) == key]
            cells.append(
                f"{100 * some[-1]['macro_f1']:.1f} / {100 * some[-1]['accuracy']:.1f}" if some else ""
            )
        rows.append([way, rule, str(seed), *cells])
    return markdown_table(("way", "weights", "seed", *sets), rows)


if __name__ == "__main__":
    main()
