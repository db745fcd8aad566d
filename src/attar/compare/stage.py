"""``attar compare``: files of annotations in, one workbook and its main figures out.

A file is whatever ``attar score`` wrote as a table, or what people labelled: any table with text,
term and label, the JSON rows of ``attar prepare``, an export of Label Studio. Both are held in
memory.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from attar.compare.join import Annotation, Case, gold_of, join
from attar.compare.workbook import Comparison, write_side_by_side
from attar.errors import DataError
from attar.io.tables.columns import Columns, Pair, missing_column, read_pair
from attar.io.tables.rows import Problem, Table, as_label, as_text
from attar.io.tables.table_files import open_tables
from attar.recipe.load import SourceRecipe
from attar.records.readers.sources import read_source
from attar.records.record import Record
from attar.task import Task
from attar.text.repair import Repair, occurrences, repair
from attar.workbook.sheets import Cell, cell_text
from attar.workbook.tally import GROUPS

__all__ = ["AnnotationFile", "compare_files", "read_annotations"]

_PROB = "prob_"
_GOLD = "input_label"
_SETTING = "its header"


def compare_files(
    a: Path, b: Path | None, out: Path, *, gold: Path | None = None, task: Task | None = None
) -> dict[str, Any]:
    """Put the annotations of one or two files side by side in a workbook.

    Args:
        a: A file of annotations.
        b: Another, or None to judge ``a`` alone.
        out: The workbook to write, .xlsx.
        gold: A file whose labels are the gold ones; None takes the ``input_label`` columns, A's
            before B's.
        task: Its spellings of the labels count as the same; None takes them as they are written.

    Returns:
        The figures that ``attar.compare.workbook.write_side_by_side`` gives.

    Raises:
        DataError: A file cannot be read or holds no annotations, there is nothing to compare with,
            or ``out`` is no .xlsx or one of the files.
    """
    if out.suffix.lower() != ".xlsx":
        raise DataError(f"{out}: attar compare writes an Excel workbook; name it .xlsx")
    files = {name: path for name, path in (("A", a), ("B", b), ("gold", gold)) if path is not None}
    if out.resolve() in [path.resolve() for path in files.values()]:
        raise DataError(f"{out} is one of the files that are compared; name another file to write")
    read = {name: read_annotations(path, task) for name, path in files.items()}
    cases = join(read["A"].annotations, read["B"].annotations if b is not None else [])
    cases, only_gold, notes = _judged(cases, read.get("gold"))
    if b is None and all(case.gold is None for case in cases):
        raise DataError(
            f"{a} has no gold labels to compare with: name a file that has with --gold "
            f"({_GOLD!r} is the column that attar score keeps them in), or a second file of annotations"
        )
    for name, file in read.items():
        notes |= {f"left out of {name}: {reason}": count for reason, count in file.left_out.items()}
    names = tuple(str(path) for path in (a, b) if path is not None)
    return write_side_by_side(out, Comparison(names, cases, _labels(cases, task), only_gold, notes))


class AnnotationFile(NamedTuple):
    """A file of annotations: what it holds, and how many rows were left out, by reason code."""

    annotations: list[Annotation]
    left_out: Counter[str]


def read_annotations(path: Path, task: Task | None = None) -> AnnotationFile:
    """Read a file of annotations.

    Texts are as an Excel cell keeps them, so that the same annotations meet whatever format they had.

    Raises:
        DataError: It cannot be read, a column is missing, or no row has an annotation.
    """
    found = (
        _from_json(path)
        if path.suffix.lower() == ".json"
        else _from_tables(open_tables(path, needed=[{"text"}]))
    )
    annotations, left_out = list[Annotation](), Counter[str]()
    for each in found:
        if isinstance(each, Annotation):
            annotations.append(_spelled(each, task) if task else each)
        else:
            left_out[each] += 1
    if all(annotation.label is None for annotation in annotations):
        raise DataError(f"{path}: no row has a label; expected text, term (or keyword) and label")
    return AnnotationFile(annotations, left_out)


def _judged(
    cases: list[Case], gold: AnnotationFile | None
) -> tuple[list[Case], list[Annotation], dict[str, Cell]]:
    """The cases with their gold labels, the gold rows that none of them asks, and what to note."""
    if gold is not None:
        found = gold_of([case.asked for case in cases], gold.annotations)
        judged = [case._replace(gold=label) for case, label in zip(cases, found.labels, strict=True)]
        return judged, found.unused, {"questions with several gold labels": found.num_contradictory}
    golds = [[x.gold for x in (case.a, case.b) if x and x.gold] for case in cases]
    judged = [case._replace(gold=next(iter(own), None)) for case, own in zip(cases, golds, strict=True)]
    quarrels = sum(len(set(own)) > 1 for own in golds)
    return judged, [], {"gold labels that differ between A and B (A's count)": quarrels} if quarrels else {}


def _from_json(path: Path) -> Iterator[Annotation | str]:
    for record in read_source(SourceRecipe(path=str(path))):
        if not isinstance(record, Record):
            yield record.reason
            continue
        groups = {name: record.meta[name] for name in GROUPS if name in record.meta}
        pair = Pair(record.text, record.term, record.start, record.end)
        yield _annotation(pair, label=record.label, groups=groups)


def _from_tables(tables: Iterable[Table]) -> Iterator[Annotation | str]:
    for table in tables:
        columns = Columns.of(table, {}, ("text", "label"), _SETTING)
        if not {"term", "keyword"} & set(table.columns) and not {"start", "end"} <= set(table.columns):
            raise missing_column(table, "term", "term", _SETTING)
        for row in table.rows():
            cells = columns.cells(row.values)
            pair = row.problem or read_pair(cells)
            yield pair.reason if isinstance(pair, Problem) else _annotation_of_row(row.values, cells, pair)


def _annotation_of_row(values: Mapping[str, Any], cells: Mapping[str, object], pair: Pair) -> Annotation:
    probs = {
        name.removeprefix(_PROB): prob
        for name, value in values.items()
        if name.startswith(_PROB) and name != _PROB and (prob := _number(value)) is not None
    }
    groups = {name: text for name in GROUPS if (text := as_text(values.get(name)))}
    return replace(
        _annotation(pair, label=as_label(cells.get("label")), groups=groups),
        prob=_number(values.get("prob")),
        probs=probs,
        gold=as_label(values.get(_GOLD)),
    )


def _annotation(pair: Pair, *, label: str | None, groups: Mapping[str, str]) -> Annotation:
    """An annotation whose term and offsets are repaired as ``attar prepare`` repairs them."""
    text, term, start, end = pair
    if start is None and end is None:
        start_of_term = next(iter(occurrences(text, term)), None)
        term = text[slice(*start_of_term)] if start_of_term else term
    elif term.strip() and term != text[start:end]:
        place = repair(text, term, start, end)
        start, end = (place.start, place.end) if isinstance(place, Repair) else (start, end)
    if start is not None and end is not None and start < end:
        term = text[start:end]
    return Annotation(cell_text(text), cell_text(term), start, end, label, groups=groups)


def _spelled(annotation: Annotation, task: Task) -> Annotation:
    """The annotation with its labels as the task spells them; one that the task does not know stays."""
    label, gold = (said and (task.label_of(said) or said) for said in (annotation.label, annotation.gold))
    return replace(annotation, label=label, gold=gold)


def _labels(cases: Sequence[Case], task: Task | None) -> list[str]:
    """The labels of the tables: the task's, or those of the probs; then what else occurs."""
    known = dict.fromkeys(task.labels if task else ())
    said = {case.gold for case in cases}
    for annotation in (side for case in cases for side in (case.a, case.b) if side is not None):
        known |= dict.fromkeys(annotation.probs)
        said.add(annotation.label)
    return [*known, *sorted(label for label in said - known.keys() if label)]


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str) or value == "":
        return None
    try:
        return float(value)
    except ValueError:
        return None
