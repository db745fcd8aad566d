"""What ``attar compare`` says of the gold labels, on the console and in the workbook."""

from __future__ import annotations

from collections.abc import Sequence

from attar.compare.differences import Judged
from attar.compare.join import Case
from attar.language.translator import Phrase, phrase
from attar.task import Task

__all__ = ["columns_said", "unknown_labels", "without_gold"]


def columns_said(names: Sequence[str]) -> Phrase:
    """What to call the columns that gold labels are in."""
    listed = list(map(repr, names))
    if len(names) == 1:
        return phrase("column {names}", names=listed)
    return phrase("columns {names}, where most of them agree", names=listed)


def unknown_labels(cases: Sequence[Case], task: Task | None) -> Phrase | None:
    """What to say of gold labels that are no labels of the task."""
    if task is None:
        return None
    count = sum(case.gold is not None and case.gold not in task.labels for case in cases)
    known = list(task.labels)
    return (
        phrase("{num} gold labels are none of the task's ({labels})", num=count, labels=known)
        if count
        else None
    )


def without_gold(judged: Judged) -> list[Phrase]:
    """What to say of labels that are gold nowhere."""
    left_out = judged.labels[judged.num_gold :]
    if not left_out or not len(judged.gold):
        return []
    if len(left_out) == 1:
        return [
            phrase("macro-F1 is over the labels that are gold somewhere; {labels} is not", labels=left_out)
        ]
    return [phrase("macro-F1 is over the labels that are gold somewhere; {labels} are not", labels=left_out)]
