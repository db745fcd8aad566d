"""``--set stage.key=value``: the value as TOML or a bare word, its paths from the working folder."""

from __future__ import annotations

import logging
import tomllib
from pathlib import Path
from typing import Any

from attar.errors import RecipeError
from attar.recipe.base import expand_variables

__all__ = ["PATH_KEYS", "from_prompt", "parse_override"]

_LOG = logging.getLogger(__name__)
_SOURCES = ("data.sources", "distill.transfer", "distill.unlabelled.sources", "pretrain.texts")
_SHORT = ("distill.unlabelled",)  # a list of sources alone may stand for the table
# Keys whose values are paths; a test compares them with the sections' fields.
PATH_KEYS = frozenset(
    [f"{source}{part}" for source in _SOURCES for part in ("", ".path", ".join.path")]
    + ["distill.more_teachers", "distill.unlabelled.terms", "student.from_checkpoint"]
)
_NAMES = {"distill.more_teachers": ("linear",)}


def parse_override(text: str) -> tuple[list[str], Any]:
    """The keys and the value of an override.

    Raises:
        RecipeError: It is no ``stage.key=value``.
    """
    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        raise RecipeError(f"--set {text!r}: expected stage.key=value, as in distill.temperature=4")
    try:
        parsed = tomllib.loads(f"value = {value.strip()}")["value"]
    except tomllib.TOMLDecodeError:
        parsed = value.strip()
    return key.strip().split("."), parsed


def from_prompt(key: str, value: Any, folder: Path) -> Any:  # noqa: ANN401 - whatever TOML holds
    """A value given at the prompt, with its relative paths starting from the working folder.

    A path that is only in the recipe's folder is still found there, which a warning says.

    Args:
        key: Dotted.
        value: As TOML gives it.
        folder: The recipe's.
    """
    if isinstance(value, dict):
        return {name: from_prompt(f"{key}.{name}", each, folder) for name, each in value.items()}
    if isinstance(value, list):
        # A list of terms is no list of paths.
        return value if key.endswith(".terms") else [from_prompt(key, each, folder) for each in value]
    is_path = key in PATH_KEYS or key in _SHORT
    if not is_path or not isinstance(value, str) or value in _NAMES.get(key, ()):
        return value
    whole = expand_variables(value)
    if "://" in whole or Path(whole).is_absolute():
        return value
    file = whole if Path(whole).exists() else whole.partition("#")[0]
    if not Path(file).exists() and (folder / file).exists():
        _LOG.warning(
            "--set %s: %s is not in the working folder, so the one in the recipe's folder is taken; paths at "
            "the prompt start from the working folder: write %s",
            key,
            value,
            folder / whole,
        )
        return value
    return str(Path.cwd() / value)
