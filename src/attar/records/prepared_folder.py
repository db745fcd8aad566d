"""A prepared folder and its rows: what ``attar prepare`` writes and all later stages read.

A file of rows is a JSON list, as the original system had it too. Seven columns ``[text, term, start,
end, label, channel, wordtype]``, an eighth with the row's weight in training where that is not 1, or
three ``[text, term, label]`` whose offsets are found later if the term occurs once.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

from attar.errors import DataError, RecipeError
from attar.io.encodings import Encoding
from attar.io.files import atomic_write, file_hash, read_json
from attar.io.json_list import list_items
from attar.io.sealed import check_seal, read_card_file
from attar.io.tables.rows import as_label, as_meta, as_offset
from attar.records.record import Record, Rejection
from attar.task import Example

__all__ = [
    "check_labels",
    "check_trainable",
    "example_row",
    "load_manifest",
    "load_split",
    "numbered_rows",
    "read_rows",
    "write_rows",
]

_AGAIN = "run attar prepare again"
_EXPECTED = "expected [text, term, start, end, label, channel, wordtype] or [text, term, label]"


def load_manifest(folder: Path) -> dict[str, Any]:
    """Read the manifest of a prepared folder.

    Raises:
        DataError: The folder is missing or not a prepared one.
    """
    path = folder / "manifest.json"
    try:
        manifest = read_card_file(path)
        check_seal(manifest)
    except OSError as error:
        state = "holds no manifest.json" if folder.is_dir() else "no such folder"
        raise DataError(
            f"{folder}: {state}, so it is not a prepared folder; make one with attar prepare"
        ) from error
    except ValueError as error:
        raise DataError(f"{path}: not valid JSON, or damaged ({error}); {_AGAIN}") from error
    task, files, labels = (manifest.get(name) for name in ("task", "files", "labels"))
    whole = isinstance(task, dict) and isinstance(files, dict) and isinstance(labels, dict)
    if not whole or not isinstance(manifest["task"].get("labels"), list):
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


def check_trainable(folder: Path) -> None:
    """Check that the training examples of a folder have two labels or more.

    Raises:
        DataError: They all have one, or the folder is missing or not a prepared one.
    """
    counts = load_manifest(folder)["labels"].get("train", {})
    there = [label for label, count in counts.items() if count]
    if len(there) == 1:
        raise DataError(
            f"{folder}: all {counts[there[0]]:,} training examples have the label {there[0]}; a model needs "
            "two or more: see whether a filter or a mapping of labels went wrong, and run attar prepare again"
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
    try:
        examples = [_example(row) for row in read_json(path)]
    except (OSError, TypeError, ValueError) as error:
        raise DataError(f"{path}: not the rows that attar prepare writes ({error}); {_AGAIN}") from error
    if not examples:
        raise DataError(f"{path}: holds no examples; {_AGAIN} with more reviews or another data.{name} share")
    return examples


def read_rows(path: Path, encoding: Encoding | None = None) -> Iterator[Record | Rejection]:
    """Read a JSON list of rows; a row in another format is rejected.

    Yields:
        One Record or Rejection a row; ``where`` is as in ``numbered_rows``.

    Raises:
        DataError: The file cannot be read, is not of its encoding or not a JSON list.
    """
    for where, row in numbered_rows(path, encoding):
        yield _read_row(row, where)


def numbered_rows(path: Path, encoding: Encoding | None = None) -> Iterator[tuple[str, object]]:
    """The items of a JSON list of rows as they are, each with its place.

    Yields:
        (``file:line``, row); where the whole list is on one line (``file[index]``, row), the index
        from 0.

    Raises:
        DataError: The file cannot be read, is not of its encoding or not a JSON list.
    """
    items = list_items(path, "rows", _EXPECTED, encoding)
    first = list(itertools.islice(items, 2))
    # With one row to a line, the second is not on the first line.
    on_one_line = bool(first) and first[-1][0] == 1
    for index, (line, row) in enumerate(itertools.chain(first, items)):
        yield (f"{path}[{index}]" if on_one_line else f"{path}:{line}"), row


def write_rows(path: Path, examples: Iterable[Example]) -> None:
    """Write examples as seven-column rows, one a line, whole or not at all.

    Of the metadata only channel and wordtype have a column; the rest is dropped.
    """
    with atomic_write(path) as draft, draft.open("w", encoding="utf-8", newline="\n") as stream:
        comma = ""
        stream.write("[")
        for example in examples:
            stream.write(f"{comma}\n{json.dumps(example_row(example), ensure_ascii=False)}")
            comma = ","
        stream.write("\n]\n")


def example_row(example: Example) -> list[object]:
    """The seven columns of an example; an eighth with its weight where that is not 1.

    Of a sentence pair the term is the second sentence, without offsets.
    """
    channel, wordtype = example.meta.get("channel", ""), example.meta.get("wordtype", "")
    weight = [] if example.weight == 1 else [example.weight]
    pair = (example.second, None, None) if example.second else (example.term, example.start, example.end)
    return [example.text, *pair, example.label, channel, wordtype, *weight]


def _example(row: list[Any]) -> Example:
    text, term, start, end, label, channel, wordtype, *weight = row
    meta = {key: value for key, value in (("channel", channel), ("wordtype", wordtype)) if value}
    counts = float(weight[0]) if weight else 1.0
    second = term if start is None else ""
    return Example(text, start or 0, end or 0, label, meta, second, counts)


def _read_row(row: object, where: str) -> Record | Rejection:
    if not isinstance(row, list) or len(row) not in (3, 7, 8):
        found = f"a list of {len(row)}" if isinstance(row, list) else f"a {type(row).__name__}"
        return Rejection("bad_row", f"found {found}; {_EXPECTED}", where, [row])
    weight = row[7] if len(row) == 8 else 1.0
    text, term, *offsets, label, channel, wordtype = row[:7] if len(row) > 3 else [*row, "", ""]
    if not isinstance(text, str) or not isinstance(term, str):
        return Rejection("bad_row", f"text and term must be strings; {_EXPECTED}", where, row)
    if isinstance(weight, bool) or not isinstance(weight, int | float) or not 0 < weight <= 1:
        return Rejection(
            "bad_row", "the eighth column, a weight, is no number above 0 and at most 1", where, row
        )
    try:
        start, end = map(as_offset, offsets or (None, None))
    except ValueError as error:
        return Rejection("bad_offsets", str(error), where, row)
    meta = as_meta({"channel": channel, "wordtype": wordtype})
    return Record(text, term, start, end, as_label(label), meta, where, weight=float(weight))
