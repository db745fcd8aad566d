"""Rewrite what reference.md says of recipes, presets, limits and the command line, from the code itself.

    .venv/bin/python docs/make_reference.py

Keys, types, defaults and meanings come from the models of ``attar.recipe`` and the docstrings under their
fields, the options from the typer application, presets and limits from the tables that the code reads. A
key without a docstring stops the script. ``tests/architecture/test_architecture_docs.py`` runs it without
writing.
"""  # noqa: INP001 - a script, not a package

from __future__ import annotations

import inspect
import json
import re
import typing
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, get_type_hints

from typer.models import ArgumentInfo, OptionInfo

from attar.cli.app import app
from attar.distillation.matches import EQUAL_WIDTHS, PRESET_MATCHES, Match
from attar.recipe import load
from attar.recipe.base import meaning_of
from attar.recipe.load import FitRecipe, Recipe
from attar.serving.limits import CLASSIC_LIMITS, Limits
from attar.serving.uploads import FileLimits
from attar.task import BUILT_IN_TASKS

__all__ = ["command_line", "file_limits", "limits", "presets", "recipe_keys", "rewritten"]

REFERENCE = Path(__file__).with_name("reference.md")

_LEADS: Mapping[str, str] = {
    "": "At the top of the file, outside every table.",
    "task": 'Your own task, as a `[task]` table. A built-in one is a name: `task = "cosmetics"`; '
    "if it needs aliases, a table without labels that names it. "
    f"Built in are {', '.join(f'`{name}`' for name in BUILT_IN_TASKS)}.",
    "data": "`attar prepare`.",
    "data.sources": "One source. A path alone may stand instead of a table.",
    "data.sources.join": "More columns from another table.",
    "encode": "The input of every model of the run.",
    "pretrain": "`attar pretrain`: on texts without labels. The loop has the keys of `[train]`, with some "
    "other defaults; `class_weights`, `hard_loss`, `adjust_tau`, `focal_gamma`, `thresholds` and `head_init` "
    "mean nothing here, and `sampling` and `freeze` are refused.",
    "train": "`attar train`: the teacher.",
    "student": "The student's shape and start.",
    "distill": "`attar distill`: the student. The loop has the keys of `[train]`, with some other defaults.",
    "distill.unlabelled": "Reviews without labels. A list of sources alone may stand instead of the table.",
    "distill.augment": "Copies of the training examples in which the term stays a term; made once.",
    "distill.matches": "One comparison of layers. The name of a preset may stand instead of a table.",
    "finetune": "The same student trained on the labels alone, the baseline. Without this table it takes the "
    "settings of `[distill]`. The other keys of `[distill]` may stand here too and mean nothing: there is no "
    "teacher.",
    "export": "`attar export`: the gates.",
    "evaluate": "`attar evaluate`: how the report measures.",
    "gate": "`attar run` and `attar evaluate`: what the artifact must reach on the test split. A difference "
    "has a paired 95 % interval over whole reviews; beside these keys `export.max_f1_loss` and labels "
    "without examples are always looked at ([how](how-to/gate.md)).",
}


def recipe_keys() -> str:
    """A table of keys for each section of a recipe, as Markdown."""
    schema = Recipe.model_json_schema()
    parts = []
    for section in ("", *_sections(schema)):
        rows = ["| key | type | default | meaning |", "| --- | --- | --- | --- |"]
        model = getattr(load, _model_name(schema, section))
        for key, (one, required) in _keys(schema, section):
            meaning = meaning_of(model, key)
            if not meaning:
                raise SystemExit(f"docs/make_reference.py: {model.__name__}.{key} has no docstring")
            rows.append(f"| `{key}` | {_kind(one, schema)} | {_default(one, required)} | {meaning} |")
        parts.append("\n".join([f"### {_heading(schema, section)}\n", f"{_LEADS[section]}\n", *rows]))
    return "\n\n".join(parts)


def _heading(schema: Mapping[str, Any], section: str) -> str:
    if not section:
        return "Top of the file"
    outer, _, name = section.rpartition(".")
    is_list = _properties(schema, outer)["properties"][name].get("type") == "array"
    return f"`[[{section}]]`" if is_list else f"`[{section}]`"


def _sections(schema: Mapping[str, Any]) -> Iterator[str]:
    """Names of the tables, each before those within it (``data``, ``data.sources``)."""
    # Sources of transfer are those of data once more, and a finetuned student has no teacher.
    known = {"distill.transfer", "distill.unlabelled.sources", "pretrain.texts", "pretrain.matches"}
    known |= {f"finetune.{name}" for name in ("transfer", "unlabelled", "augment", "matches")}

    def within(prefix: str, model: Mapping[str, Any]) -> Iterator[str]:
        for name, one in model["properties"].items():
            found = _model_of(one)
            if found is not None and prefix + name not in known:
                yield prefix + name
                yield from within(f"{prefix}{name}.", schema["$defs"][found])

    yield from within("", schema)


def _model_name(schema: Mapping[str, Any], section: str) -> str:
    outer, _, name = section.rpartition(".")
    return (_model_of(_properties(schema, outer)["properties"][name]) or "") if section else "Recipe"


def _properties(schema: Mapping[str, Any], section: str) -> Mapping[str, Any]:
    """The model of a section, as JSON Schema."""
    return schema["$defs"][_model_name(schema, section)] if section else schema


def _model_of(one: Mapping[str, Any]) -> str | None:
    """Name of the model that a property is, or may be."""
    for kind in (one, *one.get("anyOf", ()), *one.get("allOf", ()), one.get("items", {})):
        if "$ref" in kind:
            return str(kind["$ref"]).rpartition("/")[2]
    return None


def _keys(schema: Mapping[str, Any], section: str) -> Iterator[tuple[str, tuple[dict[str, Any], bool]]]:
    """(key, (its schema, whether it is required)) of a section; the tables of the top are not its keys."""
    model = _properties(schema, section)
    for key, one in model["properties"].items():
        if section == "finetune" and key not in FitRecipe.model_fields:
            continue
        plain = any(kind.get("type") == "string" for kind in one.get("anyOf", ()))
        if section or _model_of(one) is None or plain:
            # The file's own name stands in for a missing one.
            yield key, (one, key in model.get("required", ()) and not (not section and key == "name"))


def _kind(one: Mapping[str, Any], schema: Mapping[str, Any]) -> str:
    match one:
        case {"anyOf": kinds}:
            kind = " or ".join(_kind(each, schema) for each in kinds if each.get("type") != "null")
        case {"$ref": _}:
            kind = "table"
        case {"enum": values}:
            kind = ", ".join(f"`{json.dumps(value)}`" for value in values)
        case {"type": "array", "items": {"enum": _} as items}:
            kind = f"list of {_kind(items, schema)}"
        case {"type": "array", "items": items}:
            name, _, bounds = _kind(items, schema).partition(" ")
            kind = f"list of {name}s {bounds}".rstrip()
        case {"type": "array", "prefixItems": items}:
            kind = f"list of {len(items)} {_kind(items[0], schema)}s"
        case {"type": "object", "additionalProperties": {"type": "string"}}:
            kind = "table of strings"
        case {"type": "object"}:
            kind = "table"
        case {"type": "string", "format": "path"}:
            kind = "path"
        case _:
            kind = f"{one['type']}{_bounds(one)}"
    return kind


def _bounds(one: Mapping[str, Any]) -> str:
    low, high = one.get("minimum"), one.get("maximum")
    if low is not None and high is not None:
        return f", {low:g} to {high:g}"
    if "exclusiveMinimum" in one:
        return f" > {one['exclusiveMinimum']:g}"
    return "" if low is None else f" >= {low:g}"


def _default(one: Mapping[str, Any], required: bool) -> str:
    if required:
        return "required"
    value = one.get("default")
    if value is None:
        return "not set"
    if isinstance(value, list):  # a table that only names a preset is written as that name
        value = [each["preset"] if isinstance(each, dict) else each for each in value]
    if isinstance(value, dict) and value:
        return "its own"
    return f"`{json.dumps(value, ensure_ascii=False)}`"


def command_line() -> str:
    """Every verb with its arguments and options, as Markdown."""
    root: Any = app.registered_callback
    parts = [f"### `attar`\n\n{app.info.help}\n\n{_options(root.callback)}"]
    verbs: list[Any] = app.registered_commands
    for verb in verbs:
        text = re.sub(r"(?<!\n)\n(?!\n)", " ", inspect.getdoc(verb.callback) or "")
        name = verb.name or verb.callback.__name__
        parts.append(f"### `attar {name}`\n\n{text}\n\n{_options(verb.callback)}\n\n{verb.epilog}")
    return "\n\n".join(parts)


def _options(verb: Callable[..., Any]) -> str:
    hints = get_type_hints(verb, include_extras=True)
    rows = ["| option | value | default | meaning |", "| --- | --- | --- | --- |"]
    for name, parameter in inspect.signature(verb).parameters.items():
        hint, info = _annotated(hints[name])
        # In an Annotated hint typer keeps the first flag in the place of the default.
        given = (info.default, *(info.param_decls or ()))
        flags = [flag for flag in given if isinstance(flag, str) and flag.startswith("-")]
        flag = info.metavar or name.upper() if isinstance(info, ArgumentInfo) else (flags or [f"--{name}"])[0]
        value = "" if isinstance(info, ArgumentInfo) or hint is bool else info.metavar or _value(hint)
        said = re.search(r"\s*\[default: ([^\]]*)\]", info.help or "")
        if parameter.default is inspect.Parameter.empty:
            default = "required"
        else:
            plain = "" if parameter.default in (None, False) else f"`{parameter.default}`"
            default = said[1] if said else plain
        meaning = (info.help or "").replace(said[0] if said else "\0", "")
        if typing.get_origin(hint) is list and isinstance(info, OptionInfo):
            meaning += " May be given several times."
        rows.append(f"| `{flag}` | {value} | {default} | {meaning} |")
    return "\n".join(rows)


def _annotated(hint: Any) -> tuple[Any, OptionInfo | ArgumentInfo]:  # noqa: ANN401 - a type is any
    """(type without None, what typer is told) of a verb's parameter, at whatever depth that stands."""
    if typing.get_origin(hint) is Annotated:
        inner, info = typing.get_args(hint)
        return next((kind for kind in typing.get_args(inner) if _is_optional(inner)), inner), info
    return _annotated(next(kind for kind in typing.get_args(hint) if kind is not type(None)))


def _is_optional(hint: Any) -> bool:  # noqa: ANN401 - as above
    return type(None) in typing.get_args(hint)


def _value(hint: Any) -> str:  # noqa: ANN401 - as above
    kind = typing.get_args(hint)[0] if typing.get_origin(hint) is list else hint
    return {Path: "path", int: "integer"}.get(kind, "text")


def presets() -> str:
    """The presets of ``distill.matches``, as a Markdown table."""
    rows = ["| preset | loss | layers | projected |", "| --- | --- | --- | --- |"]
    for name, matches in PRESET_MATCHES.items():
        layers = ", ".join(match.name.partition("@")[2] for match in matches)
        losses = ", ".join(dict.fromkeys(f"`{match.loss}`" for match in matches))
        rows.append(f"| `{name}` | {losses} | {layers} | {_projected(matches[0])} |")
    return "\n".join(rows)


def _projected(match: Match) -> str:
    if match.projection:
        return "always"
    return "if widths differ" if match.loss in EQUAL_WIDTHS else "never"


def limits() -> str:
    """What a service takes, with and without the original's routes, as a Markdown table."""
    plain, classic = asdict(Limits()), asdict(CLASSIC_LIMITS)
    meanings = dict(re.findall(r"^    (\w+): (.+)$", inspect.getdoc(Limits) or "", re.MULTILINE))
    rows = ["| limit | `attar serve` | `--classic` | meaning |", "| --- | --- | --- | --- |"]
    rows += [f"| `{name}` | {plain[name]:,} | {classic[name]:,} | {meanings[name]} |" for name in plain]
    return "\n".join(rows)


def file_limits() -> str:
    """What a service takes of uploaded files, as a Markdown table."""
    meanings = dict(re.findall(r"^    (\w+): (.+)$", inspect.getdoc(FileLimits) or "", re.MULTILINE))
    rows = ["| limit | value | meaning |", "| --- | --- | --- |"]
    rows += [f"| `{name}` | {value:,} | {meanings[name]} |" for name, value in asdict(FileLimits()).items()]
    return "\n".join(rows)


def rewritten(text: str) -> str:
    """``reference.md`` with what stands between its markers generated again.

    Raises:
        SystemExit: A marker is missing.
    """
    for name, make in (
        ("presets", presets),
        ("limits", limits),
        ("file limits", file_limits),
        ("recipe keys", recipe_keys),
        ("command line", command_line),
    ):
        start, end = f"<!-- generated: {name} -->\n", f"\n<!-- end of {name} -->"
        before, found_start, rest = text.partition(start)
        _, found_end, after = rest.partition(end)
        if not found_start or not found_end:
            raise SystemExit(f"{REFERENCE}: the markers of {name!r} are missing")
        text = f"{before}{start}\n{make()}\n{end}{after}"
    return text


if __name__ == "__main__":
    REFERENCE.write_text(rewritten(REFERENCE.read_text("utf-8")), "utf-8")
