"""The data folders: train, dev and test in the original's forms, audited, the files' own split kept.

``folder -> SourceRecipe -> records -> audit -> examples``; what is not used lands in
``output_dir/rejected.jsonl`` with its reason.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from attar.errors import DataError
from attar.files import whole_file
from attar.recipe import DataRecipe, SourceRecipe
from attar.records.audit import audit
from attar.records.lines import numbered_lines
from attar.records.outcomes import Accepted, Rejection
from attar.records.record import Record
from attar.records.repair import find_all
from attar.records.sources import read_source
from attar.task import Example
from original.log import DATA
from original.tasks import ClassicTask, Split
from original.words import read_word_pairs

__all__ = ["Examples", "load_examples", "overlap", "source_of", "write_rejected"]


@dataclass(frozen=True, slots=True)
class Examples:
    """One file of a data folder.

    Attributes:
        examples: What is used, in the order of the file.
        rejected: What is not.
        path: The file.
    """

    examples: list[Example]
    rejected: list[Rejection]
    path: Path


def source_of(folder: Path, task: ClassicTask, stem: str, split: Split) -> SourceRecipe:
    """The file ``stem`` of a data folder, and how it is read.

    Raises:
        DataError: There is no such file, or a TSV has too few columns.
    """
    endings = {"rows": (".json", ".txt"), "pairs": (".txt",), "tsv": (".tsv",)}[task.form]
    path = next((p for p in (folder / f"{stem}{e}" for e in endings) if p.is_file()), None)
    if path is None:
        there = (
            ", ".join(sorted(p.name for p in folder.iterdir())[:8]) if folder.is_dir() else "no such folder"
        )
        wanted = " or ".join(f"{stem}{ending}" for ending in endings)
        raise DataError(f"{folder}: no {wanted} for the task {task.name}; there: {there}; see --data_dir")
    if task.form == "rows":
        return SourceRecipe(path=str(path), form="rows" if path.suffix == ".json" else "target", split=split)
    if task.form == "pairs":
        names = ("text", "term", "label")
        return SourceRecipe(
            path=str(path), form="csv", delimiter="###", quoted=False, names=names, split=split
        )
    return _tsv_source(path, task, split)


def _tsv_source(path: Path, task: ClassicTask, split: Split) -> SourceRecipe:
    assert task.columns is not None
    columns = task.columns
    first = next((line for _, line in numbered_lines(path)), "").rstrip("\r\n").split("\t")
    header = first if columns.has_header else [f"column {place}" for place in range(1, len(first) + 1)]
    places = {"text": columns.text, "label": columns.label}
    if columns.second is not None:
        places["term"] = columns.second
    if len(first) <= max(places.values()):
        raise DataError(
            f"{path}:1: {len(first)} columns, {task.name} has its text and label in columns "
            f"{', '.join(str(p + 1) if p >= 0 else 'last' for p in places.values())}"
        )
    return SourceRecipe(
        path=str(path),
        form="tsv",
        quoted=False,
        columns={name: header[place] for name, place in places.items()},
        names=() if columns.has_header else tuple(header),
        split=split,
    )


def load_examples(source: SourceRecipe, task: ClassicTask, *, verbose: bool) -> Examples:
    """Read and audit one file, and log what came of it.

    Args:
        source: What ``source_of`` gave.
        task: Whose labels decide.
        verbose: Whether every row that is not used gets a line of its own.

    Raises:
        DataError: The file cannot be read, or no row of it can be used.
    """
    path = Path(source.path)
    read = read_word_pairs(path) if task.form == "pairs" else read_source(source)
    records = [_placed(record, task) for record in read]
    examples: list[Example] = []
    rejected: list[Rejection] = []
    repaired = 0
    for outcome in audit(records, task.task, DataRecipe()):
        if isinstance(outcome, Accepted):
            examples.append(outcome.example)
            repaired += outcome.repair is not None
        elif isinstance(outcome, Rejection):
            rejected.append(outcome)
    if verbose:
        for one in rejected:
            DATA.warning("%s: %s: %s", one.where, one.reason, one.message)
    counts = ", ".join(f"{reason} {n}" for reason, n in Counter(r.reason for r in rejected).most_common())
    DATA.info("%s: %d examples, %d with offsets repaired", path, len(examples), repaired)
    if rejected:
        DATA.warning("%s: %d rows are not used: %s", path, len(rejected), counts)
    if not examples:
        raise DataError(f"{path}: none of its rows can be used for {task.name}: {counts or 'it has none'}")
    return Examples(examples, rejected, path)


def _placed(record: Record | Rejection, task: ClassicTask) -> Record | Rejection:
    """A row without offsets, at the occurrence of its term whose window loses least of the text.

    Such texts were cut to a window around the term before they were written, so that this is the
    occurrence that was meant, or one that makes no difference.
    """
    chars = task.task.window_chars
    if isinstance(record, Rejection) or chars is None or record.start is not None or not record.term:
        return record
    text, size = record.text, len(record.term)
    starts = find_all(text, record.term)
    best = min(starts, key=lambda s: max(0, s - chars) + max(0, len(text) - s - size - chars), default=None)
    return record if best is None else replace(record, start=best, end=best + size)


def overlap(train: Iterable[Example], dev: Iterable[Example]) -> int:
    """How many reviews of dev stand in train too."""
    return len({example.text for example in train} & {example.text for example in dev})


def write_rejected(path: Path, found: Sequence[Examples]) -> None:
    """Write every row that is not used, and why, one JSON object a line."""
    with whole_file(path) as draft, draft.open("w", encoding="utf-8", errors="backslashreplace") as stream:
        for one in (rejection for examples in found for rejection in examples.rejected):
            line = {"reason": one.reason, "message": one.message, "where": one.where, "row": one.row}
            stream.write(json.dumps(line, ensure_ascii=False, default=str) + "\n")
