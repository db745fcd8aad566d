"""``attar compare``: files of annotations in, one workbook and its main figures out.

A file is whatever ``attar score`` wrote as a table, or what people labelled; see
``attar.compare.annotations``. All are held in memory.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from attar.compare.annotations import (
    GIVEN,
    AnnotationFile,
    AnnotationOptions,
    gold_name,
    open_annotations,
    read_annotations,
)
from attar.compare.join import Annotation, Case, gold_of, join
from attar.compare.unmatched import explain
from attar.compare.workbook import Comparison, write_side_by_side
from attar.errors import DataError
from attar.io.outputs import check_output
from attar.io.tables.columns import missing_column
from attar.io.tables.rows import Table
from attar.task import Task
from attar.workbook.sheets import Cell

__all__ = ["compare_files"]

_PLAIN = AnnotationOptions()
_NAME_IT = "--gold names a file of gold labels, --gold-column a column that holds them"


class _Read(NamedTuple):
    """The files of a comparison: their annotations, and the columns that hold gold labels."""

    a: AnnotationFile
    b: AnnotationFile | None
    gold: AnnotationFile | None
    columns: Mapping[str, str]


class _Judged(NamedTuple):
    """Cases with their gold labels, gold rows that none of them asks, and what is to be said of both."""

    cases: list[Case]
    only_gold: list[Annotation]
    said: list[str]
    notes: dict[str, Cell]


def compare_files(
    a: Path,
    b: Path | None,
    out: Path,
    *,
    gold: Path | Sequence[Path] | None = None,
    task: Task | None = None,
    options: AnnotationOptions = _PLAIN,
) -> dict[str, Any]:
    """Put the annotations of one or two files side by side in a workbook.

    One file without gold labels is put beside the labels that its rows had when they were scored
    (``input_label``): these may be gold ones or another model's, so that nobody is right or wrong.

    Args:
        a: A file of annotations.
        b: Another, or None to judge ``a`` alone.
        out: The workbook to write, .xlsx.
        gold: One or more files whose labels are the gold ones; None takes the columns that say that
            they are gold, A's before B's.
        task: Its spellings of the labels count as the same; None takes them as they are written.
        options: How the files are read.

    Returns:
        The figures that ``attar.compare.workbook.write_side_by_side`` gives, and ``said``: lines on
        what was taken for gold, and which rows have no partner there.

    Raises:
        DataError: A file cannot be read or holds no annotations, there is nothing to compare with,
            or ``out`` is no .xlsx, one of the files, or cannot be written.
    """
    if out.suffix.lower() != ".xlsx":
        raise DataError(f"{out}: attar compare writes an Excel workbook; name it .xlsx")
    golds = [gold] if isinstance(gold, Path) else list(gold or ())
    files = [path for path in (a, b, *golds) if path is not None]
    check_output(out, files)
    read = _read(a, b, golds, task, options)
    second, names = read.b, [str(path) for path in (a, b) if path is not None]
    if second is None and not golds and not read.columns and any(x.given for x in read.a.annotations):
        second = _as_given(read.a)
        names.append(f"{a}, column {GIVEN}")
    cases = join(read.a.annotations, second.annotations if second else [])
    judged = _judged(cases, read, golds, task)
    if second is None and all(case.gold is None for case in judged.cases):
        raise DataError(f"{a} has no gold labels to compare with{_why(judged, golds)}")
    notes = dict(judged.notes)
    for name, file in (("A", read.a), ("B", read.b), ("gold", read.gold)):
        left_out = file.left_out if file else Counter[str]()
        notes |= {f"left out of {name}: {reason}": count for reason, count in left_out.items()}
    shown = Comparison(tuple(names), judged.cases, _labels(judged.cases, task), judged.only_gold, notes)
    try:
        return write_side_by_side(out, shown) | {"said": judged.said}
    except OSError as error:
        raise DataError(f"{out}: cannot be written ({error.strerror or error})") from error


def _read(
    a: Path, b: Path | None, golds: Sequence[Path], task: Task | None, options: AnnotationOptions
) -> _Read:
    """Read all files; DataError where a name that the user gives is in none of them."""
    opened = {path: open_annotations(path, options) for path in (a, b, *golds) if path is not None}
    tables = [table for found in opened.values() for table in found]
    for ours, theirs in options.named.items() if tables else ():
        if not any({theirs, theirs.split(".", maxsplit=1)[0]} & set(table.columns) for table in tables):
            raise missing_column(tables[0], ours, theirs, "--{}")
    files = [read_annotations(path, task, options, opened[path]) for path in (a, b) if path is not None]
    gold = [read_annotations(path, task, options, opened[path], is_gold=True) for path in golds]
    whole = AnnotationFile(
        [annotation for file in gold for annotation in file.annotations],
        sum((file.left_out for file in gold), Counter[str]()),
    )
    judges = golds or [path for path in (a, b) if path is not None]
    columns = _gold_columns({path: opened[path] for path in judges}, options)
    return _Read(files[0], files[1] if b is not None else None, whole if golds else None, columns)


def _gold_columns(opened: Mapping[Path, Sequence[Table]], options: AnnotationOptions) -> dict[str, str]:
    """The columns with gold labels by file; DataError where the user names one that no file has."""
    every = [table for tables in opened.values() for table in tables]
    if options.gold is not None:
        gold_name(every, options)
    plain = replace(options, gold=None)
    found = {}
    for path, tables in opened.items():
        there = {name for table in tables for name in table.columns}
        name = options.gold if options.gold in there else "" if options.gold else gold_name(tables, plain)
        if name:
            found[str(path)] = name
    return found


def _as_given(file: AnnotationFile) -> AnnotationFile:
    """The labels that the rows of a file had when they were scored, as annotations of their own."""
    given = [replace(each, label=each.given, prob=None, probs={}) for each in file.annotations if each.given]
    return AnnotationFile(given, Counter())


def _judged(cases: list[Case], read: _Read, golds: Sequence[Path], task: Task | None) -> _Judged:
    if read.gold is not None:
        return _judged_by_file(cases, read.gold, golds, read.columns)
    own = [[x.gold for x in (case.a, case.b) if x and x.gold] for case in cases]
    judged = [case._replace(gold=next(iter(golds), None)) for case, golds in zip(cases, own, strict=True)]
    quarrels = sum(len(set(golds)) > 1 for golds in own)
    notes: dict[str, Cell] = {}
    if quarrels:
        notes["gold labels that differ between A and B (A's count)"] = quarrels
    said = [f"gold labels are those of the column {name!r} of {path}" for path, name in read.columns.items()]
    if unknown := _unknown(judged, task):
        said.append(unknown)
    sides = [read.a, *([read.b] if read.b else [])]
    if not said and any(x.given for side in sides for x in side.annotations):
        said.append(
            f"no gold labels; the column {GIVEN!r} may hold them or another model's labels: "
            f"--gold-column {GIVEN} takes it for gold"
        )
    return _Judged(judged, [], said or [f"no gold labels: {_NAME_IT}"], notes)


def _judged_by_file(
    cases: list[Case], gold: AnnotationFile, golds: Sequence[Path], columns: Mapping[str, str]
) -> _Judged:
    asked = [case.asked for case in cases]
    found = gold_of(asked, gold.annotations)
    judged = [case._replace(gold=label) for case, label in zip(cases, found.labels, strict=True)]
    names = ", ".join(
        f"{path} (column {columns[str(path)]!r})" if str(path) in columns else str(path) for path in golds
    )
    said = [f"gold labels are those of {names}"]
    sides = "A and B" if any(case.b for case in cases) else "A"
    said += explain("gold", found.unused, len(gold.annotations), sides, asked)
    said += explain(sides, found.unmatched, len(asked), "gold", gold.annotations)
    notes: dict[str, Cell] = {"questions with several gold labels": found.num_contradictory}
    notes |= {
        "gold rows without a partner": len(found.unused),
        f"rows of {sides} without a gold row": len(found.unmatched),
    }
    return _Judged(judged, found.unused, said, notes)


def _unknown(cases: Sequence[Case], task: Task | None) -> str:
    """What to say of gold labels that are no labels of the task."""
    if task is None:
        return ""
    count = sum(case.gold is not None and case.gold not in task.labels for case in cases)
    known = ", ".join(task.labels)
    return f"{count:,} gold labels are none of the task's ({known})" if count else ""


def _why(judged: _Judged, golds: Sequence[Path]) -> str:
    return f": {'; '.join(judged.said[1:] or judged.said)}" if golds else f": {_NAME_IT}"


def _labels(cases: Sequence[Case], task: Task | None) -> list[str]:
    """The labels of the tables: the task's, or those of the probs; then what else occurs."""
    known = dict.fromkeys(task.labels if task else ())
    said = {case.gold for case in cases}
    for annotation in (side for case in cases for side in (case.a, case.b) if side is not None):
        known |= dict.fromkeys(annotation.probs)
        said.add(annotation.label)
    return [*known, *sorted(label for label in said - known.keys() if label)]
