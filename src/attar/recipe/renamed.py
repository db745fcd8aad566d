"""Keys and values of recipes that had other names once.

A recipe with old names is still read, with a warning that says the new ones. The stamps of earlier runs
were made from the old ones, so ``with_old_names`` gives a stage's inputs as they were then: an upgrade
redoes nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from attar.errors import RecipeError

__all__ = ["RENAMED_KEYS", "RENAMED_VALUES", "new_name", "with_new_names", "with_old_names"]

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
_FREE_TABLES = ("aliases", "columns", "constants", "min_recall", "query")  # their keys are the user's own


def new_name(place: Sequence[str], value: Any, known: Collection[str]) -> tuple[list[str], Any]:  # noqa: ANN401 - TOML is any
    """The key and value of today for a place in a recipe; both as they are where nothing was renamed.

    Args:
        place: Section, subsections and key; numbers of list items are passed over.
        value: What stands there.
        known: Every key of today, with dots.
    """
    key, section = place[-1], [part for part in place[:-1] if not part.isdecimal()]
    # A list of sources may stand in place of the table that holds it.
    tables = section, [*section, "sources"]

    def is_known(name: str) -> bool:
        return any(".".join([*table, name]) in known for table in tables)

    if not is_known(key) and is_known(RENAMED_KEYS.get(key, key)):
        key = RENAMED_KEYS[key]
    if isinstance(value, str):
        value = RENAMED_VALUES.get(key, {}).get(value, value)
    return [*place[:-1], key], value


def with_new_names(
    tree: Mapping[str, Any], known: Collection[str], place: Sequence[str] = ()
) -> tuple[dict[str, Any], list[str]]:
    """A recipe's tables with the names of today, and what was renamed, as ``train.head is now ...``.

    Raises:
        RecipeError: A table has both the old and the new name of a key.
    """
    renamed, told = dict[str, Any](), list[str]()
    for key, value in tree.items():
        at, new = new_name([*place, key], value, known)
        if at[-1] != key and at[-1] in tree:
            raise RecipeError(
                f"{'.'.join([*place, key])!r} is now {'.'.join(at)!r}, which is set too; remove one"
            )
        if at[-1] != key:
            told.append(f"{'.'.join([*place, key])} is now {'.'.join(at)}")
        elif new != value:
            told.append(f"{'.'.join(at)} = {value!r} is now {new!r}")
        if key not in _FREE_TABLES:
            new = _inner_names(new, known, at, told)
        renamed[at[-1]] = new
    return renamed, told


def _inner_names(value: Any, known: Collection[str], place: Sequence[str], told: list[str]) -> Any:  # noqa: ANN401 - TOML is any
    if isinstance(value, Mapping):
        value, more = with_new_names(value, known, place)
        told.extend(more)
    elif isinstance(value, list):
        return [_inner_names(one, known, [*place, str(number)], told) for number, one in enumerate(value)]
    return value


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
