"""Flags -> recipe: the original's settings as keys of attar's recipes."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError

from attar.classic.files import classic_task, read_config
from attar.distillation.matches import PRESET_MATCHES
from attar.errors import RecipeError
from attar.models.precision import computes_in_bf16
from attar.recipe.load import AttentionForm, Recipe, SourceRecipe, make_recipe
from attar.task import BUILT_IN_TASKS, Task
from original.log import MAIN
from original.tasks import TASKS
from original.toml import recipe_toml
from original.wording import wrong_values

__all__ = ["show_recipe", "to_recipe"]


def to_recipe(args: argparse.Namespace, sources: Sequence[SourceRecipe], *, marks: bool) -> Recipe:
    """The recipe that a command line of the original becomes.

    Args:
        args: From ``parse_arguments``.
        sources: The files of the data folder.
        marks: Whether keywords are marked.

    Raises:
        RecipeError: A value is out of range.
    """
    task = classic_task(TASKS[args.task_name].task, marks=marks)
    section = "train" if args.script == "trainer" else "distill"
    tree: dict[str, Any] = {
        "name": f"classic-{task.name}",
        "task": _task(task),
        "seed": args.random_seed,
        "data": _data(sources),
        "encode": {"max_tokens": args.max_seq_length, "pooling": "cls"},
        section: _fit_settings(args),
    }
    if args.script == "trainer":
        if args.load_model_type == "bert":
            tree["train"]["encoder"] = str(args.init_checkpoint_S.resolve().parent)
    else:
        tree["student"] = _student(args)
        tree["distill"] |= _distill_settings(args)
    try:
        return make_recipe(tree)
    except RecipeError as error:
        if isinstance(error.__cause__, ValidationError):
            raise RecipeError(wrong_values(error.__cause__, args)) from error
        raise


def show_recipe(recipe: Recipe, args: argparse.Namespace) -> None:
    """Log the recipe and write it as ``output_dir/recipe.toml``."""
    text = recipe_toml(recipe)
    path = args.output_dir / "recipe.toml"
    notes = "".join(f"# {note}\n" for note in _not_expressible(args))
    path.write_text(notes + text, "utf-8")
    MAIN.info("As a recipe for attar run (%s):\n%s%s", path, notes, text)


def _task(task: Task) -> str | dict[str, Any]:
    """Its name if it equals a built-in task, else its table."""
    if BUILT_IN_TASKS.get(task.name) == task:
        return task.name
    return {key: value for key, value in task.to_json().items() if value is not None}


def _data(sources: Sequence[SourceRecipe]) -> dict[str, Any]:
    """The files with their own split; without a test file, a share of train is held out for it."""
    tables = [
        source.model_dump(exclude_defaults=True) | {"path": str(Path(source.path).resolve())}
        for source in sources
    ]
    if any(source.split == "test" for source in sources):
        return {"sources": tables, "dev": 0.0, "test": 0.0}
    for table in tables:
        if table["split"] == "train":
            del table["split"]
    return {"sources": tables, "dev": 0.0, "test": 0.1}


def _fit_settings(args: argparse.Namespace) -> dict[str, Any]:
    return {
        "epochs": args.num_train_epochs,
        "batch_size": args.train_batch_size,
        "drop_last": True,
        "gradient_accumulation_steps": args.gradient_accumulation_steps,
        "learning_rate": args.learning_rate,
        "optimiser": "bert_adam",
        "weight_decay": args.weight_decay_rate,
        "schedule": args.schedule,
        "schedule_options": (args.s_opt1, args.s_opt2, args.s_opt3),
        "warmup": args.warmup_proportion,
        "class_weights": "none",
        "evaluations_per_epoch": args.ckpt_frequency,
        "log_interval": args.PRINT_EVERY,
        "precision": _precision(args),
        "dropout": read_config(args.bert_config_file_S, required=()).get("hidden_dropout_prob", 0.1),
        "head_init": "random",
        # Beside its own encoder attar chooses others where these are not named.
        "token_dropout": 0.0,
        "keep": "best",
        "freeze": None,
    }


def _precision(args: argparse.Namespace) -> str:
    if args.fp16 and not torch.cuda.is_available():
        native = computes_in_bf16()
        MAIN.info(
            "--fp16 without a GPU: %s", "bf16 instead" if native else "fp32, this processor has no bf16"
        )
        return "bf16" if native else "fp32"
    return "fp16" if args.fp16 else "bf16" if args.bf16 else "fp32"


def _student(args: argparse.Namespace) -> dict[str, Any]:
    config = read_config(args.bert_config_file_S, required=())
    ours = {
        "layers": "num_hidden_layers",
        "hidden": "hidden_size",
        "heads": "num_attention_heads",
        "intermediate": "intermediate_size",
    }
    shape = {name: config[theirs] for name, theirs in ours.items() if theirs in config}
    return {**shape, "start": "random", "vocab_margin": "all"}


def _distill_settings(args: argparse.Namespace) -> dict[str, Any]:
    """The losses: the soft cross-entropy without T^2 and no labels, and the matches."""
    return {
        "temperature": args.temperature,
        "soft_loss": "ce",
        # An evaluation has no loss, but a recipe needs one.
        "soft_weight": 0.0 if args.no_logits and args.matches else 1.0,
        "hard_weight": 0.0,
        "matches": [{"preset": name, "weight": args.weight} for name in args.matches],
        "attention": _attention(args),
        "mask_padding": not args.no_inputs_mask,
        "match_scale": "textbrewer",
        "more_teachers": [str(path.resolve()) for path in args.teachers[1:]],
        "cache": _cache(args),
    }


def _attention(args: argparse.Namespace) -> AttentionForm:
    scores, total = args.output_att_score == "true", args.output_att_sum == "true"
    if total:
        return "scores_sum" if scores else "probs_sum"
    return "scores" if scores else "probs"


def _cache(args: argparse.Namespace) -> str:
    """What is cached of the teachers' outputs; matches need the teacher itself unless features are."""
    features = {one.feature for name in args.matches for one in PRESET_MATCHES[name]}
    if args.teacher_cached and features == {"hidden"} and not args.no_inputs_mask:
        return "features"
    return "logits" if args.teacher_cached or not features else "none"


def _not_expressible(args: argparse.Namespace) -> list[str]:
    """Settings of the command line that a recipe cannot express, in words."""
    notes = []
    if args.load_model_type == "all":
        notes.append(f"the model starts from {args.tuned_checkpoint_S}: attar export --classic reads it")
    if args.load_model_type == "none" and args.script == "trainer":
        notes.append(
            f"the model is {args.bert_config_file_S} with random weights: attar starts from an encoder"
        )
    if args.only_load_embedding:
        notes.append("only the embeddings are taken from the encoder")
    if args.script != "trainer" and args.teachers:
        notes.append(f"the first teacher is {args.teachers[0]}: attar run trains its own")
        if args.load_model_type == "bert":
            notes.append(f"the student starts from {args.init_checkpoint_S}")
    if args.script != "trainer" and read_config(args.bert_config_file_S, required=()).get(
        "num_hidden_layers"
    ):
        notes.append(f"the student is {args.bert_config_file_S}")
    if args.aux_task_name:
        notes.append(f"the train set of {args.aux_task_name} in {args.aux_data_dir} is added")
    if args.task_name == "caiye":
        notes.append("the other words of each text are added as pairs of the label other")
    return notes
