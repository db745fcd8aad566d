"""``attar compare``: files of annotations and artifacts in, a workbook or a table and the figures out.

A file is whatever ``attar score`` wrote as a table, or what people labelled; see
``attar.compare.annotations``. An artifact scores the questions of the others. All are held in memory.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from attar.compare.annotations import (
    GIVEN,
    AnnotationFile,
    AnnotationOptions,
    gold_names,
    open_annotations,
    read_annotations,
)
from attar.compare.annotators import annotator_agreement
from attar.compare.artifacts import is_artifact, predictions
from attar.compare.comparison import Comparison, figures_of
from attar.compare.differences import Judged, differences, judged_by_all
from attar.compare.join import Annotation, Case, gold_of, join, votes_of
from attar.compare.names import names_of
from attar.compare.slices import check_columns, slices
from attar.compare.table import check_format, write_table
from attar.compare.unmatched import explain
from attar.compare.workbook import write_side_by_side
from attar.errors import DataError
from attar.io.outputs import check_output
from attar.io.tables.columns import missing_column
from attar.io.tables.rows import Table
from attar.task import Task
from attar.workbook.sheets import Cell

__all__ = ["CompareOptions", "compare_files"]

_NAME_IT = "--gold names a file of gold labels, --gold-column a column that holds them"


@dataclass(frozen=True, slots=True)
class CompareOptions:
    """What is compared, and how.

    Attributes:
        names: Of the sides; none takes those of their files.
        by: Columns of the user's own, by whose values the figures are sliced.
        train: Files of training examples, whose terms are the seen ones.
        bootstrap: Draws of reviews for the intervals.
        seed: Of the draws.
    """

    names: Sequence[str] = ()
    by: Sequence[str] = ()
    train: Sequence[Path] = ()
    bootstrap: int = 1000
    seed: int = 20


_PLAIN, _AS_THEY_ARE = AnnotationOptions(), CompareOptions()


class _Read(NamedTuple):
    """The files of a comparison: their annotations, and the columns that hold gold labels."""

    names: tuple[str, ...]
    sides: list[AnnotationFile]
    gold: AnnotationFile | None
    columns: Mapping[str, tuple[str, ...]]


class _Judged(NamedTuple):
    """Cases with their gold labels, gold rows that none of them asks, and what is to be said of both."""

    cases: list[Case]
    only_gold: list[Annotation]
    said: list[str]
    notes: dict[str, Cell]
    votes: list[dict[str, str]]


def compare_files(
    paths: Sequence[Path],
    out: Path,
    *,
    gold: Path | Sequence[Path] | None = None,
    task: Task | None = None,
    options: AnnotationOptions = _PLAIN,
    compared: CompareOptions = _AS_THEY_ARE,
) -> dict[str, Any]:
    """Put the annotations of one or more files and artifacts side by side, in a workbook or a table.

    One file without gold labels is put beside the labels that its rows had when they were scored
    (``input_label``): these may be gold ones or another model's, so that nobody is right or wrong.

    Args:
        paths: Files of annotations, or artifacts' folders; one alone is judged by gold labels.
        out: The workbook to write, .xlsx, or a table of every question: .csv, .tsv, .jsonl, .parquet.
        gold: Files whose labels are the gold ones; None takes the columns that say that they are.
        task: Its spellings of the labels count as the same; None takes them as they are written.
        options: How the files are read.
        compared: Names, slices, draws.

    Returns:
        ``sides`` by name, ``agreement`` of every two, ``differences`` and ``slices`` where there are gold
        labels, ``annotators`` where several gave these, ``bootstrap`` draws, ``sheets`` (rows of each)
        and ``said``: what was taken for gold, and what has no partner there.

    Raises:
        DataError: A file cannot be read or holds no annotations, there is nothing to compare with,
            or ``out`` is of no such format, one of the files, or cannot be written.
        RecipeError: The names are not one for each path.
    """
    check_format(out)
    golds = [gold] if isinstance(gold, Path) else list(gold or ())
    check_output(out, [*paths, *golds, *compared.train])
    read = _read(paths, golds, task, options, compared.names)
    judged = _judged(join(*(side.annotations for side in read.sides)), read, golds, task)
    if len(read.sides) == 1 and all(case.gold is None for case in judged.cases):
        raise DataError(f"{paths[0]} has no gold labels to compare with{_why(judged, golds)}")
    check_columns(compared.by, judged.cases)
    notes = dict(judged.notes)
    for name, file in (*zip(read.names, read.sides, strict=True), ("gold", read.gold)):
        left_out = file.left_out if file else Counter[str]()
        notes |= {f"left out of {name}: {reason}": count for reason, count in left_out.items()}
    labels = _labels(judged.cases, task)
    both = judged_by_all(judged.cases, labels)
    draws = {"repeats": compared.bootstrap, "seed": compared.seed}
    terms = _terms(compared.train, task) if compared.train else None
    shown = Comparison(read.names, judged.cases, labels, judged.only_gold, notes)
    figures = figures_of(shown) | {
        "differences": differences(both, read.names, **draws),
        "slices": slices(both, read.names, by=compared.by, train_terms=terms, **draws),
        "annotators": annotator_agreement(judged.votes),
        "bootstrap": compared.bootstrap,
        "said": [*judged.said, *_without_gold(both)],
    }
    return figures | {"sheets": _write(out, shown, figures)}


def _write(out: Path, shown: Comparison, figures: Mapping[str, Any]) -> dict[str, int]:
    """Write the workbook or the table, and give the rows of each sheet."""
    try:
        if out.suffix.lower() == ".xlsx":
            return write_side_by_side(out, shown, figures)
        return {"result": write_table(out, shown)}
    except OSError as error:
        raise DataError(f"{out}: cannot be written ({error.strerror or error})") from error


def _read(
    paths: Sequence[Path],
    golds: Sequence[Path],
    task: Task | None,
    options: AnnotationOptions,
    names: Sequence[str],
) -> _Read:
    """Read all files; DataError where a name that the user gives is in none of them."""
    called = names_of(paths, names)
    files = [path for path in paths if not is_artifact(path)]
    opened = {path: open_annotations(path, options) for path in (*files, *golds)}
    tables = [table for found in opened.values() for table in found]
    for ours, theirs in options.named.items() if tables else ():
        if not any({theirs, theirs.split(".", maxsplit=1)[0]} & set(table.columns) for table in tables):
            raise missing_column(tables[0], ours, theirs, "--{}")
    read = {path: read_annotations(path, task, options, opened[path]) for path in files}
    gold = [
        _by_annotator(read_annotations(path, task, options, opened[path], is_gold=True), name, len(golds))
        for path, name in zip(golds, names_of(golds) if golds else (), strict=True)
    ]
    whole = AnnotationFile(
        [annotation for file in gold for annotation in file.annotations],
        sum((file.left_out for file in gold), Counter[str]()),
    )
    columns = _gold_columns({path: opened[path] for path in golds or files}, options)
    asked = [annotation for file in read.values() for annotation in file.annotations]
    if len(files) < len(paths) and not (asked or whole.annotations):
        raise DataError(
            f"{paths[0]}: an artifact has no texts of its own; name a scored file beside it, or --gold"
        )
    sides = [
        read[path] if path in read else _scored(path, asked or whole.annotations, task) for path in paths
    ]
    if len(sides) == 1 and not golds and not columns and any(x.given for x in sides[0].annotations):
        sides.append(_as_given(sides[0]))
        called = (*called, f"{called[0]}, column {GIVEN}")
    return _Read(called, sides, whole if golds else None, columns)


def _scored(folder: Path, asked: Sequence[Annotation], task: Task | None) -> AnnotationFile:
    found = predictions(folder, asked)
    if task is not None:
        found = [replace(one, label=task.label_of(one.label or "") or one.label) for one in found]
    left = len({(one.text, one.term, one.start, one.end) for one in asked}) - len(found)
    return AnnotationFile(found, Counter({"term_not_found": left} if left else {}))


def _by_annotator(file: AnnotationFile, name: str, num_files: int) -> AnnotationFile:
    """The labels of one of several files are those of one annotator; of its several columns, of each."""
    if num_files == 1:
        return file
    named = [
        replace(one, votes={f"{name}, {column}": label for column, label in one.votes.items()})
        if one.votes
        else replace(one, votes={name: one.label} if one.label else {})
        for one in file.annotations
    ]
    return AnnotationFile(named, file.left_out)


def _gold_columns(
    opened: Mapping[Path, Sequence[Table]], options: AnnotationOptions
) -> dict[str, tuple[str, ...]]:
    """The columns with gold labels by file; DataError where the user names one that no file has."""
    every = [table for tables in opened.values() for table in tables]
    gold_names(every, options)
    found = {}
    for path, tables in opened.items():
        there = {name for table in tables for name in table.columns}
        named = tuple(name for name in options.gold_columns if name in there)
        if names := named or (() if options.gold_columns else gold_names(tables, _PLAIN)):
            found[str(path)] = names
    return found


def _as_given(file: AnnotationFile) -> AnnotationFile:
    """The labels that the rows of a file had when they were scored, as annotations of their own."""
    given = [
        replace(each, label=each.given, prob=None, probs={}, own={})
        for each in file.annotations
        if each.given
    ]
    return AnnotationFile(given, Counter())


def _terms(paths: Sequence[Path], task: Task | None) -> Counter[str]:
    """How often each term stands in files of training examples."""
    counts = Counter[str]()
    for path in paths:
        found = read_annotations(path / "train.json" if path.is_dir() else path, task)
        counts.update(annotation.term for annotation in found.annotations)
    return counts


def _judged(cases: list[Case], read: _Read, golds: Sequence[Path], task: Task | None) -> _Judged:
    if read.gold is not None:
        return _judged_by_file(cases, read.gold, golds, read)
    own = [[side.gold for side in case.sides if side and side.gold] for case in cases]
    judged = [case._replace(gold=next(iter(golds), None)) for case, golds in zip(cases, own, strict=True)]
    votes = [votes_of([side for side in case.sides if side and side.votes][:1]) for case in cases]
    quarrels = sum(len(set(golds)) > 1 for golds in own)
    notes: dict[str, Cell] = {}
    if quarrels:
        notes[f"gold labels that differ between files (those of {read.names[0]} count)"] = quarrels
    said = [
        f"gold labels are those of the {_columns_said(names)} of {path}"
        for path, names in read.columns.items()
    ]
    if unknown := _unknown(judged, task):
        said.append(unknown)
    if not said and any(x.given for side in read.sides for x in side.annotations):
        said.append(
            f"no gold labels; the column {GIVEN!r} may hold them or another model's labels: "
            f"--gold-column {GIVEN} takes it for gold"
        )
    return _Judged(judged, [], said or [f"no gold labels: {_NAME_IT}"], notes, votes)


def _judged_by_file(cases: list[Case], gold: AnnotationFile, golds: Sequence[Path], read: _Read) -> _Judged:
    asked = [case.asked for case in cases]
    found = gold_of(asked, gold.annotations)
    judged = [case._replace(gold=label) for case, label in zip(cases, found.labels, strict=True)]
    columns = read.columns
    names = ", ".join(
        f"{path} ({_columns_said(columns[str(path)])})" if str(path) in columns else str(path)
        for path in golds
    )
    said = [f"gold labels are those of {names}"]
    sides = " and ".join(read.names)
    said += explain("gold", found.unused, len(gold.annotations), sides, asked)
    said += explain(sides, found.unmatched, len(asked), "gold", gold.annotations)
    notes: dict[str, Cell] = {"questions whose gold labels contradict each other": found.num_contradictory}
    notes |= {
        "gold rows without a partner": len(found.unused),
        f"rows of {sides} without a gold row": len(found.unmatched),
    }
    return _Judged(judged, found.unused, said, notes, found.votes)


def _columns_said(names: Sequence[str]) -> str:
    listed = ", ".join(map(repr, names))
    return f"column {listed}" if len(names) == 1 else f"columns {listed}, where most of them agree"


def _unknown(cases: Sequence[Case], task: Task | None) -> str:
    """What to say of gold labels that are no labels of the task."""
    if task is None:
        return ""
    count = sum(case.gold is not None and case.gold not in task.labels for case in cases)
    known = ", ".join(task.labels)
    return f"{count:,} gold labels are none of the task's ({known})" if count else ""


def _without_gold(judged: Judged) -> list[str]:
    """What to say of labels that are gold nowhere."""
    left_out = judged.labels[judged.num_gold :]
    if not left_out or not len(judged.gold):
        return []
    verb = "is" if len(left_out) == 1 else "are"
    return [f"macro-F1 is over the labels that are gold somewhere; {', '.join(left_out)} {verb} not"]


def _why(judged: _Judged, golds: Sequence[Path]) -> str:
    return f": {'; '.join(judged.said[1:] or judged.said)}" if golds else f": {_NAME_IT}"


def _labels(cases: Sequence[Case], task: Task | None) -> list[str]:
    """The labels of the tables: the task's, or those of the probs; then what else occurs."""
    known = dict.fromkeys(task.labels if task else ())
    said = {case.gold for case in cases}
    for annotation in (side for case in cases for side in case.sides if side is not None):
        known |= dict.fromkeys(annotation.probs)
        said.add(annotation.label)
    return [*known, *sorted(label for label in said - known.keys() if label)]
