"""Rewrites attar's messages about recipe keys for a user of the original's command lines.

A key becomes its flag, or the file that holds the setting.
"""

from __future__ import annotations

import argparse
import logging
import re
from collections.abc import Mapping

from pydantic import ValidationError

__all__ = ["InFlags", "in_flags", "wrong_values"]

# Recipe key -> flag, and the name that argparse gives it.
_FLAGS: Mapping[str, str] = {
    "task": "task_name", "seed": "random_seed", "max_tokens": "max_seq_length",
    "epochs": "num_train_epochs", "batch_size": "train_batch_size",
    "gradient_accumulation_steps": "gradient_accumulation_steps", "learning_rate": "learning_rate",
    "weight_decay": "weight_decay_rate", "schedule": "schedule", "warmup": "warmup_proportion",
    "evaluations_per_epoch": "ckpt_frequency", "log_interval": "PRINT_EVERY", "temperature": "temperature",
    "matches": "matches", "weight": "weight", "encoder": "init_checkpoint_S",
    "more_teachers": "tuned_checkpoint_Ts",
}  # fmt: skip
_OF_CONFIG: Mapping[str, str] = {
    "dropout": "hidden_dropout_prob", "layers": "num_hidden_layers", "hidden": "hidden_size",
    "heads": "num_attention_heads", "intermediate": "intermediate_size",
}  # fmt: skip
# Whole clauses first, then single keys.
_CLAUSES: Mapping[str, str] = {
    r"set dropout = 0, start the head from a probe \(head_init = 'linear_probe'\), or train longer": (
        "set hidden_dropout_prob to 0 in --bert_config_file_S, or raise --num_train_epochs"
    ),
    r"\bLower learning_rate": "Lower --learning_rate",
    r"learning_rate or set precision = 'fp32'": "--learning_rate, or leave out --fp16 and --bf16",
    r"precision = 'fp16' needs a GPU; .*": "--fp16 needs a GPU",
    r"distill\.cache = 'features'": "--teacher_cached",
    r"set cache = 'logits'": "leave out --teacher_cached",
    r'(?:; choose among them)?, or matches = "auto"': "",
    r"Leave matches out to learn from logits alone; or name first a teacher trained with this \[encode\]": (
        "Leave --matches out, or name first a teacher with the student's vocabulary"
    ),
    r"; give it projection = \([^)]*\), or choose": "; choose",
    r"max_tokens = (\d+): ": r"--max_seq_length \1: ",
    r"(?:distill\.)?\bmatches: ": "--matches: ",
}
_LONG_KEYS = "|".join(key for key in _FLAGS if "_" in key)  # a short one may be an ordinary word
_KEY = re.compile(rf"(?<![\w./-])(?:train\.|distill\.|encode\.)?({_LONG_KEYS})(?![\w-])")
_BOUNDS: Mapping[str, tuple[str, str]] = {
    "greater_than": ("gt", "must be above {}"),
    "greater_than_equal": ("ge", "must be {} or more"),
    "less_than_equal": ("le", "must be {} or less"),
}


def in_flags(message: str) -> str:
    """A message with the flags of a command line instead of a recipe's keys."""
    for pattern, words in _CLAUSES.items():
        message = re.sub(pattern, words, message)
    return _KEY.sub(lambda found: f"--{_FLAGS[found[1]]}", message)


class InFlags(logging.Filter):
    """Rewrites log lines of attar with ``in_flags``."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Rewrite the record; every record passes."""
        if record.name.startswith("attar") or record.levelno >= logging.ERROR:
            record.msg, record.args = in_flags(record.getMessage()), ()
        return True


def wrong_values(error: ValidationError, args: argparse.Namespace) -> str:
    """The values that are not valid in a recipe, by their flag or key of config.json."""
    return "; ".join(dict.fromkeys(_wrong_value(dict(problem), args) for problem in error.errors()))


def _wrong_value(problem: Mapping[str, object], args: argparse.Namespace) -> str:
    place = [str(part) for part in problem["loc"]]  # type: ignore[attr-defined]
    key = next((part for part in reversed(place) if not part.isdecimal()), "")
    context = problem.get("ctx") or {}
    bound, words = _BOUNDS.get(str(problem["type"]), ("", ""))
    what = words.format(context[bound]) if bound else str(problem["msg"]).removeprefix("Value error, ")  # type: ignore[index]
    if key in _OF_CONFIG:
        return f"{args.bert_config_file_S}: {_OF_CONFIG[key]} {what}, it is {problem['input']}"
    if key in _FLAGS:
        return f"--{_FLAGS[key]} {getattr(args, _FLAGS[key])}: {what}"
    return in_flags(what)
