"""``attar compare``: files of answers in, one workbook and its main figures out.

A file is whatever ``attar score`` wrote as a table, or what people labelled: any table with text,
term and label, the JSON rows of ``attar prepare``, an export of Label Studio. Both are held in
memory.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from attar.compare.join import Answer, Case, gold_of, join
from attar.compare.workbook import Comparison, write_side_by_side
from attar.errors import DataError
from attar.recipe.load import SourceRecipe
from attar.records.readers.sources import read_source
from attar.records.record import Record
from attar.scoring.reading import RowSource, open_rows, value_at
from attar.scoring.spans import ColumnNames
from attar.task import Task
from attar.workbook.sheets import Cell, cell_text
from attar.workbook.tally import GROUPS

__all__ = ["AnswerFile", "compare_files", "read_answers"]

_PROB = "prob_"
_GOLD = "input_label"


def compare_files(
    a: Path, b: Path | None, out: Path, *, gold: Path | None = None, task: Task | None = None
) -> dict[str, Any]:
    """Put the answers of one or two files side by side in a workbook.

    Args:
        a: A file of answers.
        b: Another, or None to judge ``a`` alone.
        out: The workbook to write, .xlsx.
        gold: A file whose labels are the gold ones; None takes the ``input_label`` columns, A's
            before B's.
        task: Its spellings of the labels count as the same; None takes them as they are written.

    Returns:
        The figures that ``attar.compare.workbook.write_side_by_side`` gives.

    Raises:
        DataError: A file cannot be read or holds no answers, there is nothing to compare with,
            or ``out`` is no .xlsx or one of the files.
    """
    if out.suffix.lower() != ".xlsx":
        raise DataError(f"{out}: attar compare writes an Excel workbook; name it .xlsx")
    files = {name: path for name, path in (("A", a), ("B", b), ("gold", gold)) if path is not None}
    if out.resolve() in [path.resolve() for path in files.values()]:
        raise DataError(f"{out} is one of the files that are compared; name another file to write")
    read = {name: read_answers(path, task) for name, path in files.items()}
    cases = join(read["A"].answers, read["B"].answers if b is not None else [])
    cases, only_gold, notes = _judged(cases, read.get("gold"))
    if b is None and all(case.gold is None for case in cases):
        raise DataError(
            f"{a} has no gold labels to compare with: name a file that has with --gold "
            f"({_GOLD!r} is the column that attar score keeps them in), or a second file of answers"
        )
    for name, file in read.items():
        notes |= {f"left out of {name}: {reason}": count for reason, count in file.left_out.items()}
    names = tuple(str(path) for path in (a, b) if path is not None)
    return write_side_by_side(out, Comparison(names, cases, _labels(cases, task), only_gold, notes))


class AnswerFile(NamedTuple):
    """A file of answers: what it holds, and how many rows were left out, by reason code."""

    answers: list[Answer]
    left_out: Counter[str]


def read_answers(path: Path, task: Task | None = None) -> AnswerFile:
    """Read a file of answers.

    Texts are as an Excel cell keeps them, so that the same answers meet whatever form they had.

    Raises:
        DataError: It cannot be read, a column is missing, or no row has an answer.
    """
    found = _from_json(path) if path.suffix.lower() == ".json" else _from_table(open_rows(path))
    answers, left_out = list[Answer](), Counter[str]()
    for each in found:
        if isinstance(each, Answer):
            answers.append(_spelled(each, task))
        else:
            left_out[each] += 1
    if all(answer.label is None for answer in answers):
        raise DataError(f"{path}: no row has a label; expected text, term (or keyword) and label")
    return AnswerFile(answers, left_out)


def _judged(cases: list[Case], gold: AnswerFile | None) -> tuple[list[Case], list[Answer], dict[str, Cell]]:
    """The cases with their gold labels, the gold rows that none of them asks, and what to note."""
    if gold is not None:
        found = gold_of([case.asked for case in cases], gold.answers)
        judged = [case._replace(gold=label) for case, label in zip(cases, found.labels, strict=True)]
        return judged, found.unused, {"questions with several gold labels": found.num_contradictory}
    judged = [case._replace(gold=_own_gold(case)) for case in cases]
    quarrels = sum(len({x.gold for x in (case.a, case.b) if x and x.gold}) > 1 for case in cases)
    return judged, [], {"gold labels that differ between A and B (A's count)": quarrels} if quarrels else {}


def _from_json(path: Path) -> Iterator[Answer | str]:
    for record in read_source(SourceRecipe(path=str(path))):
        if not isinstance(record, Record):
            yield record.reason
            continue
        groups = {name: record.meta[name] for name in GROUPS if name in record.meta}
        text, label = cell_text(record.text), record.label
        term = _term(text, record.term, record.start, record.end)
        yield Answer(text, term, record.start, record.end, label, groups=groups)


def _from_table(rows: RowSource) -> Iterator[Answer | str]:
    for needed in ("text", "label"):
        if needed not in rows.columns:
            there = ", ".join(rows.columns[:12]) or "none that can be read"
            raise DataError(f"{rows.name} has no column {needed!r}; its columns: {there}")
    term = next((name for name in ("term", "keyword") if name in rows.columns), "")
    places = ColumnNames("text", term, "start", "end")
    if not term and not {"start", "end"} <= set(rows.columns):
        raise DataError(f"{rows.name} names no terms; expected a column term (or keyword), or start and end")
    for row in rows.rows():
        yield row.problem or _answer(row.values, places)


def _answer(values: Mapping[str, Any], places: ColumnNames) -> Answer:
    text = cell_text(_text(values.get(places.text)))
    start, end = _whole(values.get(places.start)), _whole(values.get(places.end))
    probs = {name.removeprefix(_PROB): p for name, v in values.items() if (p := _share(name, v)) is not None}
    groups = {name: _text(values[name]) for name in GROUPS if _text(values.get(name))}
    return Answer(
        text=text,
        term=_term(text, _text(value_at(values, places.term)) if places.term else "", start, end),
        start=start,
        end=end,
        label=_text(values.get("label")) or None,
        prob=_number(values.get("prob")),
        probs=probs,
        gold=_text(values.get(_GOLD)) or None,
        groups=groups,
    )


def _term(text: str, term: str, start: int | None, end: int | None) -> str:
    return text[start:end] if start is not None and end is not None and end > start else cell_text(term)


def _spelled(answer: Answer, task: Task | None) -> Answer:
    """The answer with its labels as the task spells them; one that the task does not know stays."""
    if task is None:
        return answer
    label, gold = (said and (task.label_of(said) or said) for said in (answer.label, answer.gold))
    return replace(answer, label=label, gold=gold)


def _own_gold(case: Case) -> str | None:
    golds = [answer.gold for answer in (case.a, case.b) if answer is not None and answer.gold is not None]
    return golds[0] if golds else None


def _labels(cases: Sequence[Case], task: Task | None) -> list[str]:
    """The labels of the tables: the task's, or those of the probs; then what else occurs."""
    counts = Counter[str]()
    known = dict.fromkeys(task.labels if task else ())
    for case in cases:
        counts.update([case.gold] if case.gold else [])
        for answer in (case.a, case.b):
            if answer is not None:
                known |= dict.fromkeys(answer.probs)
                counts.update([answer.label] if answer.label else [])
    return [*known, *sorted(counts.keys() - known.keys())]


def _text(value: object) -> str:
    if value is None or value != value:  # noqa: PLR0124 - NaN is how some tables say nothing
        return ""
    return str(value)


def _share(name: str, value: object) -> float | None:
    return _number(value) if name.startswith(_PROB) and len(name) > len(_PROB) else None


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str) or value == "":
        return None
    try:
        return float(value)
    except ValueError:
        return None


def _whole(value: object) -> int | None:
    number = _number(value)
    return int(number) if number is not None and number.is_integer() else None
