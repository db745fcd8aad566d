"""The queue: every model of the plan is trained once, by whichever process comes to it first."""

from __future__ import annotations

import fcntl
import json
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ablation.plan import Model, Plan
from ablation.sources import make_sources
from attar.io.files import atomic_write
from attar.metrics import scores
from attar.models.checkpoint import load_checkpoint, predict_logits
from attar.pipeline import distill, prepare, pretrain, train
from attar.records.prepared_folder import load_split
from attar.task import Example, Task

_LOG = logging.getLogger("strength")
_POLL_SECONDS = 20


def train_all(plan: Plan, datasets: Sequence[str], wanted: Callable[[Model], bool]) -> None:
    """Train every model that is wanted and missing, together with other processes that do the same."""
    for dataset in datasets:
        with claimed(plan.out / dataset / "claims" / "data"):
            make_sources(plan, dataset)
            recipe = plan.recipe(Model(dataset, "teacher"))
            prepare(recipe, recipe.data.sources, plan.data(dataset))
    left = [model for dataset in datasets for model in plan.models(dataset) if wanted(model)]
    while left:
        finished = next((model for model in left if _finish(plan, model)), None)
        if finished is None:
            time.sleep(_POLL_SECONDS)
        else:
            left.remove(finished)


def _finish(plan: Plan, model: Model) -> bool:
    """Whether a model is finished, now or before; not where another process has it or its teachers lack."""
    if plan.is_finished(model):
        return True
    with claimed(plan.out / model.dataset / "claims" / model.name) as mine:
        return mine and _train(plan, model)


@contextmanager
def claimed(path: Path) -> Iterator[bool]:
    """Whether this process has the work that ``path`` stands for; the claim ends with the block."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        yield True


def _train(plan: Plan, model: Model) -> bool:
    """Train one model and log its score on dev; False if what it learns from is not there yet."""
    recipe, data, folder = plan.recipe(model), plan.data(model.dataset), plan.folder(model)
    if model.row == "teacher":
        first = plan.dataset(model.dataset).get("after")
        if first and not plan.is_finished(Model(first, "teacher")):
            return False
        train(recipe, data, folder)
    else:
        if recipe.student.start == "pretrained" and not _pretrain(plan, plan.pretrained(model)):
            return False
        teachers = {name: Model(model.dataset, name) for name in plan.row(model.row)["teachers"]}
        if not all(name == "linear" or plan.is_finished(one) for name, one in teachers.items()):
            return False
        paths = [name if name == "linear" else plan.folder(one) for name, one in teachers.items()]
        distill(recipe, data, paths, folder)
    model_logits(plan, model, "dev")
    return True


def _pretrain(plan: Plan, pretrained: Model) -> bool:
    """Whether a pretrained student is there, now or before."""
    folder = plan.folder(pretrained)
    if (folder / "attar.json").is_file():
        return True
    with claimed(plan.out / "general" / "claims" / pretrained.name) as mine:
        if mine:
            pretrain(plan.pretraining(pretrained), plan.covered(pretrained), folder)
        return mine


def cached(path: Path, compute: Callable[[], NDArray[np.float32]]) -> NDArray[np.float32]:
    """The array in a file, computed where there is none."""
    if not path.is_file():
        with atomic_write(path) as draft, draft.open("wb") as stream:
            np.save(stream, compute())
    found: NDArray[np.float32] = np.load(path)
    return found


def model_logits(plan: Plan, model: Model, split: Literal["dev", "test"]) -> NDArray[np.float32]:
    """A model's logits [N, C] for a split, computed once; the first of dev go to scores.jsonl."""
    path, examples = plan.logits_path(model, split), load_split(plan.data(model.dataset), split)
    new = not path.is_file()
    logits = cached(path, lambda: predict_logits(load_checkpoint(plan.folder(model)), examples))
    if new and split == "dev":
        task = plan.recipe(model).resolved_task()
        found = scores(task, gold_of(task, examples), logits)
        line = {"set": model.dataset, "row": model.row, "shape": model.shape, "seed": model.seed}
        line |= {"macro_f1": round(found.macro_f1, 4), "accuracy": round(found.accuracy, 4)}
        line |= {"f1": [round(one.f1, 3) for one in found.labels.values()]}
        with (plan.out / "scores.jsonl").open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(line) + "\n")
        _LOG.info("%s", line)
    return logits


def gold_of(task: Task, examples: Sequence[Example]) -> NDArray[np.int64]:
    """Label indices [N]."""
    return np.array([task.index_of(example) for example in examples], np.int64)
