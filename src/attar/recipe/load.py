"""Recipes: a TOML file, one frozen model a stage.

``load_recipe`` reads a file, applies ``--set stage.key=value`` overrides, names the nearest known
key where one is misspelt, and resolves paths against the recipe's own folder; those of overrides start
from the working folder. Whatever a stage does is in its section: two runs of one resolved recipe on the
same data are the same run.
"""

from __future__ import annotations

import copy
import logging
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, ValidationError, model_validator

from attar.errors import RecipeError
from attar.recipe.base import FolderName, Positive, Section, Share, meaning_of
from attar.recipe.chosen import with_chosen_settings
from attar.recipe.data import DataRecipe, EncodeRecipe, JoinRecipe, SourceFormat, SourceRecipe, TaskRecipe
from attar.recipe.fit import FitRecipe, Schedule
from attar.recipe.gate import GateRecipe
from attar.recipe.overrides import from_prompt, parse_override
from attar.recipe.renamed import new_name, with_new_names
from attar.recipe.training import (
    AttentionForm,
    AugmentRecipe,
    DistillRecipe,
    MatchRecipe,
    PretrainRecipe,
    StudentRecipe,
    TrainRecipe,
    UnlabelledRecipe,
)
from attar.suggest import nearest
from attar.task import Task, task_by_name

__all__ = [
    "AttentionForm",
    "AugmentRecipe",
    "DataRecipe",
    "DistillRecipe",
    "EncodeRecipe",
    "EvaluateRecipe",
    "ExportRecipe",
    "FitRecipe",
    "GateRecipe",
    "JoinRecipe",
    "MatchRecipe",
    "PretrainRecipe",
    "Recipe",
    "Schedule",
    "SourceFormat",
    "SourceRecipe",
    "StudentRecipe",
    "TrainRecipe",
    "UnlabelledRecipe",
    "load_recipe",
    "make_recipe",
]

_LOG = logging.getLogger(__name__)
_TASK_NAME = re.compile(r"""^\s*task\s*=\s*("[^"\n]*"|'[^'\n]*')""", re.MULTILINE)
_TASK_TABLE = re.compile(r"^\s*(\[\s*task\s*(?:\.[^\]\n]*)?\])", re.MULTILINE)


class ExportRecipe(Section):
    """``export``: the precision of an artifact and the gates it must pass, as fractions of 1.

    A share has an interval: 6 flips of 2,000 (0.3 %) say, with 95 % confidence, 0.14 to 0.65 %
    (Wilson's).
    """

    precision: Literal["auto", "int8", "fp32"] = "auto"
    """`int8` or nothing; `fp32`; or `auto`: int8 where it passes the gates, else finer arithmetic, layer
    by layer, where it buys most, fp32 where nothing else passes."""
    calibration_examples: Positive = 512
    """Training examples that int8 is chosen on."""
    parity_examples: Positive = 2000
    """Examples that the export is verified on: dev, then train."""
    max_flips: Share = 0.003
    """Gate: share of labels that int8 may change."""
    max_f1_loss: Share = 0.003
    """Gate: macro-F1 that int8 may cost, as a fraction of 1."""
    qat_above: Share = 0.002
    """Quantisation-aware training where int8 costs more macro-F1 than this, or fails a gate."""
    qat_epochs: Annotated[float, Field(ge=0)] = 2
    """Length of that training; 0 turns it off."""
    qat_learning_rate: Annotated[float, Field(gt=0)] = 2e-5
    """Its peak rate."""


class EvaluateRecipe(Section):
    """``evaluate``: how the report measures."""

    bootstrap: Positive = 1000
    """Draws of reviews for the 95 % intervals."""
    speed_examples: Positive = 400
    """Test examples that are timed."""
    speed_repeats: Positive = 5
    """Interleaved rounds of timing."""


class Recipe(Section):
    """A whole experiment, from sources to a scorer."""

    name: FolderName
    """Names the run folder and the report. By default the file's name without its ending."""
    task: str | TaskRecipe = "cosmetics"
    """A built-in task's name, or a `[task]` table."""
    seed: int = 20
    """Decides the split, the order of the examples and every random start."""
    data: DataRecipe = DataRecipe()
    encode: EncodeRecipe = EncodeRecipe()
    pretrain: PretrainRecipe = PretrainRecipe()
    train: TrainRecipe = TrainRecipe()
    student: StudentRecipe = StudentRecipe()
    distill: DistillRecipe = DistillRecipe()
    finetune: DistillRecipe | None = None
    export: ExportRecipe = ExportRecipe()
    evaluate: EvaluateRecipe = EvaluateRecipe()
    gate: GateRecipe = GateRecipe()

    @model_validator(mode="before")
    @classmethod
    def _with_chosen_settings(cls, tree: Any) -> Any:  # noqa: ANN401 - whatever the TOML holds
        return with_chosen_settings(tree) if isinstance(tree, Mapping) else tree

    def resolved_task(self) -> Task:
        """The Task, with the window of ``[encode]`` if that sets one."""
        task = task_by_name(self.task) if isinstance(self.task, str) else self.task.resolved()
        chars = self.encode.window_chars
        return task if chars is None else replace(task, window_chars=chars)

    def with_words(self, columns: dict[str, str], aliases: dict[str, str]) -> Recipe:
        """The recipe with more names of columns, in every source, and more spellings of labels.

        Raises:
            RecipeError: A spelling stands for no label of the task.
        """
        task, data = self.task, self.data
        if aliases:
            own = TaskRecipe(name=task) if isinstance(task, str) else task
            known = own.resolved()
            aliases = {name: known.label_of(label) or label for name, label in aliases.items()}
            task = own.model_copy(update={"aliases": own.aliases | aliases})
        if columns:
            sources = [
                source.model_copy(update={"columns": source.columns | columns}) if source.columns else source
                for source in data.sources
            ]
            more = {"columns": data.columns | columns, "sources": tuple(sources)}
            data = data.model_copy(update=more)
        recipe = self.model_copy(update={"task": task, "data": data})
        recipe.resolved_task()
        return recipe

    def finetuning(self) -> DistillRecipe:
        """Settings of the student trained without a teacher: ``[distill]`` with labels alone."""
        base = self.finetune or self.distill
        fields = DistillRecipe.model_fields
        taught = {name: fields[name].default for name in fields if name not in FitRecipe.model_fields}
        alone = {"soft_weight": 0.0, "hard_weight": 1.0, "temperature": 1.0}
        return base.model_copy(update=taught | alone)


def _known_keys(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, str]]:
    """(key, what it means) of a section and of those within it."""
    for name, info in model.model_fields.items():
        yield prefix + name, meaning_of(model, name)
        for kind in getattr(info.annotation, "__args__", (info.annotation,)):
            if isinstance(kind, type) and issubclass(kind, BaseModel):
                yield from _known_keys(kind, f"{prefix}{name}.")


def _explain(error: ValidationError, where: str) -> str:
    lines = []
    for problem in error.errors():
        place = [str(part) for part in problem["loc"] if part not in ("TaskRecipe", "str")]
        key, value = ".".join(place), problem["input"]
        if problem["type"] == "extra_forbidden":
            lines.append(_unknown(key))
        elif problem["type"] == "missing":
            lines.append(f"{key!r} is missing")
        else:
            lines.append(f"{key} = {value!r}: {problem['msg']}")
    return f"{where}: " + "; ".join(lines)


def _unknown(key: str) -> str:
    """What is said of a key that does not exist: the nearest one and what that means."""
    known = dict(_known_keys(Recipe))
    near = nearest(key, known, cutoff=0.5)
    if near is None:
        return f"unknown key {key!r}; known: {', '.join(Recipe.model_fields)}"
    meaning = f" ({known[near].rstrip('.')})" if known[near] else ""
    return f"unknown key {key!r}; did you mean {near!r}?{meaning}"


def load_recipe(path: Path, overrides: Sequence[str] = ()) -> Recipe:
    """Read and check a recipe in TOML; paths in it are relative to its folder, those of overrides not.

    Raises:
        RecipeError: Not there, not TOML, or as ``make_recipe``.
    """
    try:
        text = path.read_text("utf-8-sig")
        tree = tomllib.loads(text)
    except OSError as error:
        near = sorted(p.name for p in path.parent.glob("*.toml")) if path.parent.is_dir() else []
        hint = f"; in that folder: {', '.join(near)}" if near else ""
        raise RecipeError(f"{path}: cannot read the recipe ({error.strerror}){hint}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        twice = isinstance(error, tomllib.TOMLDecodeError) and _task_twice(text)
        raise RecipeError(f"{path}: {twice or f'not valid TOML: {error}'}") from error
    return make_recipe({"name": path.stem} | tree, overrides, where=str(path), folder=path.parent)


def _task_twice(text: str) -> str:
    """What to write where a recipe names a built-in task and has a table for it too, else ""."""
    name, table = _TASK_NAME.search(text), _TASK_TABLE.search(text)
    if not name or not table:
        return ""
    return (
        f"task = {name[1]} and the table {table[1]} cannot stand side by side in TOML; instead of the first "
        f"write [task] and, below it, name = {name[1]}; [task.aliases] may follow"
    )


def make_recipe(
    tree: Mapping[str, Any], overrides: Sequence[str] = (), *, where: str = "--set", folder: Path = Path()
) -> Recipe:
    """A checked recipe from its keys.

    Args:
        tree: As TOML gives them.
        overrides: ``stage.key=value``, the value as TOML or a bare word.
        where: What a message calls the recipe.
        folder: What relative paths in it start from; those of overrides start from the working folder.

    Raises:
        RecipeError: A key that is unknown (the nearest one is named), or a bad value.
    """
    known = dict(_known_keys(Recipe))
    keys_and_values, renamed = with_new_names(copy.deepcopy(dict(tree)), known)
    for override in overrides:
        said, value = parse_override(override)
        keys, value = new_name(said, value, known)
        if keys != said:
            renamed.append(f"{'.'.join(said)} is now {'.'.join(keys)}")
        node = keys_and_values
        if keys[0] == "task" and len(keys) > 1 and isinstance(node.get("task", "cosmetics"), str):
            node["task"] = {"name": node.get("task", "cosmetics")}
        for key in keys[:-1]:
            node = node.setdefault(key, {})
            if not isinstance(node, dict):
                raise RecipeError(f"--set {override!r}: {key!r} is a value, not a section")
        node[keys[-1]] = from_prompt(".".join(keys), value, folder)
    if renamed:
        _LOG.warning("%s: %s; the old names are still read", where, "; ".join(renamed))
    try:
        recipe = Recipe.model_validate(keys_and_values, context={"folder": folder})
    except ValidationError as error:
        raise RecipeError(_explain(error, where)) from error
    task = recipe.resolved_task()  # a task that cannot be is said now, not after the first stage
    _check_recalls(recipe.gate, task, where)
    return recipe


def _check_recalls(gate: GateRecipe, task: Task, where: str) -> None:
    asked = gate.min_recall if isinstance(gate.min_recall, dict) else {}
    if unknown := [label for label in asked if label not in task.labels]:
        raise RecipeError(
            f"{where}: gate.min_recall names {unknown[0]!r}; the labels are {', '.join(task.labels)}"
        )
