"""Annotations of one or two, side by side in a workbook: wrong, correct, different, both wrong.

Last step of ``attar compare``, and the ``answers.xlsx`` of ``attar evaluate``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from attar.compare.join import Agreement, Annotation, Case, agreement
from attar.task import Example, Task
from attar.workbook.sheets import Book, Cell, Column, Marked, Sheet, open_workbook
from attar.workbook.tally import GROUPS, Tally, write_tally

__all__ = ["ANSWERS", "Comparison", "write_answers", "write_side_by_side"]

ANSWERS = "answers.xlsx"


@dataclass(frozen=True)
class Comparison:
    """What is compared.

    Attributes:
        names: Of A, or of A and B.
        cases: Every question that one of them answered.
        labels: In the order of the tables.
        only_gold: Gold rows whose question nobody answered.
        notes: More for the summary, by what it says.
    """

    names: tuple[str, ...]
    cases: Sequence[Case]
    labels: Sequence[str]
    only_gold: Sequence[Annotation] = ()
    notes: Mapping[str, Cell] = field(default_factory=dict)

    @property
    def sides(self) -> tuple[str, ...]:
        """What they are called in the sheets: "" alone, else A and B."""
        return ("A", "B") if len(self.names) == 2 else ("",)

    @cached_property
    def shown_probs(self) -> dict[str, list[str]]:
        """The labels for which a side gives probs, by side."""
        shown = {}
        for side in self.sides:
            first = next((annotation for case in self.cases if (annotation := _of(case, side))), None)
            shown[side] = [label for label in self.labels if first and label in first.probs]
        return shown

    def tally(self, side: str) -> Tally:
        """Counts of one side's annotations."""
        counted = Tally(self.labels)
        for case in self.cases:
            annotation = _of(case, side)
            if annotation is not None and annotation.label is not None:
                counted.add(annotation.label, case.gold, annotation.groups)
        return counted

    def agreement(self) -> Agreement:
        """How far A and B agree."""
        both = ((case.a, case.b) for case in self.cases if case.a is not None and case.b is not None)
        return agreement((a.label, b.label) for a, b in both if a.label is not None and b.label is not None)


def write_side_by_side(path: Path, comparison: Comparison) -> dict[str, Any]:
    """Write the workbook.

    Returns:
        The main figures: ``sides`` (name, num, num_gold, accuracy, macro_f1), for two also num_both,
        num_same, share, kappa; and the rows of every sheet, by its title.

    Raises:
        MissingPackageError: Openpyxl is not installed.
    """
    tallies = {side: comparison.tally(side) for side in comparison.sides}
    figures: dict[str, Any] = {
        "sides": {side or "A": _figures(name, tallies[side]) for side, name in _named(comparison)}
    }
    if len(comparison.names) == 2:
        agreed = comparison.agreement()
        figures |= {"num_both": agreed.num, "num_same": agreed.num_same}
        figures |= {"share": agreed.share, "kappa": agreed.kappa}
    with open_workbook(path) as book:
        page = book.sheet("summary")
        sheets = [book.sheet("result", _columns(comparison))]
        for case in comparison.cases:
            sheets[0].append(_cells(comparison, case))
        sheets += [_sheet(book, comparison, *wanted) for wanted in _wanted(comparison, tallies)]
        figures["sheets"] = {sheet.title: sheet.num_rows for sheet in sheets}
        _summary(page, comparison, figures)
        for side, tally in tallies.items():
            write_tally(page, tally, side)
    return figures


def write_answers(
    path: Path, examples: Sequence[Example], task: Task, probs: Mapping[str, NDArray[np.float32]]
) -> None:
    """Write every annotation of a report's model on the test split, beside its reference's.

    Args:
        path: Where to.
        examples: N labelled examples.
        task: Names the labels.
        probs: [N, C] of one or two models, by name: A, then B.

    Raises:
        MissingPackageError: Openpyxl is not installed.
    """
    sides = [
        [_annotation(e, task, row) for e, row in zip(examples, of.tolist(), strict=True)]
        for of in probs.values()
    ]
    seconds = sides[1] if len(sides) == 2 else [None] * len(examples)
    cases = [Case(a, b, example.label) for a, b, example in zip(sides[0], seconds, examples, strict=True)]
    write_side_by_side(path, Comparison(tuple(probs), cases, task.labels))


# A title, its cases, and the sides whose probs say how high each case stands.
_Wanted = tuple[str, Sequence[Case], Sequence[str]]


def _wanted(comparison: Comparison, tallies: Mapping[str, Tally]) -> list[_Wanted]:
    """Every sheet after the first."""
    cases, wanted = comparison.cases, list[_Wanted]()
    if len(comparison.names) == 2:
        different = [case for case in cases if _differ(case)]
        wanted.append(("different", different, ("A", "B")))
    for side in comparison.sides:
        if tallies[side].num_gold:
            wrong = [case for case in cases if _is_right(case, side) is False]
            correct = [case for case in cases if _is_right(case, side)]
            wanted.append((f"wrong {side}".rstrip(), wrong, (side,)))
            wanted.append((f"correct {side}".rstrip(), correct, ()))
    if len(comparison.names) == 2:
        if tallies["A"].num_gold and tallies["B"].num_gold:
            both = [case for case in cases if _is_right(case, "A") is False and _is_right(case, "B") is False]
            wanted.append(("both wrong", both, ("A", "B")))
        wanted.append(("only in A", [case for case in cases if case.b is None], ()))
        wanted.append(("only in B", [case for case in cases if case.a is None], ()))
    if comparison.only_gold:
        unanswered = [Case(annotation, None, annotation.label) for annotation in comparison.only_gold]
        wanted.append(("only in gold", unanswered, ()))
    return wanted


def _sheet(
    book: Book, comparison: Comparison, title: str, cases: Sequence[Case], ranked_by: Sequence[str]
) -> Sheet:
    sheet = book.sheet(title, _columns(comparison))
    sheet.show()
    for case in sorted(cases, key=lambda case: sum(_prob(case, side) for side in ranked_by), reverse=True):
        sheet.append(_cells(comparison, case, is_answered=title != "only in gold"))
    return sheet


def _columns(comparison: Comparison) -> list[Column]:
    columns = [Column("text", "text"), Column("term"), *(Column(name) for name in GROUPS), Column("gold")]
    for side in comparison.sides:
        columns += [Column(f"label {side}".rstrip()), Column(f"prob {side}".rstrip(), "share")]
    for side, labels in comparison.shown_probs.items():
        columns += [Column(f"prob_{label} {side}".rstrip(), "share") for label in labels]
    return [*columns, Column("start", "number"), Column("end", "number")]


def _cells(comparison: Comparison, case: Case, *, is_answered: bool = True) -> list[Cell]:
    asked = case.asked
    is_placed = asked.start is not None and asked.end is not None
    text = Marked(asked.text, asked.start or 0, asked.end or 0) if is_placed else asked.text
    groups = {**(case.b.groups if case.b else {}), **asked.groups}
    cells: list[Cell] = [text, asked.term, *(groups.get(name) for name in GROUPS), case.gold]
    annotations = {side: _of(case, side) if is_answered else None for side in comparison.sides}
    for annotation in annotations.values():
        cells += [annotation.label, annotation.prob] if annotation else [None, None]
    for side, annotation in annotations.items():
        labels = comparison.shown_probs[side]
        cells += [annotation.probs.get(label) if annotation else None for label in labels]
    return [*cells, asked.start, asked.end]


def _summary(page: Sheet, comparison: Comparison, figures: Mapping[str, Any]) -> None:
    page.heading("attar compare")
    for side, name in _named(comparison):
        page.append([side or "answers", name])
    for said, value in comparison.notes.items():
        page.append([said, value])
    if len(comparison.names) == 2:
        page.append([])
        page.heading("agreement")
        page.append(["answered by both", figures["num_both"]])
        page.append(["same label", figures["num_same"]])
        page.append(["share", round(figures["share"], 4)])
        page.append(["Cohen's kappa", "–" if figures["kappa"] is None else round(figures["kappa"], 4)])
    page.append([])
    page.heading("sheet", "rows")
    for title, num_rows in figures["sheets"].items():
        page.append([title, num_rows])


def _named(comparison: Comparison) -> list[tuple[str, str]]:
    return list(zip(comparison.sides, comparison.names, strict=True))


def _figures(name: str, tally: Tally) -> dict[str, Any]:
    judged = tally.num_gold > 0
    return {
        "name": name,
        "num": tally.predicted.total(),
        "num_gold": tally.num_gold,
        "accuracy": tally.accuracy if judged else None,
        "macro_f1": tally.macro_f1 if judged else None,
    }


def _of(case: Case, side: str) -> Annotation | None:
    return case.b if side == "B" else case.a


def _is_right(case: Case, side: str) -> bool | None:
    """Whether a side gives the gold label; None where it gives no annotation or there is none."""
    annotation = _of(case, side)
    if annotation is None or annotation.label is None or case.gold is None:
        return None
    return annotation.label == case.gold


def _differ(case: Case) -> bool:
    if case.a is None or case.b is None or case.a.label is None or case.b.label is None:
        return False
    return case.a.label != case.b.label


def _prob(case: Case, side: str) -> float:
    annotation = _of(case, side)
    return 0.0 if annotation is None or annotation.prob is None else annotation.prob


def _annotation(example: Example, task: Task, probs: Sequence[float]) -> Annotation:
    best = max(range(len(probs)), key=probs.__getitem__)
    term = example.term if task.has_term else example.second
    return Annotation(
        text=example.text,
        term=term,
        start=example.start,
        end=example.end,
        label=task.labels[best],
        prob=round(probs[best], 6),
        probs={label: round(prob, 6) for label, prob in zip(task.labels, probs, strict=True)},
        groups={name: example.meta[name] for name in GROUPS if name in example.meta},
    )
