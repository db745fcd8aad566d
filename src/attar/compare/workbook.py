"""The annotations of one or more side by side in a workbook: wrong, correct, different, all wrong, slices.

Last step of ``attar compare``, and the ``answers.xlsx`` of ``attar evaluate``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from attar.compare.comparison import Comparison, figures_of
from attar.compare.join import Annotation, Case
from attar.compare.names import sheet_title
from attar.language.translator import ENGLISH, N_, Translator
from attar.task import Example, Task
from attar.workbook.sheets import Book, Cell, Column, Sheet, open_workbook
from attar.workbook.tally import GROUPS, write_tally

__all__ = ["write_answers", "write_side_by_side"]


def write_side_by_side(path: Path, comparison: Comparison, figures: Mapping[str, Any]) -> dict[str, int]:
    """Write the workbook.

    Args:
        path: Where to.
        comparison: What it shows.
        figures: As ``attar.compare.stage.compare_files`` gives them; what they lack is left out.

    Returns:
        The rows of every sheet, by its title.

    Raises:
        MissingPackageError: Openpyxl is not installed.
    """
    tr = comparison.tr
    with open_workbook(path) as book:
        page = book.sheet(tr("summary"))
        if figures.get("slices"):
            _write_slices(book, comparison.names, figures["slices"], tr)
        sheets = [book.sheet(tr("result"), comparison.columns)]
        for case in comparison.cases:
            sheets[0].append(comparison.cells(case))
        for wanted in _wanted(comparison):
            sheets.append(_sheet(book, comparison, wanted, [sheet.title for sheet in sheets]))
        num_rows = {sheet.title: sheet.num_rows for sheet in sheets}
        _summary(page, comparison, figures, num_rows)
        for name, tally in zip(comparison.names, comparison.tallies, strict=True):
            write_tally(page, tally, name if len(comparison.names) > 1 else "", tr)
    return num_rows


def write_answers(
    path: Path,
    examples: Sequence[Example],
    task: Task,
    probs: Mapping[str, NDArray[np.float32]],
    tr: Translator = ENGLISH,
) -> None:
    """Write every annotation of a report's model on the test split, beside its reference's.

    Args:
        path: Where to.
        examples: N labelled examples.
        task: Names the labels.
        probs: [N, C] of the models, by name.
        tr: Of the language of titles and headings.

    Raises:
        MissingPackageError: Openpyxl is not installed.
    """
    sides = [
        [_annotation(e, task, row) for e, row in zip(examples, of.tolist(), strict=True)]
        for of in probs.values()
    ]
    cases = [Case(tuple(met), example.label) for *met, example in zip(*sides, examples, strict=True)]
    comparison = Comparison(tuple(probs), cases, task.labels, tr=tr)
    write_side_by_side(path, comparison, figures_of(comparison))


class _Wanted(NamedTuple):
    """A sheet: its title, of which the kind and the name, its cases, and the sides whose probs rank these."""

    kind: str
    name: str
    cases: Sequence[Case]
    ranked_by: Sequence[int] = ()
    is_answered: bool = True


def _wanted(comparison: Comparison) -> Iterator[_Wanted]:
    """Every sheet after the first."""
    cases, sides = comparison.cases, comparison.sides
    names = comparison.names if len(sides) > 1 else ("",)
    if len(sides) > 1:
        yield _Wanted(N_("different"), "", [case for case in cases if _differ(case)], sides)
    judged = [bool(tally.num_gold) for tally in comparison.tallies]
    for side, name in enumerate(names):
        if judged[side]:
            wrong = [case for case in cases if _is_right(case, side) is False]
            yield _Wanted(N_("wrong"), name, wrong, (side,))
            yield _Wanted(N_("correct"), name, [case for case in cases if _is_right(case, side)])
    if len(sides) > 1:
        if all(judged):
            everyone = [case for case in cases if all(_is_right(case, side) is False for side in sides)]
            yield _Wanted(N_("both wrong") if len(sides) == 2 else N_("all wrong"), "", everyone, sides)
        for side, name in enumerate(names):
            alone = [case for case in cases if case.sides[side] and sum(map(bool, case.sides)) == 1]
            yield _Wanted(N_("only in"), name, alone)
    if comparison.only_gold:
        asked = [Case((one, *(None for _ in sides[1:])), one.label) for one in comparison.only_gold]
        yield _Wanted(N_("only in"), comparison.tr("gold"), asked, is_answered=False)


def _sheet(book: Book, comparison: Comparison, wanted: _Wanted, taken: Sequence[str]) -> Sheet:
    sheet = book.sheet(sheet_title(comparison.tr(wanted.kind), wanted.name, taken), comparison.columns)
    sheet.show()
    ranks = [sum(_prob(case, side) for side in wanted.ranked_by) for case in wanted.cases]
    for i in sorted(range(len(ranks)), key=lambda i: -ranks[i]):
        sheet.append(comparison.cells(wanted.cases[i], is_answered=wanted.is_answered))
    return sheet


def _write_slices(
    book: Book, names: Sequence[str], slices: Sequence[Mapping[str, Any]], tr: Translator
) -> None:
    """A row for each slice: accuracy of every side with its interval, and the difference from the first."""
    columns = [Column(tr("by")), Column(tr("value")), Column(tr("n"), "number")]
    columns.append(Column(tr.context("number", "reviews"), "number"))
    for place, name in enumerate(names):
        of = f" {name}" if len(names) > 1 else ""
        columns += [Column(tr("accuracy") + of, "percent"), Column(tr("low") + of, "percent")]
        columns += [Column(tr("high") + of, "percent"), Column(tr("macro-F1") + of, "share")]
        if place:
            minus = f"{name} − {names[0]}"
            starts = ("", f"{tr('low')} ", f"{tr('high')} ")
            columns += [Column(f"{start}{minus}", "percent") for start in starts]
    sheet = book.sheet(tr("slices"), columns)
    for one in slices:
        cells: list[Cell] = [tr(one["by"]), tr(one["value"]), one["num"], one["num_reviews"]]
        for figures in one["sides"].values():
            cells += [figures["accuracy"][key] for key in ("value", "low", "high")]
            cells.append(figures["macro_f1"])
            if gap := figures.get("difference"):
                cells += [gap[key] for key in ("value", "low", "high")]
        sheet.append(cells)


def _summary(
    page: Sheet, comparison: Comparison, figures: Mapping[str, Any], num_rows: Mapping[str, int]
) -> None:
    tr = comparison.tr
    page.heading("attar compare")
    for name in comparison.names:
        page.append([tr("compared"), name])
    for said, value in comparison.notes.items():
        page.append([said, value])
    for line in figures.get("said", ()):
        page.append([tr("note"), line])
    if figures["agreement"]:
        page.append([])
        page.heading(
            tr("agreement"), tr("and"), tr("answered by both"), tr("same label"), tr("share"),
            tr("Cohen's kappa"),
        )  # fmt: skip
        for pair in figures["agreement"]:
            counts = [pair["first"], pair["second"], pair["num_both"], pair["num_same"]]
            page.append([*counts, round(pair["share"], 4), _rounded(pair["kappa"])])
    _differences(page, figures.get("differences", ()), tr)
    _annotators(page, figures.get("annotators"), tr)
    page.append([])
    page.heading(tr("sheet"), tr("rows"))
    for title, count in num_rows.items():
        page.append([title, count])


def _differences(page: Sheet, pairs: Sequence[Mapping[str, Any]], tr: Translator) -> None:
    if not pairs:
        return
    page.append([])
    page.heading(
        tr("difference of macro-F1"), tr("minus"), tr("value"), tr("95 % from"), tr("to"), tr("n"),
        tr.context("number", "reviews"), tr("only the first right"), tr("only the second right"),
        tr("McNemar's p"),
    )  # fmt: skip
    for pair in pairs:
        gap, test = pair["macro_f1"], pair["mcnemar"]
        page.append(
            [
                pair["second"], pair["first"], *(round(gap[key], 4) for key in ("value", "low", "high")),
                pair["num"], pair["num_reviews"], test["only_second"], test["only_first"],
                float(f"{test['p']:.3g}"),
            ]
        )  # fmt: skip


def _annotators(page: Sheet, found: Mapping[str, Any] | None, tr: Translator) -> None:
    if found is None:
        return
    page.append([])
    page.heading(
        tr("annotators of the gold labels"), tr("and"), tr("labelled by both"), tr("same label"),
        tr("Cohen's kappa"),
    )  # fmt: skip
    for pair in found["pairs"]:
        page.append([*pair["annotators"], pair["num_spans"], pair["percent"], _rounded(pair["kappa"])])
    if "fleiss" in found:
        page.append([tr("Fleiss' kappa"), _rounded(found["fleiss"]), tr("labelled by all"), found["num_all"]])
    alpha, by_two = tr("Krippendorff's alpha"), tr("labelled by two or more")
    page.append([alpha, _rounded(found["alpha"]), by_two, found["num"]])


def _rounded(value: float | None) -> Cell:
    return "–" if value is None else round(value, 4)


def _is_right(case: Case, side: int) -> bool | None:
    """Whether a side gives the gold label; None where it gives no annotation or there is none."""
    annotation = case.sides[side]
    if annotation is None or annotation.label is None or case.gold is None:
        return None
    return annotation.label == case.gold


def _differ(case: Case) -> bool:
    return len({label for label in case.labels if label is not None}) > 1


def _prob(case: Case, side: int) -> float:
    annotation = case.sides[side]
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
