"""Teachers: functions from examples to logits, computed once and cached; one or several of them.

A checkpoint encodes the examples in its own way, so teachers may be of different architectures and
vocabularies; the linear baseline (``attar.distillation.linear``) is one too. Several are combined as
the original system does it, by the mean of their logits, weighted if the recipe says so.

The logits are cached in chunks (``attar.distillation.cache``), each under a key of everything that it
depends on: the examples, the encoding, the teacher's weights, the order of the labels.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from attar.distillation.cache import read_array, write_array
from attar.errors import CheckpointError, RecipeError
from attar.io.files import content_hash, file_hash, read_json
from attar.metrics import scores
from attar.models.checkpoint import (
    CHECKPOINT_FILES,
    Checkpoint,
    finite_logits,
    load_checkpoint,
    predict_logits,
)
from attar.models.encoder_config import check_positions
from attar.progress import progress_bar
from attar.task import Example, Task

__all__ = [
    "Teacher",
    "cached_logits",
    "checkpoint_teacher",
    "load_teacher",
    "mean_logits",
    "teacher_device",
    "teacher_weights",
    "with_cached_logits",
]

_CHUNK = 256
_NETWORKS = 0.7  # what they count together beside the linear model


@dataclass(frozen=True, slots=True, eq=False)
class Teacher:
    """A model of the task that a student learns from.

    Attributes:
        name: What messages call it.
        fingerprint: Hash of everything in it that its logits depend on.
        predict_logits: [N] examples -> logits [N, C].
        checkpoint: The model behind it; None where it is no network.
        fit: What it must do before its first answer, where that takes long.
    """

    name: str
    fingerprint: str
    predict_logits: Callable[[Sequence[Example]], NDArray[np.float32]]
    checkpoint: Checkpoint | None = None
    fit: Callable[[], object] | None = None


def load_teacher(folder: Path, task: Task) -> Teacher:
    """A checkpoint as a teacher; its model stays on the CPU until it is needed.

    Raises:
        CheckpointError: There is no whole checkpoint.
        RecipeError: Its labels, or their order, are not the task's, or it reads more tokens than it has
            positions.
    """
    checkpoint = load_checkpoint(folder)
    check_positions(checkpoint.model, checkpoint.encoder.spec.max_tokens, where=f"the teacher {folder}")
    if checkpoint.task.labels != task.labels:
        raise RecipeError(
            f"{folder}: the teacher's labels are {list(checkpoint.task.labels)}, the recipe's task has "
            f"{list(task.labels)}; labels and their order must be the same"
        )
    card = read_json(folder / "attar.json")
    fingerprint = content_hash(
        {
            "files": [file_hash(folder / name) for name in CHECKPOINT_FILES[:3]],
            "input": card["input"],
            "task": card["task"],
        }
    )
    return checkpoint_teacher(checkpoint, str(folder), fingerprint)


def checkpoint_teacher(checkpoint: Checkpoint, name: str, fingerprint: str) -> Teacher:
    """A loaded checkpoint as a teacher; the arguments are attributes of ``Teacher``."""

    def predict(examples: Sequence[Example]) -> NDArray[np.float32]:
        checkpoint.model.to(teacher_device())
        try:
            return predict_logits(checkpoint, examples, bf16=True)
        except CheckpointError as error:
            raise CheckpointError(f"{name}: {error}") from error

    return Teacher(name, fingerprint, predict, checkpoint)


def with_cached_logits(
    teacher: Teacher, examples: Sequence[Example], cached: Mapping[int, NDArray[np.float32]]
) -> Teacher:
    """The same teacher, which looks up its logits [C] of the examples whose indices are in ``cached``."""
    known = {examples[row].question: logits for row, logits in cached.items()}

    def predict(examples: Sequence[Example]) -> NDArray[np.float32]:
        unknown = [example for example in examples if example.question not in known]
        computed = iter(teacher.predict_logits(unknown) if unknown else ())
        return np.stack([known[e.question] if e.question in known else next(computed) for e in examples])

    return replace(teacher, predict_logits=predict, fit=None)  # which it may never need


def teacher_device() -> torch.device:
    """Where a teacher computes: this process's GPU, or without one the CPU."""
    if torch.cuda.is_available():
        return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
    return torch.device("cpu")


def teacher_weights(
    teachers: Sequence[Teacher],
    given: Literal["equal", "dev", "networks"] | Sequence[float],
    task: Task,
    dev: Sequence[Example],
    folder: Path,
) -> tuple[float, ...]:
    """The weight of each teacher's logits in the mean; they sum to 1.

    Args:
        teachers: K of them.
        given: "equal"; "dev" for the task's metric on ``dev``; "networks" for 0.7 among the checkpoints and
            0.3 for the linear model, where both are there; or K numbers.
        task: Names labels and metric.
        dev: Labelled examples.
        folder: The cache of their logits.

    Raises:
        RecipeError: Not K numbers, or all of them are 0.
    """
    if given == "equal":
        raw = [1.0] * len(teachers)
    elif given == "dev":
        gold = np.array([task.index_of(example) for example in dev])
        logits = [cached_logits(teacher, dev, len(task.labels), folder) for teacher in teachers]
        raw = [getattr(scores(task, gold, each), task.metric) for each in logits]
    elif given == "networks":
        networks = [teacher.checkpoint is not None for teacher in teachers]
        raw = [(_NETWORKS if network else 1 - _NETWORKS) / networks.count(network) for network in networks]
    else:
        raw = [float(weight) for weight in given]
    if len(raw) != len(teachers) or sum(raw) <= 0:
        raise RecipeError(
            f"distill.teacher_weights = {raw}: expected {len(teachers)} numbers, one a teacher in the "
            f"order {', '.join(teacher.name for teacher in teachers)}, not all of them 0"
        )
    return tuple(weight / sum(raw) for weight in raw)


def mean_logits(
    teachers: Sequence[Teacher],
    weights: Sequence[float],
    examples: Sequence[Example],
    num_labels: int,
    folder: Path,
) -> NDArray[np.float32]:
    """The weighted mean of the teachers' ``cached_logits``, [N, C]."""
    logits = (cached_logits(teacher, examples, num_labels, folder) for teacher in teachers)
    weighted = (np.float32(weight) * each for weight, each in zip(weights, logits, strict=True))
    return sum(weighted, np.zeros((len(examples), num_labels), np.float32))


def cached_logits(
    teacher: Teacher, examples: Sequence[Example], num_labels: int, folder: Path
) -> NDArray[np.float32]:
    """A teacher's logits [N, C] for the examples, from the cache where they are already there.

    Several teachers and sets of examples can share a cache.
    """
    out = np.zeros((len(examples), num_labels), np.float32)
    chunks = [examples[start : start + _CHUNK] for start in range(0, len(examples), _CHUNK)]
    keys = [content_hash([teacher.fingerprint, [e.question for e in chunk]]) for chunk in chunks]
    paths = [folder / f"logits-{key[:32]}.npy" for key in keys]
    if teacher.fit and not all(path.exists() for path in paths):
        teacher.fit()  # here, where no bar counts its time as that of the first chunk
    with progress_bar("teacher logits", len(examples), unit="examples") as advance:
        for number, (chunk, key, path) in enumerate(zip(chunks, keys, paths, strict=True)):
            start = number * _CHUNK
            logits = read_array(path, key, (len(chunk), num_labels), np.float32)
            if logits is None:
                # Never cached where they are not finite.
                logits = finite_logits(teacher.predict_logits(chunk), f"the teacher {teacher.name}")
                write_array(path, key, logits)
            out[start : start + len(chunk)] = logits
            advance(len(chunk))
    return out
