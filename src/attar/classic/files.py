"""The files of a classic checkpoint, and what they leave out.

The original system keeps a model in three files: ``gs{step}.pkl`` with the weights alone, the
architecture's ``config.json`` and ``vocab.txt``. The label of each logit was fixed in its code
(johnson7788/TextBrewer, huazhuang/utils_glue.py), by task; whether the term was marked in the text
changed over time. Until 2021-02-22 its readers of three-line files and of rows of three columns added no
marks; then came rows of seven columns, and marks with them. attar records it in a fourth file beside the
weights: ``gs{step}.json``.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

from attar.errors import CheckpointError, RecipeError
from attar.io.files import read_json, write_json
from attar.task import Task

__all__ = [
    "DEFAULT_MAX_TOKENS",
    "Architecture",
    "ClassicFiles",
    "Marks",
    "card_path",
    "classic_labels",
    "classic_task",
    "labels_from",
    "marks_from",
    "read_card",
    "read_config",
    "read_vocab",
    "write_card",
]

Architecture = Literal["bert", "electra", "albert"]
Marks = Literal["auto", "on", "off"]

DEFAULT_MAX_TOKENS = 70
"""Longest input of the original's checkpoints and services, special tokens included."""

_LOG = logging.getLogger(__name__)
_SHAPE = ("vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size")
_SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
_LABELS: Mapping[str, tuple[str, ...]] = MappingProxyType({"components": ("是", "否")})


@dataclass(frozen=True, slots=True)
class ClassicFiles:
    """The files of a classic checkpoint and how they are read.

    Attributes:
        config: JSON of a BERT, ELECTRA or ALBERT config.
        vocab: One token a line.
        weights: A ``gs{step}.pkl``; None for random weights.
        architecture: "bert" (MacBERT too), "electra" or "albert"; None tells it by the names of the
            weights.
        lower_case: Whether the text is lower-cased before it is tokenised; None takes the setting of
            ``gs{step}.json``, and without one lower-cases.
        labels: The labels in the order of the file's logits; empty for the original's order.
        marks: Whether the term is marked in the text; None takes the setting of ``gs{step}.json``, and
            without one no marks, as in the checkpoints of the original's README.
    """

    config: Path
    vocab: Path
    weights: Path | None = None
    architecture: Architecture | None = None
    lower_case: bool | None = None
    labels: tuple[str, ...] = ()
    marks: bool | None = None

    def resolved(self, task: Task) -> ClassicFiles:
        """The same with ``marks`` and ``lower_case`` set; assumptions are logged.

        Raises:
            CheckpointError: ``gs{step}.json`` is damaged.
        """
        card = read_card(self.weights) if self.weights is not None else None
        lower_case, marks = self.lower_case, self.marks
        if lower_case is None:
            lower_case = bool(card.get("lower_case", True)) if card else True
        if marks is None and self.weights is not None:
            marks = bool(card["marks"]) if card else False
            if card is None and task.has_term:
                _LOG.warning(
                    "%s: read without marks around the term, because there is no %s beside it and the "
                    "checkpoints of the original's README were trained without; one that was trained on "
                    "rows of seven columns needs --marks on",
                    self.weights, card_path(self.weights).name,
                )  # fmt: skip
        return replace(self, lower_case=lower_case, marks=marks)


def card_path(weights: Path) -> Path:
    """The settings file beside a checkpoint's weights: ``gs8.json`` of ``gs8.pkl``."""
    return weights.with_suffix(".json")


def read_card(weights: Path) -> dict[str, Any] | None:
    """The settings that attar wrote beside a checkpoint's weights; None if there is no such file.

    A file of that name without ``marks`` was not written by attar and is ignored.

    Raises:
        CheckpointError: It is damaged.
    """
    path = card_path(weights)
    try:
        card = read_json(path)
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise CheckpointError(
            f"{path}: cannot be read as JSON; it records whether {weights.name} was trained with marks. "
            "Remove it and give --marks on or off"
        ) from error
    if not isinstance(card, dict) or "marks" not in card:
        return None
    if not isinstance(card["marks"], bool):
        shown = json.dumps(card["marks"], ensure_ascii=False)[:40]
        raise CheckpointError(f"{path}: marks is {shown}; expected true or false")
    return card


def write_card(weights: Path, card: Mapping[str, Any]) -> None:
    """Write the settings of a checkpoint, ``marks`` at least, beside its weights; for ``read_card``."""
    write_json(card_path(weights), dict(card))


def read_config(path: Path, required: Collection[str] = _SHAPE) -> dict[str, Any]:
    """Read the config.json of a model, which must have the ``required`` keys.

    Raises:
        CheckpointError: It does not exist, is not a JSON object, or lacks a required key.
    """
    try:
        config = read_json(path)
    except OSError as error:
        raise CheckpointError(f"{path}: cannot read the config ({error.strerror})") from error
    except ValueError as error:
        raise CheckpointError(f"{path}: not valid JSON: {error}") from error
    whole: dict[str, Any] = config if isinstance(config, dict) else {}
    missing = [name for name in required if name not in whole]
    if missing or not isinstance(config, dict):
        lacks = f", it lacks {', '.join(missing)}" if missing else "; expected a JSON object"
        raise CheckpointError(f"{path}: no model config{lacks}")
    return whole


def read_vocab(path: Path) -> dict[str, int]:
    """Read a vocab.txt: token -> id.

    Raises:
        CheckpointError: It does not exist, is not UTF-8, or lacks a special token of BERT.
    """
    try:
        tokens = path.read_text("utf-8-sig").removesuffix("\n").split("\n")
    except OSError as error:
        raise CheckpointError(f"{path}: cannot read the vocabulary ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise CheckpointError(f"{path}: not UTF-8: {error.reason} at byte {error.start}") from error
    vocab = {token.strip(): number for number, token in enumerate(tokens)}
    missing = [token for token in _SPECIAL if token not in vocab]
    if missing:
        raise CheckpointError(f"{path}: no vocabulary of BERT's, it lacks {', '.join(missing)}")
    return vocab


def marks_from(flag: Marks) -> bool | None:
    """The value of ``--marks``; None leaves the choice to the rows or the checkpoint."""
    return {"auto": None, "on": True, "off": False}[flag]


def labels_from(flag: str | None) -> tuple[str, ...]:
    """The value of ``--labels``, names separated by commas; empty for the original's order."""
    return tuple(label.strip() for label in flag.split(",")) if flag else ()


def classic_labels(task: Task, labels: tuple[str, ...] = ()) -> tuple[str, ...]:
    """The labels of a task in the order of a classic checkpoint's logits: ``labels``, else the original's.

    Raises:
        RecipeError: ``labels`` are not the task's.
    """
    chosen = labels or _LABELS.get(task.name, task.labels)
    if sorted(chosen) != sorted(task.labels):
        if not labels:
            return task.labels  # a user's own task with the name of one of the original's
        raise RecipeError(
            f"labels {', '.join(labels)} of the classic checkpoint: the task {task.name!r} has "
            f"{', '.join(task.labels)}; name the same ones, in the order of the checkpoint's logits"
        )
    return chosen


def classic_task(task: Task, *, marks: bool) -> Task:
    """The task in the input style of the original, with marks around the term or without."""
    return replace(task, style="marked_pair" if marks else "pair") if task.has_term else task
