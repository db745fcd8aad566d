"""The data folders: train, dev and test in the original's formats, audited, with their own split.

``folder -> SourceRecipe -> records -> audit -> examples``; rejected rows go to
``output_dir/rejected.jsonl`` with the reason.

Without marks, rows of three columns and three-line files are read as the original read them: text and
keyword are two sentences, wherever the keyword occurs in the text, and the end of a long one is cut.
Their examples have a ``second`` instead of offsets.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from attar.classic.files import classic_task
from attar.errors import DataError
from attar.io.files import atomic_write
from attar.io.lines import numbered_lines
from attar.recipe.load import DataRecipe, SourceRecipe
from attar.records.audit.audit import audit
from attar.records.prepared_folder import write_rows
from attar.records.readers.sources import read_source
from attar.records.readers.text_formats import TAGGED, read_target
from attar.records.record import Accepted, Record, Rejection
from attar.task import Example
from attar.text.repair import find_all
from original.log import DATA
from original.tasks import ClassicTask, Split
from original.word_pairs import read_word_pairs

__all__ = ["Examples", "load_examples", "overlap", "source_of", "write_rejected", "write_short_or_whole"]


@dataclass(frozen=True, slots=True)
class Examples:
    """One file of a data folder.

    Attributes:
        examples: The accepted rows, in the order of the file.
        rejected: The other rows.
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
    endings = {"rows": (".json", ".txt"), "pairs": (".txt",), "tsv": (".tsv",)}[task.format]
    path = next((p for p in (folder / f"{stem}{e}" for e in endings) if p.is_file()), None)
    if path is None:
        there = (
            ", ".join(sorted(p.name for p in folder.iterdir())[:8]) if folder.is_dir() else "no such folder"
        )
        wanted = " or ".join(f"{stem}{ending}" for ending in endings)
        raise DataError(f"{folder}: no {wanted} for the task {task.name}; there: {there}; see --data_dir")
    if path.suffix == ".txt":
        _refuse_bio(path, task)
    if task.format == "rows":
        return SourceRecipe(
            path=str(path), format="rows" if path.suffix == ".json" else "target", split=split
        )
    if task.format == "pairs":
        names = ("text", "term", "label")
        return SourceRecipe(
            path=str(path), format="csv", delimiter="###", quoted=False, names=names, split=split
        )
    return _tsv_source(path, task, split)


def _refuse_bio(path: Path, task: ClassicTask) -> None:
    """Refuse BIO files, which have the same names, with the command that reads them."""
    line = next((line for _, line in numbered_lines(path) if line.strip()), "")
    if not TAGGED.fullmatch(line.rstrip("\r\n")):
        return
    expected = "three lines an example" if task.format == "rows" else "text###word###id"
    there = [path.with_name(f"{stem}.txt") for stem in ("train", "dev", "test")]
    files = " ".join(str(one) for one in there if one.is_file())
    raise DataError(
        f"{path}: BIO (a character, a tab and a tag a line); {task.name} expects {expected} here. attar "
        f"prepare reads BIO: run attar prepare {files} --task components --out FOLDER, then give --data_dir "
        "FOLDER and --task_name components"
    )


def _tsv_source(path: Path, task: ClassicTask, split: Split) -> SourceRecipe:
    columns = task.columns
    first = next((line for _, line in numbered_lines(path)), "").rstrip("\r\n").split("\t")
    header = first if task.has_header else [f"column {number}" for number in range(1, len(first) + 1)]
    if len(first) <= max(columns.values()):
        wanted = ", ".join(f"{name} {at + 1 if at >= 0 else 'last'}" for name, at in columns.items())
        raise DataError(f"{path}:1: {len(first)} columns; the columns of {task.name}: {wanted}")
    return SourceRecipe(
        path=str(path),
        format="tsv",
        quoted=False,
        columns={name: header[at] for name, at in columns.items()},
        names=() if task.has_header else tuple(header),
        split=split,
    )


def load_examples(source: SourceRecipe, task: ClassicTask, *, marks: bool, verbose: bool = False) -> Examples:
    """Read and audit one file, and log the counts.

    Args:
        source: From ``source_of``.
        task: With the accepted labels.
        marks: Whether the keyword is marked, so that its offsets are needed.
        verbose: Whether to log every rejected row.

    Raises:
        DataError: The file cannot be read, or none of its rows can be used.
    """
    path = Path(source.path)
    records = [
        _with_offsets(record, task) if marks else record for record in _records(source, task, marks=marks)
    ]
    input_task = classic_task(task.task, marks=marks)
    if (
        input_task.has_term
        and not marks
        and all(isinstance(r, Rejection) or r.start is None for r in records)
    ):
        input_task = replace(input_task, style="sentence_pair")
    examples: list[Example] = []
    rejected: list[Rejection] = []
    repaired = 0
    for outcome in audit(records, input_task, DataRecipe()):
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
        DATA.warning("%s: %d rows are rejected: %s", path, len(rejected), counts)
    if not examples:
        raise DataError(f"{path}: none of its rows can be used for {task.name}: {counts or 'it has none'}")
    return Examples(examples, rejected, path)


def _records(source: SourceRecipe, task: ClassicTask, *, marks: bool) -> Iterator[Record | Rejection]:
    if task.format == "pairs":
        return read_word_pairs(Path(source.path))
    if source.format == "target":
        return _three_lines(Path(source.path), marks=marks)
    return read_source(source)


def _three_lines(path: Path, *, marks: bool) -> Iterator[Record | Rejection]:
    """A three-line file as the original read it: lower-cased, no blanks around the keyword.

    It filled in the first ``$T$`` alone.
    """
    found = False
    for record in read_target(path, fill_all=False):
        found = True
        if isinstance(record, Rejection):
            yield record
            continue
        left, right = record.text[: record.start].lower().strip(), record.text[record.end :].lower().strip()
        term = record.term.lower().strip()
        place = (len(left), len(left) + len(term)) if marks else (None, None)
        yield replace(record, text=f"{left}{term}{right}", term=term, start=place[0], end=place[1])
    if not found:
        raise DataError(f"{path}: holds no rows; see --data_dir")


def _with_offsets(record: Record | Rejection, task: ClassicTask) -> Record | Rejection:
    """A row without offsets, at the occurrence of its term whose window loses least of the text.

    Such texts were cut to a window around the term before they were written, so this is the occurrence
    that was meant, or one with the same window.
    """
    chars = task.task.window_chars
    if isinstance(record, Rejection) or chars is None or record.start is not None or not record.term:
        return record
    text, size = record.text, len(record.term)
    starts = find_all(text, record.term)
    best = min(starts, key=lambda s: max(0, s - chars) + max(0, len(text) - s - size - chars), default=None)
    return record if best is None else replace(record, start=best, end=best + size)


def overlap(train: Iterable[Example], dev: Iterable[Example]) -> int:
    """Number of reviews that are in train and in dev."""
    return len({example.text for example in train} & {example.text for example in dev})


def write_rejected(path: Path, found: Sequence[Examples]) -> None:
    """Write every rejected row with its reason, one JSON object a line."""
    with atomic_write(path) as draft, draft.open("w", encoding="utf-8", errors="backslashreplace") as stream:
        for one in (rejection for examples in found for rejection in examples.rejected):
            line = {"reason": one.reason, "message": one.message, "where": one.where, "row": one.row}
            stream.write(json.dumps(line, ensure_ascii=False, default=str) + "\n")


def write_short_or_whole(path: Path, examples: Sequence[Example]) -> None:
    """Write examples as the original's rows: three columns without offsets, else seven."""
    if not any(example.second for example in examples):
        write_rows(path, examples)
        return
    rows = [[example.text, example.second or example.term, example.label] for example in examples]
    with atomic_write(path) as draft:
        draft.write_text(json.dumps(rows, ensure_ascii=False), "utf-8")
