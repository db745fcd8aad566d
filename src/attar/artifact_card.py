"""What ``attar.json`` of an artifact may hold: types, ranges and names, checked key by key.

By hand: to import pydantic would add a third to the time in which a service is up.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from typing import Any, Literal, get_args

from attar.io.sealed import SEAL
from attar.suggest import did_you_mean
from attar.task import InputStyle, Metric
from attar.text.normalise import Step

__all__ = ["MEMBERS", "Kind", "check_card", "hashed_files"]

Kind = Literal["onnx", "linear", "cascade"]
MEMBERS = ("1", "2", "3")
"""Folders of a cascade's members, in turn; the last may be missing."""

_FILES: Mapping[str, tuple[str, ...]] = {
    "onnx": ("model.onnx", "tokenizer.json", "README.md", "checks.json"),
    "linear": ("linear.safetensors", "ngrams.json", "README.md", "checks.json"),
    "cascade": ("README.md", *(f"{member}/attar.json" for member in MEMBERS)),
}
_LAST_MAY_BE_MISSING = {"onnx": ("checks.json",), "linear": (), "cascade": ("3/attar.json",)}
# An artifact of an older attar has no checks.json.

_Check = Callable[[str, Any], None]

_MAX_TEXT = 1_000
_MAX_ITEMS = 100_000
_MAX_LABELS = 1_000
_MAX_CHARS = 1_000_000  # of a window
_TEMPERATURES = (0.01, 100.0)  # export fits one within [0.05, 20]
_MAX_TOKENS = (8, 65_536)
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")
_SHA256 = re.compile("[0-9a-f]{64}")


def hashed_files(kind: Kind) -> tuple[str, ...]:
    """All files whose hashes are in an artifact's attar.json; some may be missing."""
    return _FILES[kind]


def check_card(card: Mapping[str, Any]) -> None:
    """Check the content of an artifact's attar.json, of this version or an earlier one.

    Raises:
        ValueError: A key is missing, unknown, or has a value that attar never writes; the message names
            it.
    """
    kind = card.get("kind", "onnx")
    _one_of(get_args(Kind))("kind", kind)
    optional = ("kind", "layers", "products", "limits", "verdict", SEAL)
    _object({**_CARD, **_OF_KIND[kind]}, optional)("", card)
    labels, aliases = card["task"]["labels"], card["task"].get("aliases", {})
    if len(set(labels)) < len(labels):
        raise ValueError("task.labels: the same label twice")
    if unknown := sorted(set(aliases.values()) - set(labels)):
        raise ValueError(f"task.aliases: {_shown(unknown[0])} is none of task.labels")
    limit, longest = card.get("limits", {}).get("max_tokens"), card["input"].get("max_tokens")
    if limit not in (None, longest):
        raise ValueError(f"limits.max_tokens is {limit}, input.max_tokens {longest}; expected the same")
    if kind == "cascade":
        given = len(card["cascade"]["thresholds"])
        wanted = sum(name.endswith("/attar.json") for name in card["files"]) - 1
        if given != wanted:
            raise ValueError(f"cascade.thresholds: {given} for {wanted + 1} members; expected {wanted}")


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _wrong(where: str, expected: str, value: object) -> ValueError:
    return ValueError(f"{where or 'the card'}: expected {expected}, found {_shown(value)}")


def _text(where: str, value: Any) -> None:  # noqa: ANN401 - JSON is any
    if not isinstance(value, str) or len(value) > _MAX_TEXT or _UNPRINTABLE.search(value):
        raise _wrong(where, f"printable text of at most {_MAX_TEXT} characters", value)


def _hash(where: str, value: Any) -> None:  # noqa: ANN401
    if not isinstance(value, str) or not _SHA256.fullmatch(value):
        raise _wrong(where, "a SHA-256 in hex", value)


def _flag(where: str, value: Any) -> None:  # noqa: ANN401
    if not isinstance(value, bool):
        raise _wrong(where, "true or false", value)


def _any(where: str, value: Any) -> None:  # noqa: ANN401
    """Provenance and figures: shown, never acted upon."""


def _whole(low: int, high: int, *, optional: bool = False) -> _Check:
    def check(where: str, value: Any) -> None:  # noqa: ANN401
        if optional and value is None:
            return
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise _wrong(where, f"a whole number from {low:,} to {high:,}", value)

    return check


def _number(low: float, high: float) -> _Check:
    def check(where: str, value: Any) -> None:  # noqa: ANN401
        if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
            raise _wrong(where, f"a number from {low:g} to {high:g}", value)

    return check


def _one_of(choices: Collection[str]) -> _Check:
    def check(where: str, value: Any) -> None:  # noqa: ANN401
        if not isinstance(value, str) or value not in choices:
            raise _wrong(where, f"one of {', '.join(choices)}", value)

    return check


def _list(item: _Check, least: int, most: int) -> _Check:
    def check(where: str, value: Any) -> None:  # noqa: ANN401
        if not isinstance(value, list) or not least <= len(value) <= most:
            raise _wrong(where, f"a list of {least} to {most:,}", value)
        for number, one in enumerate(value):
            item(f"{where}[{number}]", one)

    return check


def _map(item: _Check) -> _Check:
    def check(where: str, value: Any) -> None:  # noqa: ANN401
        if not isinstance(value, dict) or len(value) > _MAX_ITEMS:
            raise _wrong(where, f"an object of at most {_MAX_ITEMS:,} keys", value)
        for key, one in value.items():
            _text(f"a key of {where}", key)
            item(f"{where}.{key}", one)

    return check


def _object(fields: Mapping[str, _Check], optional: Collection[str] = ()) -> _Check:
    def check(where: str, value: Any) -> None:  # noqa: ANN401
        if not isinstance(value, dict):
            raise _wrong(where, "an object", value)
        dot = f"{where}." if where else ""
        for key in value:
            if key not in fields:
                hint = did_you_mean(key, fields) if len(key) < _MAX_TEXT else ""
                raise ValueError(f"unknown key {dot}{_shown(key)[1:-1]}{hint}")
        if missing := [f"{dot}{key}" for key in fields if key not in value and key not in optional]:
            raise ValueError(f"{', '.join(missing)} missing")
        for key, one in value.items():
            fields[key](f"{dot}{key}", one)

    return check


_TASK: Mapping[str, _Check] = {
    "name": _text,
    "labels": _list(_text, 2, _MAX_LABELS),
    "style": _one_of(get_args(InputStyle)),
    "window_chars": _whole(1, _MAX_CHARS, optional=True),
    "metric": _one_of(get_args(Metric)),
    "aliases": _map(_text),
}
_INPUT: Mapping[str, _Check] = {
    "style": _one_of(get_args(InputStyle)),
    "max_tokens": _whole(*_MAX_TOKENS),
    "window_chars": _whole(1, _MAX_CHARS, optional=True),
    "token_types": _flag,
    "reads": _one_of(("cls", "mark")),
    "normalise": _list(_one_of(get_args(Step)), 0, 10),
}
_CONDITION: Mapping[str, _Check] = {
    "name": _text,
    "status": _one_of(("pass", "warn", "refuse")),
    "said": _text,
    "advice": _text,
    "figures": _map(_any),
}
_VERDICT: Mapping[str, _Check] = {
    "status": _one_of(("pass", "warn", "refuse")),
    "headline": _text,
    "conditions": _list(_object(_CONDITION, optional=("advice", "figures")), 0, 100),
}
_CASCADE: Mapping[str, _Check] = {
    "thresholds": _list(_number(0, 1), 1, 2),
    "bound": _text,
    "figures": _map(_any),
}
_CARD: Mapping[str, _Check] = {
    "format": _text,
    "kind": _one_of(get_args(Kind)),
    "verdict": _object(_VERDICT, optional=("headline",)),
    "task": _object(_TASK, optional=("style", "window_chars", "metric", "aliases")),
    "precision": _one_of(("int8", "mixed", "fp32")),
    "layers": _map(_text),
    "products": _number(0, 1_000),
    "temperature": _number(*_TEMPERATURES),
    "limits": _object({"max_tokens": _whole(*_MAX_TOKENS)}),
    "scores": _map(_any),
    "parity": _map(_any),
    "calibration": _map(_any),
    "notes": _map(_any),
    "versions": _map(_text),
    SEAL: _hash,
}
_NGRAM_INPUT: Mapping[str, _Check] = {
    "style": _one_of(get_args(InputStyle)),
    "window_chars": _whole(1, _MAX_CHARS, optional=True),
}
_INPUTS: Mapping[str, _Check] = {
    "onnx": _object(_INPUT, optional=("window_chars", "token_types", "reads", "normalise")),
    "linear": _object(_NGRAM_INPUT),
    "cascade": _object({"style": _one_of(get_args(InputStyle))}),
}
_OF_KIND: Mapping[str, Mapping[str, _Check]] = {
    kind: {
        "input": _INPUTS[kind],
        "files": _object(dict.fromkeys(_FILES[kind], _hash), optional=_LAST_MAY_BE_MISSING[kind]),
    }
    | ({"cascade": _object(_CASCADE)} if kind == "cascade" else {})
    for kind in get_args(Kind)
}
