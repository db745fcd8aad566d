"""Files of annotations as ``attar compare`` reads them: what ``attar score`` wrote, or what people labelled.

A file is any table with text, term and label, the JSON rows of ``attar prepare``, or an export of Label
Studio. Columns may have other names: they are named by the user, or found because the term stands at
the offsets of its text.
"""

from __future__ import annotations

import itertools
import logging
import math
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import compress
from pathlib import Path
from typing import Any, NamedTuple

from attar.compare.join import Annotation, consensus
from attar.errors import DataError
from attar.io.encodings import of_several_files
from attar.io.tables.columns import Columns, missing_column, read_pair
from attar.io.tables.rows import Problem, Row, Table, as_label, as_offset, as_text
from attar.io.tables.table_files import open_tables, reading_notes
from attar.recipe.load import SourceRecipe
from attar.records.readers.sources import read_source
from attar.records.readers.span_cells import label_column, may_hold_spans, span_records
from attar.records.record import Record
from attar.task import Task
from attar.text.invisible import is_blank
from attar.text.repair import Repair, occurrences, repair
from attar.workbook.sheets import cell_text
from attar.workbook.tally import GROUPS

__all__ = [
    "GIVEN",
    "AnnotationFile",
    "AnnotationOptions",
    "gold_names",
    "open_annotations",
    "read_annotations",
]

GIVEN = "input_label"
"""The column of the label that a row had when it was scored: a gold one, or an earlier model's."""

_LOG = logging.getLogger(__name__)
_PROB = "prob_"
_GOLD = ("gold", "gold_label")
_HEAD = 100
_SETTING = "--{}"


@dataclass(frozen=True, slots=True)
class AnnotationOptions:
    """How files of annotations are read; each name holds for the files that have such a column.

    Attributes:
        text: Column of the text; None takes ``text``, or finds it by the offsets.
        term: Column of the term; None takes ``term`` or ``keyword``, or finds it by the offsets.
        label: Column of the label; None takes ``label``.
        gold: Column of the gold label, or those of several annotators; None takes ``gold`` or
            ``gold_label``.
        quoted: CSV and TSV: a quote at the start of a cell begins a quoted one; else quotes are text.
        offsets: Columns called start and end are offsets if they hold numbers; else they never are.
        encoding: Of files of text that are not UTF-8, as in ``attar.io.encodings``; None finds it.
    """

    text: str | None = None
    term: str | None = None
    label: str | None = None
    gold: str | tuple[str, ...] | None = None
    quoted: bool = True
    offsets: bool = True
    encoding: str | None = None

    @property
    def gold_columns(self) -> tuple[str, ...]:
        """The columns of gold labels that the user names."""
        return (self.gold,) if isinstance(self.gold, str) else self.gold or ()

    @property
    def named(self) -> dict[str, str]:
        """The names that the user gives, by ours."""
        names = {"text": self.text, "term": self.term, "label": self.label}
        return {ours: theirs for ours, theirs in names.items() if theirs is not None}


_PLAIN = AnnotationOptions()


class AnnotationFile(NamedTuple):
    """A file of annotations.

    Attributes:
        annotations: What it holds.
        left_out: How many rows were left out, by reason code.
    """

    annotations: list[Annotation]
    left_out: Counter[str]


def open_annotations(path: Path, options: AnnotationOptions = _PLAIN) -> list[Table]:
    """The tables of a file; none where it is JSON, whose rows have no columns.

    Raises:
        DataError: It cannot be read.
    """
    if path.suffix.lower() == ".json":
        return []
    needed = [{options.named.get("text", "text")}]
    tables = open_tables(path, quoted=options.quoted, needed=needed, encoding=options.encoding)
    for line in reading_notes(tables):
        _LOG.info("%s", line)
    return tables


def read_annotations(
    path: Path,
    task: Task | None = None,
    options: AnnotationOptions = _PLAIN,
    tables: Sequence[Table] | None = None,
    *,
    is_gold: bool = False,
) -> AnnotationFile:
    """Read a file of annotations.

    Texts are as an Excel cell keeps them, so that the same annotations meet whatever format they had.

    Args:
        path: The file, or a folder of tables.
        task: Its spellings of the labels count as the same; None takes them as they are written.
        options: How it is read.
        tables: Of the file, where it is open.
        is_gold: Whether its label is that of the gold column, where it has one.

    Raises:
        DataError: It cannot be read, a column is missing, or no row has an annotation.
    """
    tables = open_annotations(path, options) if tables is None else tables
    if tables:
        found = _from_tables(tables, options, is_gold=is_gold)
    else:
        found = _from_json(path, options.encoding, task)
    annotations, left_out = list[Annotation](), Counter[str]()
    for each in found:
        if isinstance(each, Annotation) and is_blank(each.text):
            left_out["empty_text"] += 1
        elif isinstance(each, Annotation):
            known = _spelled(each, task) if task else each
            annotations.append(replace(known, label=known.gold) if is_gold and known.votes else known)
        else:
            left_out[each] += 1
    if all(annotation.label is None for annotation in annotations):
        raise DataError(f"{path}: no row has a label; expected text, term (or keyword) and label")
    return AnnotationFile(annotations, left_out)


def gold_names(tables: Iterable[Table], options: AnnotationOptions) -> tuple[str, ...]:
    """The columns that say that they hold gold labels: those that the user names, else one or none.

    Raises:
        DataError: The user names one, and no table has it.
    """
    tables = list(tables)
    there = {name for table in tables for name in table.columns}
    for name in options.gold_columns if tables else ():
        if name not in there:
            raise missing_column(tables[0], "the gold labels", name, "--gold-column")
    return _golds_in(there, options)


def _golds_in(names: Collection[str], options: AnnotationOptions) -> tuple[str, ...]:
    found = tuple(name for name in options.gold_columns if name in names)
    return found or tuple(name for name in _GOLD if name in names)[:1]


def _from_json(path: Path, encoding: str | None, task: Task | None) -> Iterator[Annotation | str]:
    name = None if encoding is None else of_several_files(path, encoding).name
    source = SourceRecipe.model_validate({"path": str(path), "encoding": name})
    for record in read_source(source, task=task):
        if not isinstance(record, Record):
            yield record.reason
            continue
        groups = {name: record.meta[name] for name in GROUPS if name in record.meta}
        own = {name: value for name, value in record.meta.items() if name not in GROUPS}
        yield replace(_annotation(record, groups), own=own)


def _from_tables(
    tables: Iterable[Table], options: AnnotationOptions, *, is_gold: bool
) -> Iterator[Annotation | str]:
    for table in tables:
        golds = _golds_in(table.columns, options)
        columns = _columns(table, options, golds[0] if is_gold and golds else None)
        taken = {*columns.flat.values(), *GROUPS, *(golds if len(golds) == 1 else ())}
        for row in table.rows():
            cells = columns.cells(row.values)
            pair = row.problem or read_pair(cells)
            if isinstance(pair, Problem):
                yield pair.reason
                continue
            for record in span_records(Record(*pair, as_label(cells.get("label")), where=row.where)):
                if isinstance(record, Record):
                    yield _annotation_of_row(row, record, golds, taken)
                else:
                    yield record.reason


def _columns(table: Table, options: AnnotationOptions, label: str | None) -> Columns:
    """Where text, term, offsets and label are; ``label`` is the column of a gold label."""
    chosen = {ours: theirs for ours, theirs in options.named.items() if _is_there(theirs, table)}
    chosen = label_column(table.columns, chosen) if label is None else {**chosen, "label": label}
    if not options.offsets:
        chosen |= {"start": "", "end": ""}
    elif "text" not in chosen and "text" not in table.columns:
        chosen = _by_offsets(table) | chosen
    # What the user names and is not there is the name that the message gives.
    wanted = {ours: theirs for ours, theirs in options.named.items() if ours not in table.columns}
    columns = Columns.of(table, wanted | chosen, ("text", "label"), _SETTING)
    has_term = columns.name("start") or _is_there(columns.name("term"), table)
    if not has_term and not _lists_spans(table, columns):
        raise missing_column(table, "term", wanted.get("term", "term"), _SETTING)
    return columns


def _lists_spans(table: Table, columns: Columns) -> bool:
    """Whether the labels of the first rows are lists of spans, which have their terms with them."""
    rows = itertools.islice(table.rows(), _HEAD)
    return any(may_hold_spans(as_label(columns.cells(row.values).get("label"))) for row in rows)


def _by_offsets(table: Table) -> dict[str, str]:
    """The columns of text and term, by the term that stands at the offsets; none where that is unclear."""
    hits, num_rows = Counter[tuple[str, str]](), 0
    for row in itertools.islice(table.rows(), _HEAD):
        try:
            start, end = as_offset(row.values.get("start")), as_offset(row.values.get("end"))
        except ValueError:
            continue
        if start is None or end is None or not 0 <= start < end:
            continue
        num_rows += 1
        strings = dict(_strings(row.values))
        for text, whole in strings.items():
            hits.update(
                (text, term) for term, part in strings.items() if term != text and part == whole[start:end]
            )
    texts = Counter[str]()
    for (text, _), count in hits.items():
        texts[text] = max(texts[text], count)
    best = texts.most_common(2)
    if not best or best[0][1] * 2 <= num_rows or (len(best) == 2 and best[0][1] == best[1][1]):
        return {}
    text = best[0][0]
    term = max((name for of, name in hits if of == text), key=lambda name: hits[text, name])
    _LOG.info(
        "%s: the text is read from the column %r and the term from %r, because the terms stand at its "
        "offsets; --text and --term name others", table.name, text, term,
    )  # fmt: skip
    return {"text": text, "term": term}


def _strings(values: Mapping[str, Any], within: str = "") -> Iterator[tuple[str, str]]:
    for name, value in values.items():
        if isinstance(value, str):
            yield f"{within}{name}", value
        elif isinstance(value, Mapping):
            yield from _strings(value, f"{within}{name}.")


def _is_there(name: str, table: Table) -> bool:
    return bool(name) and (name in table.columns or name.split(".", maxsplit=1)[0] in table.columns)


def _annotation_of_row(row: Row, record: Record, golds: Sequence[str], taken: Collection[str]) -> Annotation:
    """What a row says; ``golds`` are its columns of gold labels, ``taken`` those that are not its own."""
    values = row.values
    probs = {
        name.removeprefix(_PROB): prob
        for name, value in values.items()
        if name.startswith(_PROB) and name != _PROB and (prob := _number(value)) is not None
    }
    groups = {name: text for name in GROUPS if (text := as_text(values.get(name)))}
    said = {name: label for name in golds if (label := as_label(values.get(name)))}
    is_own = (name not in taken and name != "prob" and not name.startswith(_PROB) for name in values)
    return replace(
        _annotation(record, groups),
        prob=_number(values.get("prob")),
        probs=probs,
        gold=consensus(said.values()),
        given=as_label(values.get(GIVEN)),
        own=dict(compress(values.items(), is_own)),
        votes=said if len(golds) > 1 else {},
    )


def _annotation(record: Record, groups: Mapping[str, str]) -> Annotation:
    """An annotation whose term and offsets are repaired as ``attar prepare`` repairs them."""
    text, term, start, end = record.text, record.term, record.start, record.end
    if start is None and end is None:
        start_of_term = next(iter(occurrences(text, term)), None)
        term = text[slice(*start_of_term)] if start_of_term else term
    elif term.strip() and term != text[start:end]:
        place = repair(text, term, start, end, is_marked=record.is_marked)
        start, end = (place.start, place.end) if isinstance(place, Repair) else (start, end)
    if start is not None and end is not None and start < end:
        term = text[start:end]
    return Annotation(
        cell_text(text), cell_text(term), start, end, record.label, groups=groups, where=record.where
    )


def _spelled(annotation: Annotation, task: Task) -> Annotation:
    """The annotation with its labels as the task spells them; one that the task does not know stays."""
    label, gold, given = (
        said and (task.label_of(said) or said)
        for said in (annotation.label, annotation.gold, annotation.given)
    )
    if not annotation.votes:
        return replace(annotation, label=label, gold=gold, given=given)
    votes = {name: task.label_of(said) or said for name, said in annotation.votes.items()}
    return replace(annotation, label=label, gold=consensus(votes.values()), given=given, votes=votes)


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str) or value == "":
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None
