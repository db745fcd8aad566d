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
from attar.compare.differences import differences, judged_by_all
from attar.compare.join import Annotation, Case, gold_of, join, votes_of
from attar.compare.names import names_of
from attar.compare.remarks import columns_said, unknown_labels, without_gold
from attar.compare.slices import check_columns, slices
from attar.compare.table import check_format, write_table
from attar.compare.unmatched import explain
from attar.compare.workbook import write_side_by_side
from attar.errors import DataError
from attar.io.outputs import check_output
from attar.io.tables.columns import missing_column
from attar.io.tables.rows import Table
from attar.language.translator import ENGLISH, N_, Language, Phrase, phrase, translator
from attar.task import Task
from attar.workbook.sheets import Cell

__all__ = ["CompareOptions", "compare_files"]

_NAME_IT = N_("--gold names a file of gold labels, --gold-column a column that holds them")


@dataclass(frozen=True, slots=True)
class CompareOptions:
    """What is compared, and how.

    Attributes:
        names: Of the sides; none takes those of their files.
        by: Columns of the user's own, by whose values the figures are sliced.
        train: Files of training examples, whose terms are the seen ones.
        bootstrap: Draws of reviews for the intervals.
        seed: Of the draws.
        language: Of the workbook.
        lines: Of what is said on the console.
    """

    names: Sequence[str] = ()
    by: Sequence[str] = ()
    train: Sequence[Path] = ()
    bootstrap: int = 1000
    seed: int = 20
    language: Language = "en"
    lines: Language = "en"


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
    said: list[Phrase]
    notes: list[tuple[Phrase, Cell]]
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
    labels = _labels(judged.cases, task)
    both = judged_by_all(judged.cases, labels)
    draws = {"repeats": compared.bootstrap, "seed": compared.seed}
    terms = _terms(compared.train, task) if compared.train else None
    said, lines = [*judged.said, *without_gold(both)], translator(compared.lines)
    tr = translator(compared.language) if out.suffix.lower() == ".xlsx" else ENGLISH
    named = {note.said(tr): value for note, value in _notes(read, judged)}
    shown = Comparison(read.names, judged.cases, labels, judged.only_gold, named, tr)
    figures = figures_of(shown) | {
        "differences": differences(both, read.names, **draws),
        "slices": slices(both, read.names, by=compared.by, train_terms=terms, **draws),
        "annotators": annotator_agreement(judged.votes),
        "bootstrap": compared.bootstrap,
        "said": [each.said(lines) for each in said],
    }
    in_it = figures | {"said": [each.said(tr) for each in said]}
    return figures | {"sheets": _write(out, shown, in_it)}


def _notes(read: _Read, judged: _Judged) -> list[tuple[Phrase, Cell]]:
    """What the summary says before the figures."""
    notes = list(judged.notes)
    for name, file in (*zip(read.names, read.sides, strict=True), ("gold", read.gold)):
        for reason, count in file.left_out.items() if file else ():
            notes.append((phrase("left out of {name}: {reason}", name=name, reason=reason), count))
    return notes


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
    notes = list[tuple[Phrase, Cell]]()
    if quarrels:
        text = N_("gold labels that differ between files (those of {name} count)")
        notes.append((Phrase(text, {"name": read.names[0]}), quarrels))
    said = [
        phrase("gold labels are those of the {columns} of {file}", columns=columns_said(names), file=path)
        for path, names in read.columns.items()
    ]
    if unknown := unknown_labels(judged, task):
        said.append(unknown)
    if not said and any(x.given for side in read.sides for x in side.annotations):
        said.append(
            phrase(
                "no gold labels; the column '{name}' may hold them or another model's labels: "
                "--gold-column {name} takes it for gold",
                name=GIVEN,
            )
        )
    said = said or [phrase("no gold labels: {advice}", advice=Phrase(_NAME_IT, {}))]
    return _Judged(judged, [], said, notes, votes)


def _judged_by_file(cases: list[Case], gold: AnnotationFile, golds: Sequence[Path], read: _Read) -> _Judged:
    asked = [case.asked for case in cases]
    found = gold_of(asked, gold.annotations)
    judged = [case._replace(gold=label) for case, label in zip(cases, found.labels, strict=True)]
    columns = read.columns
    names = [
        phrase("{file} ({columns})", file=path, columns=columns_said(columns[str(path)]))
        if str(path) in columns
        else str(path)
        for path in golds
    ]
    said = [phrase("gold labels are those of {files}", files=names)]
    sides = " and ".join(read.names)
    said += explain("gold", found.unused, len(gold.annotations), sides, asked)
    said += explain(sides, found.unmatched, len(asked), "gold", gold.annotations)
    notes: list[tuple[Phrase, Cell]] = [
        (phrase("questions whose gold labels contradict each other"), found.num_contradictory),
        (phrase("gold rows without a partner"), len(found.unused)),
        (phrase("rows of {names} without a gold row", names=sides), len(found.unmatched)),
    ]
    return _Judged(judged, found.unused, said, notes, found.votes)


def _why(judged: _Judged, golds: Sequence[Path]) -> str:
    said = [each.said(ENGLISH) for each in judged.said[1:] or judged.said]
    return f": {'; '.join(said)}" if golds else f": {_NAME_IT}"


def _labels(cases: Sequence[Case], task: Task | None) -> list[str]:
    """The labels of the tables: the task's, or those of the probs; then what else occurs."""
    known = dict.fromkeys(task.labels if task else ())
    said = {case.gold for case in cases}
    for annotation in (side for case in cases for side in case.sides if side is not None):
        known |= dict.fromkeys(annotation.probs)
        said.add(annotation.label)
    return [*known, *sorted(label for label in said - known.keys() if label)]
