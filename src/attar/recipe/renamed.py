"""Keys and values of recipes that had other names once.

A recipe that says an old one is told the new one. The stamps of earlier runs were made from the old
ones, so ``with_old_names`` gives a stage's inputs as they were then: an upgrade redoes nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import Any

__all__ = ["RENAMED_KEYS", "RENAMED_VALUES", "with_old_names"]

RENAMED_KEYS: Mapping[str, str] = MappingProxyType(
    {
        "accumulate": "gradient_accumulation_steps",
        "clip": "max_grad_norm",
        "form": "format",
        "head": "head_init",
        "log_every": "log_interval",
        "mask_share": "mlm_probability",
        "reads": "pooling",
    }
)
"""Old key -> the key of today, in whatever section it stands."""
RENAMED_VALUES: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {"head_init": {"probe": "linear_probe"}, "pooling": {"mark": "entity_start"}}
)
"""Key of today -> its old values -> those of today."""

_OLD_KEYS = {new: old for old, new in RENAMED_KEYS.items()}
_OLD_VALUES = {key: {new: old for old, new in names.items()} for key, names in RENAMED_VALUES.items()}
_NEW_KEYS = ("ending",)  # of a source; earlier versions did not look at it
_FREE_TABLES = ("aliases", "columns", "constants", "query")  # their keys are the user's own


def with_old_names(inputs: Mapping[str, Any], without: Collection[str] = ()) -> dict[str, Any]:
    """A stage's inputs as the versions before the renaming wrote them.

    Args:
        inputs: Of a stage, as JSON.
        without: Keys of the top that those versions did not have.
    """
    return {key: value for key, value in _old(inputs).items() if key not in without}


def _old(value: Any) -> Any:  # noqa: ANN401 - JSON is any
    if isinstance(value, Mapping):
        return {
            _OLD_KEYS.get(key, key): _old_value(key, one)
            for key, one in value.items()
            if key not in _NEW_KEYS
        }
    return [_old(one) for one in value] if isinstance(value, list | tuple) else value


def _old_value(key: str, value: Any) -> Any:  # noqa: ANN401 - JSON is any
    if key in _FREE_TABLES:
        return value
    return _OLD_VALUES.get(key, {}).get(value, value) if isinstance(value, str) else _old(value)
