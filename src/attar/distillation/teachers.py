"""Teachers: any function from examples to logits, asked once; one or several of them.

A checkpoint encodes the examples in its own way, so teachers may be of different architectures and
vocabularies; the linear baseline (``attar.distillation.linear``) is one too. What they say is
combined as the original system does it, by the mean of their logits, weighted if the recipe says so.

The answers are kept in a folder under a key made of everything that they depend on (the examples,
the encoding, the teacher's weights, the order of the labels), in chunks written whole: an
interrupted pass goes on where it stopped, a damaged chunk is asked again, and the answers of
another teacher or other data are never taken for these.
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
from attar.errors import RecipeError
from attar.evaluation.metrics import scores
from attar.io.files import content_hash, file_hash, read_json
from attar.models.checkpoint import CHECKPOINT_FILES, Checkpoint, load_checkpoint, predict_logits
from attar.progress import progress_bar
from attar.task import Example, Task

__all__ = [
    "Teacher",
    "cached_logits",
    "checkpoint_teacher",
    "load_teacher",
    "mean_logits",
    "teacher_device",
    "teacher_shares",
    "with_cached_logits",
]

_CHUNK = 256


@dataclass(frozen=True, slots=True, eq=False)
class Teacher:
    """Whoever answers for examples.

    Attributes:
        name: What messages call it.
        identity: Hash of everything in it that its answers depend on.
        ask: [N] examples -> logits [N, C].
        checkpoint: The model behind it; None where it is no network.
    """

    name: str
    identity: str
    ask: Callable[[Sequence[Example]], NDArray[np.float32]]
    checkpoint: Checkpoint | None = None


def load_teacher(folder: Path, task: Task) -> Teacher:
    """A checkpoint as a teacher; its model stays on the CPU until it is asked.

    Raises:
        CheckpointError: There is no whole checkpoint.
        RecipeError: Its labels, or their order, are not the task's.
    """
    checkpoint = load_checkpoint(folder)
    if checkpoint.task.labels != task.labels:
        raise RecipeError(
            f"{folder}: the teacher answers {list(checkpoint.task.labels)}, the recipe's task has "
            f"{list(task.labels)}; labels and their order must be the same"
        )
    card = read_json(folder / "attar.json")
    identity = content_hash(
        {
            "files": [file_hash(folder / name) for name in CHECKPOINT_FILES[:3]],
            "input": card["input"],
            "task": card["task"],
        }
    )

    return checkpoint_teacher(checkpoint, str(folder), identity)


def checkpoint_teacher(checkpoint: Checkpoint, name: str, identity: str) -> Teacher:
    """A loaded checkpoint as a teacher.

    Args:
        checkpoint: The model; it stays on the CPU until it is asked.
        name: What messages call it.
        identity: Hash of everything in it that its answers depend on.
    """

    def ask(examples: Sequence[Example]) -> NDArray[np.float32]:
        checkpoint.model.to(teacher_device())
        return predict_logits(checkpoint, examples, bf16=True)

    return Teacher(name, identity, ask, checkpoint)


def with_cached_logits(
    teacher: Teacher, examples: Sequence[Example], heard: Mapping[int, NDArray[np.float32]]
) -> Teacher:
    """The same teacher, not troubled again with what it has answered.

    Args:
        teacher: Asked for all else.
        examples: N examples.
        heard: Index of one of them -> the logits [C] that the teacher gave for it.
    """
    known = {examples[row].question: logits for row, logits in heard.items()}

    def ask(examples: Sequence[Example]) -> NDArray[np.float32]:
        unknown = [example for example in examples if example.question not in known]
        fresh = iter(teacher.ask(unknown) if unknown else ())
        return np.stack([known[e.question] if e.question in known else next(fresh) for e in examples])

    return replace(teacher, ask=ask)


def teacher_device() -> torch.device:
    """Where a teacher computes: this process's GPU, or without one the CPU."""
    if torch.cuda.is_available():
        return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
    return torch.device("cpu")


def teacher_shares(
    teachers: Sequence[Teacher],
    weights: Literal["equal", "dev"] | Sequence[float],
    task: Task,
    dev: Sequence[Example],
    folder: Path,
) -> tuple[float, ...]:
    """What each teacher's logits weigh in the mean; they sum to 1.

    Args:
        teachers: K of them.
        weights: "equal"; "dev" for the task's metric on ``dev``; or K numbers.
        task: Names labels and metric.
        dev: Labelled examples.
        folder: The cache of their answers.

    Raises:
        RecipeError: Not K numbers, or all of them are 0.
    """
    if weights == "equal":
        raw = [1.0] * len(teachers)
    elif weights == "dev":
        raw = [_dev_score(teacher, task, dev, folder) for teacher in teachers]
    else:
        raw = [float(weight) for weight in weights]
    if len(raw) != len(teachers) or sum(raw) <= 0:
        raise RecipeError(
            f"distill.teacher_weights = {raw}: expected {len(teachers)} numbers, one a teacher in the "
            f"order {', '.join(teacher.name for teacher in teachers)}, not all of them 0"
        )
    return tuple(weight / sum(raw) for weight in raw)


def _dev_score(teacher: Teacher, task: Task, dev: Sequence[Example], folder: Path) -> float:
    gold = np.array([task.index_of(example) for example in dev])
    found = scores(task, gold, cached_logits(teacher, dev, len(task.labels), folder))
    return found.macro_f1 if task.metric == "macro_f1" else found.accuracy


def mean_logits(
    teachers: Sequence[Teacher],
    shares: Sequence[float],
    examples: Sequence[Example],
    num_labels: int,
    folder: Path,
) -> NDArray[np.float32]:
    """The weighted mean of the teachers' logits [N, C], each teacher's own from the cache.

    Args:
        teachers: Asked for what the cache does not hold.
        shares: What each one weighs.
        examples: N examples.
        num_labels: C.
        folder: The cache.
    """
    answers = (cached_logits(teacher, examples, num_labels, folder) for teacher in teachers)
    weighed = (np.float32(share) * logits for share, logits in zip(shares, answers, strict=True))
    return sum(weighed, np.zeros((len(examples), num_labels), np.float32))


def cached_logits(
    teacher: Teacher, examples: Sequence[Example], num_labels: int, folder: Path
) -> NDArray[np.float32]:
    """A teacher's logits [N, C] for the examples, from the folder where they are already there.

    Args:
        teacher: Asked for what is missing.
        examples: N examples.
        num_labels: C.
        folder: The cache; several teachers and sets of examples can share it.
    """
    out = np.zeros((len(examples), num_labels), np.float32)
    with progress_bar("asking the teacher", len(examples), unit="examples") as advance:
        for start in range(0, len(examples), _CHUNK):
            chunk = examples[start : start + _CHUNK]
            key = content_hash([teacher.identity, [e.question for e in chunk]])
            path = folder / f"logits-{key[:32]}.npy"
            answers = read_array(path, key, (len(chunk), num_labels), np.float32)
            if answers is None:
                answers = teacher.ask(chunk)
                write_array(path, key, answers)
            out[start : start + len(chunk)] = answers
            advance(len(chunk))
    return out
