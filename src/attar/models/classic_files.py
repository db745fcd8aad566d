"""The files of a classic checkpoint, and what they do not say of themselves.

The original system keeps a model in three files: ``gs{step}.pkl`` with the weights alone, the
architecture's ``config.json`` and ``vocab.txt``. What each logit means and whether the term is
marked in the text stood in its code (johnson7788/TextBrewer, huazhuang/utils_glue.py), by task.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Literal

from attar.errors import RecipeError
from attar.task import Task

__all__ = ["Architecture", "ClassicFiles", "classic_labels", "classic_task"]

Architecture = Literal["bert", "electra", "albert"]

_LABELS: Mapping[str, tuple[str, ...]] = MappingProxyType({"components": ("是", "否")})
_UNMARKED = frozenset({"newcos"})  # its rows had no offsets, so there was nothing to mark


@dataclass(frozen=True, slots=True)
class ClassicFiles:
    """Where a classic checkpoint is and how it is read.

    Attributes:
        config: JSON of a BERT, ELECTRA or ALBERT config.
        vocab: One token a line.
        weights: A ``gs{step}.pkl``; None for a model that starts at random.
        architecture: "bert" (MacBERT too), "electra" or "albert"; None takes what the names of the
            weights say.
        lower_case: Whether the text is lower-cased before it is cut into tokens.
        labels: The labels in the order of the file's logits; empty for the original's order.
    """

    config: Path
    vocab: Path
    weights: Path | None = None
    architecture: Architecture | None = None
    lower_case: bool = True
    labels: tuple[str, ...] = ()


def classic_labels(task: Task, labels: tuple[str, ...] = ()) -> tuple[str, ...]:
    """The labels of a task in the order of a classic checkpoint's logits.

    Args:
        task: Its labels are in the order of our logits.
        labels: The file's own order, where it is not the original's.

    Raises:
        RecipeError: ``labels`` are not the task's.
    """
    chosen = labels or _LABELS.get(task.name, task.labels)
    if sorted(chosen) != sorted(task.labels):
        if not labels:
            return task.labels  # a task of the user's own that has the name of one of the original's
        raise RecipeError(
            f"labels {', '.join(labels)} of the classic checkpoint: the task {task.name!r} has "
            f"{', '.join(task.labels)}; name the same ones, in the order of the checkpoint's logits"
        )
    return chosen


def classic_task(task: Task) -> Task:
    """The task as the original put it to its models: newcos without marks around the term."""
    return replace(task, style="pair") if task.name in _UNMARKED and task.style == "marked_pair" else task
