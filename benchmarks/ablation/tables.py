"""The tables of docs/results.md: scores on test, row by row, and paired differences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from peers.document import markdown_table

from ablation.plan import Model, Plan
from ablation.training import cached, gold_of, model_logits
from attar.distillation.linear import linear_teacher
from attar.evaluation.baselines import Majority, WindowedLinear
from attar.intervals import Resampled, resample
from attar.metrics import accuracy_of, macro_f1_of
from attar.records.prepared_folder import load_split
from attar.task import Example, Task

_Splits = Mapping[str, Sequence[Example]]
_Cells = Mapping[tuple[str, str], Sequence[Resampled]]
"""By row and shape: its models' counts on test, one a seed."""


def dataset_table(plan: Plan, dataset: str) -> list[str]:
    """A dataset's block of docs/results.md, from the models that are finished."""
    task = plan.recipe(Model(dataset, "teacher")).resolved_task()
    splits = {name: load_split(plan.data(dataset), name) for name in ("train", "dev", "test")}
    test = splits["test"]
    predicted = {model: found.argmax(1) for model, found in _test_logits(plan, dataset, task, splits).items()}
    reviews = [example.text for example in test]
    draws = resample(
        gold_of(task, test),
        {model.name: labels for model, labels in predicted.items()},
        reviews,
        num_labels=len(task.labels),
        repeats=1000,
        seed=20,
    )
    cells: dict[tuple[str, str], list[Resampled]] = {}
    for model in predicted:
        cells.setdefault((model.row, model.shape), []).append(draws[model.name])
    shapes = list(dict.fromkeys(shape for _, shape in cells if shape)) or [""]
    sizes = (
        f"{len(splits['train']):,} terms train, {len(splits['dev']):,} dev, {len(test):,} test of "
        f"{len(set(reviews)):,}"
    )
    command = "ATTAR_DATA=DIR python benchmarks/strength.py --out runs/strength"
    meaning = (
        "Macro-F1 / accuracy on test; of several seeds the mean, ± its deviation, and how many. The columns "
        'headed "- ROW" are paired differences of macro-F1, with 95 % intervals over reviews'
    )
    lines = [f"`{command} --sets {dataset} --results docs/results.md`: {sizes} reviews. {meaning}."]
    for shape in shapes:
        lines += ["", *_shape_table(plan, cells, shape)]
    return lines


def _test_logits(plan: Plan, dataset: str, task: Task, splits: _Splits) -> dict[Model, NDArray[np.floating]]:
    """Logits (of the baselines: probs) for test, in the order of the table's rows."""
    train, dev, test = (splits[name] for name in ("train", "dev", "test"))
    finished = [model for model in plan.models(dataset) if plan.is_finished(model)]
    baseline = Model(dataset, "linear")
    logits: dict[Model, NDArray[np.floating]] = {
        Model(dataset, "majority"): Majority(task, train)(test),
        baseline: cached(plan.logits_path(baseline, "test"), lambda: WindowedLinear(task, train, dev)(test)),
    }
    logits |= {model: model_logits(plan, model, "test") for model in finished if not model.shape}
    for name, weights in plan.ensembles(dataset).items():
        linear = cached(
            plan.logits_path(Model(dataset, "linear_teacher"), "test"),
            lambda: linear_teacher(task, train, dev).predict_logits(test),
        )
        for seed in plan.teacher_seeds(dataset):
            models = {row: Model(dataset, row, seed=seed) for row in weights if row != "linear"}
            if all(model in logits for model in models.values()):
                members = {"linear": linear} | {row: logits[model] for row, model in models.items()}
                mean = sum(weight * members[row] for row, weight in weights.items())
                logits[Model(dataset, name, seed=seed)] = np.asarray(mean, np.float32)
    return logits | {model: model_logits(plan, model, "test") for model in finished if model.shape}


def _shape_table(plan: Plan, cells: _Cells, shape: str) -> list[str]:
    """One shape's rows; a column for every row that others are compared with."""
    pairs: Mapping[str, Sequence[str]] = plan.tree["differences"]
    rows = dict.fromkeys(row for row, _ in cells)
    here = {row: cell for row in rows if (cell := cells.get((row, shape)) or cells.get((row, "")))}
    others = [other for other in here if any(other in pairs.get(row, ()) for row in here)]
    table = []
    for row, cell in here.items():
        minus = [_difference(cell, here[other]) if other in pairs.get(row, ()) else "" for other in others]
        table.append([plan.title(row), _scores(cell), *minus])
    return markdown_table(
        (shape, "macro-F1 / accuracy", *(f"- {plan.title(one, short=True)}" for one in others)), table
    )


def _scores(models: Sequence[Resampled]) -> str:
    """Means; where there are several seeds, the spread and the number of macro-F1."""
    macro_f1 = [macro_f1_of(one.observed) for one in models]
    accuracy = [accuracy_of(one.observed) for one in models]
    several = len(models) > 1
    spread = f" ± {100 * np.std(macro_f1, ddof=1):.1f}" if several else ""
    number = f" ({len(models)})" if several else ""
    return f"{100 * np.mean(macro_f1):.1f}{spread} / {100 * np.mean(accuracy):.1f}{number}"


def _difference(first: Sequence[Resampled], second: Sequence[Resampled]) -> str:
    """Macro-F1 of the first minus the second's, paired, with its 95 % interval over reviews."""
    value, draws = (mine - theirs for mine, theirs in zip(_macro_f1(first), _macro_f1(second), strict=True))
    low, high = np.percentile(draws, (2.5, 97.5))
    return f"{100 * value:+.1f} [{100 * low:+.1f}, {100 * high:+.1f}]"


def _macro_f1(models: Sequence[Resampled]) -> tuple[Any, Any]:
    """The seeds' mean, and under each draw of reviews [R]."""
    observed = np.mean([macro_f1_of(one.observed) for one in models])
    return observed, np.mean([macro_f1_of(one.draws) for one in models], axis=0)
