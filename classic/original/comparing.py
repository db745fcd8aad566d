"""Answers beside labels as the original's Excel files: result, wrong, correct and different.

``answers -> cases -> workbooks``; who answers (a model's file, a service, a person) is the tools'
business, who meets whom ``attar.compare.join``'.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from attar.compare.join import Annotation, Case, agreement
from attar.task import Example
from attar.workbook.sheets import Cell, Column, Marked, open_workbook
from original.tool import say

__all__ = ["answer_of", "write_answers", "write_different"]

_ASKED = (Column("text", "text"), Column("keyword"))
_PLACE = (Column("start", "number"), Column("end", "number"), Column("channel"), Column("wordtype"))


def answer_of(example: Example, label: str | None = None, prob: float | None = None) -> Annotation:
    """What someone says of an example; the example's own label is the gold one."""
    # Of a row of three columns nobody knows which occurrence is meant.
    place = (None, None) if example.second else (example.start, example.end)
    term = example.second or example.term
    groups = {name: example.meta[name] for name in ("channel", "wordtype") if name in example.meta}
    return Annotation(example.text, term, *place, label, prob, gold=example.label, groups=groups)


def write_answers(out: Path, answers: Sequence[Annotation], suffix: str = "") -> None:
    """Write result.xlsx, wrong.xlsx (the surest first) and correct.xlsx, and print how many there are.

    Args:
        out: The folder.
        answers: With their gold labels.
        suffix: Goes behind the names, before the ending.
    """
    judged = [answer for answer in answers if answer.gold is not None]
    wrong = sorted((a for a in judged if a.label != a.gold), key=lambda a: -(a.prob or 0.0))
    correct = [answer for answer in judged if answer.label == answer.gold]
    columns = (*_ASKED, Column("label"), Column("predict"), Column("probability", "share"), *_PLACE)
    for name, part in (("result", answers), ("wrong", wrong), ("correct", correct)):
        path = out / f"{name}{suffix}.xlsx"
        rows = ([*_question(a), a.gold, a.label, a.prob, *_place(a)] for a in part)
        _write(path, columns, rows)
        say(f"保存到excel成功{path}")
    say(f"总样本数是{len(answers)},预测错误的样本总数是{len(wrong)},预测正确的样本总数是{len(correct)}")
    if judged:
        say(f"准确率为{len(correct) / len(judged)}")


def write_different(out: Path, cases: Iterable[Case]) -> None:
    """Write different.xlsx, the questions that two answer differently, and print how far they agree."""
    both = [
        (case.a, case.b, case.gold)
        for case in cases
        if case.a is not None and case.b is not None and case.a.label and case.b.label
    ]
    different = [(a, b, gold) for a, b, gold in both if a.label != b.label]
    columns = (
        *_ASKED, Column("label"), Column("P1_label"), Column("P2_label"),
        Column("P1_probability", "share"), Column("P2_probability", "share"), *_PLACE,
    )  # fmt: skip
    path = out / "different.xlsx"
    rows = ([*_question(a), gold, a.label, b.label, a.prob, b.prob, *_place(a)] for a, b, gold in different)
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


def _question(answer: Annotation) -> tuple[Cell, Cell]:
    is_placed = answer.start is not None and answer.end is not None
    text = Marked(answer.text, answer.start or 0, answer.end or 0) if is_placed else answer.text
    return text, answer.term


def _place(answer: Annotation) -> tuple[Cell, ...]:
    return answer.start, answer.end, answer.groups.get("channel"), answer.groups.get("wordtype")
