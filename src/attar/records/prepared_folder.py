"""A prepared folder, read back: where training and evaluation take their examples from."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from attar.errors import DataError, RecipeError
from attar.io.files import file_hash, read_json
from attar.task import Example

__all__ = ["check_labels", "load_manifest", "load_split"]

_AGAIN = "run attar prepare again"


def load_manifest(folder: Path) -> dict[str, Any]:
    """Read the manifest of a prepared folder.

    Raises:
        DataError: The folder is missing or not a prepared one.
    """
    path = folder / "manifest.json"
    try:
        manifest = read_json(path)
    except OSError as error:
        state = "holds no manifest.json" if folder.is_dir() else "no such folder"
        raise DataError(
            f"{folder}: {state}, so it is not a prepared folder; make one with attar prepare"
        ) from error
    except ValueError as error:
        raise DataError(f"{path}: not valid JSON; {_AGAIN}") from error
    if not isinstance(manifest, dict) or not {"task", "files", "labels"} <= manifest.keys():
        raise DataError(f"{path}: not the manifest of a prepared folder; make one with attar prepare")
    return manifest


def check_labels(folder: Path, labels: Sequence[str], whose: str = "the recipe's task") -> None:
    """Check that a folder was prepared for these labels, in this order.

    Args:
        folder: What ``attar prepare`` wrote.
        labels: Expected.
        whose: Who expects them, for the message.

    Raises:
        DataError: The folder is missing or not a prepared one.
        RecipeError: Its labels are others.
    """
    prepared = load_manifest(folder)["task"]["labels"]
    if prepared != list(labels):
        raise RecipeError(
            f"{folder} was prepared for the labels {', '.join(prepared)}; {whose} has {', '.join(labels)}: "
            "prepare the data with the same recipe"
        )


def load_split(folder: Path, name: Literal["train", "dev", "test"]) -> list[Example]:
    """Read the examples of one split.

    Args:
        folder: What ``attar prepare`` wrote.
        name: Which split.

    Returns:
        The examples, in the order of the file.

    Raises:
        DataError: The folder is not a prepared one, the file is missing, has changed since it was
            written, or is empty.
    """
    expected = load_manifest(folder)["files"].get(f"{name}.json")
    path = folder / f"{name}.json"
    if not path.is_file():
        raise DataError(f"{path}: missing from the prepared folder; {_AGAIN}")
    if file_hash(path) != expected:
        raise DataError(
            f"{path}: not the file that manifest.json describes (its SHA-256 differs); "
            f"{_AGAIN}, and change the sources, not the prepared files"
        )
    examples = [_example(row) for row in read_json(path)]
    if not examples:
        raise DataError(f"{path}: holds no examples; {_AGAIN} with more reviews or another data.{name} share")
    return examples


def _example(row: list[Any]) -> Example:
    text, term, start, end, label, channel, wordtype, *weight = row
    meta = {key: value for key, value in (("channel", channel), ("wordtype", wordtype)) if value}
    counts = float(weight[0]) if weight else 1.0
    if start is None:
        return Example(text, 0, 0, label, meta, second=term, weight=counts)
    return Example(text, start, end, label, meta, weight=counts)
