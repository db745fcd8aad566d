"""``attar prepare``: sources to a prepared folder, the form in which all later stages read data.

``train.json``, ``dev.json``, ``test.json`` hold seven-column rows, ``rejected.jsonl`` every row
that is not used and why, ``manifest.json`` what they were made of. Each file is written whole or
not at all, the manifest last: a folder without a fitting manifest is not a prepared one.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from attar import __version__
from attar.errors import DataError
from attar.files import file_hash, folder_hashes, whole_file, write_json
from attar.recipe import DataRecipe
from attar.records.audit import Rejection, audit
from attar.records.record import Record
from attar.records.rows import write_rows
from attar.records.sources import read_source, source_files
from attar.records.split import SPLITS, split
from attar.task import Example, Task

__all__ = ["prepare"]


def prepare(sources: Sequence[Path], task: Task, data: DataRecipe, seed: int, out: Path) -> dict[str, Any]:
    """Read, audit, split and write.

    Args:
        sources: Files or folders; see ``attar.records.sources``. They, not ``data.sources``, are
            read.
        task: Whose labels and style decide what is accepted.
        data: Shares, near-duplicate threshold, train-only channels, column names.
        seed: Decides the split.
        out: Folder to write; made if it is not there.

    Returns:
        The manifest, as written.

    Raises:
        DataError: A source cannot be read, no row can be used, or a split would be empty. Then
            nothing but rejected.jsonl is written.
    """
    if not sources:
        raise DataError("data.sources is empty; name at least one file or folder of labelled reviews")
    if out.exists() and not out.is_dir():
        raise DataError(f"{out}: a file stands where the prepared folder should go; choose another name")
    examples: list[Example] = []
    rejections: list[Rejection] = []
    for outcome in audit(_read_all(sources, data.columns), task):
        if isinstance(outcome, Rejection):
            rejections.append(outcome)
        else:
            examples.append(outcome)
    _write_rejected(out / "rejected.jsonl", rejections)
    if not examples:
        raise DataError(_nothing_left(sources, rejections, out))
    splits = split(examples, data, seed)
    for name in SPLITS:
        write_rows(out / f"{name}.json", splits[name])
    manifest: dict[str, Any] = {
        "attar": __version__,
        "task": task.to_json(),
        "seed": seed,
        "settings": data.model_dump(mode="json", exclude={"sources"}),
        "sources": [
            {"path": str(file), "sha256": file_hash(file)} for path in sources for file in source_files(path)
        ],
        "num_examples": len(examples),
        "num_rejected": len(rejections),
        "labels": {name: _label_counts(splits[name], task) for name in SPLITS},
        "channels": {name: _channel_counts(splits[name]) for name in SPLITS},
        "reasons": dict(Counter(rejection.reason for rejection in rejections).most_common()),
        "files": folder_hashes(out, (*(f"{name}.json" for name in SPLITS), "rejected.jsonl")),
    }
    write_json(out / "manifest.json", manifest)
    return manifest


def _read_all(sources: Sequence[Path], columns: Mapping[str, str]) -> Iterator[Record | Rejection]:
    for path in sources:
        yield from read_source(path, columns)


def _write_rejected(path: Path, rejections: Sequence[Rejection]) -> None:
    # Broken surrogates, a reason to reject a row, are written as the JSON escapes that they were.
    with (
        whole_file(path) as draft,
        draft.open("w", encoding="utf-8", errors="backslashreplace", newline="\n") as stream,
    ):
        for rejection in rejections:
            line = {
                "reason": rejection.reason,
                "message": rejection.message,
                "where": rejection.where,
                "row": rejection.row,
            }
            stream.write(json.dumps(line, ensure_ascii=False, default=str) + "\n")


def _nothing_left(sources: Sequence[Path], rejections: Sequence[Rejection], out: Path) -> str:
    names = ", ".join(map(str, sources))
    reasons = Counter(rejection.reason for rejection in rejections).most_common(3)
    first = next(rejection for rejection in rejections if rejection.reason == reasons[0][0])
    counted = ", ".join(f"{reason} ({count})" for reason, count in reasons)
    return (
        f"{names}: none of {len(rejections)} rows can be used: {counted}. "
        f"First, {first.where}: {first.message}. All of them: {out / 'rejected.jsonl'}"
    )


def _label_counts(examples: Sequence[Example], task: Task) -> dict[str, int]:
    counts = Counter(example.label for example in examples)
    return {label: counts[label] for label in task.labels}


def _channel_counts(examples: Sequence[Example]) -> dict[str, int]:
    counts = Counter(example.meta.get("channel", "") for example in examples)
    return dict(sorted(counts.items()))
