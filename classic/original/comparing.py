"""Predictions and gold labels as the original's Excel files: result, wrong, correct and different.

``predictions -> cases -> workbooks``. The tools get the predictions (from a file, a service, a person);
``attar.compare.join`` pairs them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from attar.compare.join import Annotation, Case, agreement
from attar.task import Example
from attar.workbook.sheets import Cell, Column, Marked, open_workbook
from original.tool import say

__all__ = ["prediction_of", "write_different", "write_predictions"]

_INPUT = (Column("text", "text"), Column("keyword"))
_PLACE = (Column("start", "number"), Column("end", "number"), Column("channel"), Column("wordtype"))


def prediction_of(example: Example, label: str | None = None, prob: float | None = None) -> Annotation:
    """A prediction for an example; the example's label is the gold one."""
    # A row of three columns does not say which occurrence is meant.
    start, end = (None, None) if example.second else (example.start, example.end)
    term = example.second or example.term
    groups = {name: example.meta[name] for name in ("channel", "wordtype") if name in example.meta}
    return Annotation(example.text, term, start, end, label, prob, gold=example.label, groups=groups)


def write_predictions(out: Path, predictions: Sequence[Annotation], suffix: str = "") -> None:
    """Write result.xlsx, wrong.xlsx (the most probable first) and correct.xlsx, and print the counts.

    Args:
        out: The folder.
        predictions: With their gold labels.
        suffix: Appended to the names, before the extension.
    """
    judged = [prediction for prediction in predictions if prediction.gold is not None]
    wrong = sorted((a for a in judged if a.label != a.gold), key=lambda a: -(a.prob or 0.0))
    correct = [prediction for prediction in judged if prediction.label == prediction.gold]
    columns = (*_INPUT, Column("label"), Column("predict"), Column("probability", "share"), *_PLACE)
    for name, part in (("result", predictions), ("wrong", wrong), ("correct", correct)):
        path = out / f"{name}{suffix}.xlsx"
        rows = ([*_text_and_term(a), a.gold, a.label, a.prob, *_place(a)] for a in part)
        _write(path, columns, rows)
        say(f"保存到excel成功{path}")
    say(f"总样本数是{len(predictions)},预测错误的样本总数是{len(wrong)},预测正确的样本总数是{len(correct)}")
    if judged:
        say(f"准确率为{len(correct) / len(judged)}")


def write_different(out: Path, cases: Iterable[Case]) -> None:
    """Write different.xlsx, the rows that two label differently, and print their agreement."""
    both = [
        (a, b, case.gold)
        for case in cases
        for a, b in (case.sides,)
        if a is not None and b is not None and a.label and b.label
    ]
    different = [(a, b, gold) for a, b, gold in both if a.label != b.label]
    columns = (
        *_INPUT, Column("label"), Column("P1_label"), Column("P2_label"),
        Column("P1_probability", "share"), Column("P2_probability", "share"), *_PLACE,
    )  # fmt: skip
    path = out / "different.xlsx"
    rows = (
        [*_text_and_term(a), gold, a.label, b.label, a.prob, b.prob, *_place(a)] for a, b, gold in different
    )
    _write(path, columns, rows)
    say(f"保存到excel成功{path}")
    agreed = agreement((a.label or "", b.label or "") for a, b, _ in both)
    kappa = "–" if agreed.kappa is None else f"{agreed.kappa:.3f}"
    say(f"共同的数据总量是{agreed.num},不一致的数据总量是{len(different)},Cohen's kappa {kappa}")
    if any(gold for _, _, gold in different):
        first = sum(a.label == gold for a, _, gold in different)
        second = sum(b.label == gold for _, b, gold in different)
        say(f"不一致的数据中,P1正确{first},P2正确{second}")


def _write(path: Path, columns: Sequence[Column], rows: Iterable[Sequence[Cell]]) -> None:
    with open_workbook(path) as book:
        sheet = book.sheet("table1", columns)
        sheet.show()
        for row in rows:
            sheet.append(row)


def _text_and_term(prediction: Annotation) -> tuple[Cell, Cell]:
    has_offsets = prediction.start is not None and prediction.end is not None
    text = (
        Marked(prediction.text, prediction.start or 0, prediction.end or 0)
        if has_offsets
        else prediction.text
    )
    return text, prediction.term


def _place(prediction: Annotation) -> tuple[Cell, ...]:
    return (
        prediction.start,
        prediction.end,
        prediction.groups.get("channel"),
        prediction.groups.get("wordtype"),
    )
