"""Warnings about labels that are missing, or numbers on another scale, before anything is trained."""

from __future__ import annotations

from collections.abc import Mapping

from attar.errors import DataError
from attar.language.translator import ENGLISH, Translator
from attar.task import Task, scale_problem

__all__ = ["check_scale", "label_warnings"]

_FEW = 0.01  # of the labels; so many may be stray numbers, which a warning names


def check_scale(task: Task, as_read: Mapping[str, int]) -> None:
    """Check that labels that are numbers are on the scale that the task assumes.

    Args:
        task: Of the rows.
        as_read: Rows by the label as their sources spell it, all sources together.

    Raises:
        DataError: They are not, in more than one row of a hundred.
    """
    problem = scale_problem(task, as_read)
    if problem is not None and problem.num_rows > _FEW * sum(as_read.values()):
        raise DataError(f"{problem.what}; {problem.advice}")


def label_warnings(
    task: Task,
    as_read: Mapping[str, int],
    by_split: Mapping[str, Mapping[str, int]],
    tr: Translator = ENGLISH,
) -> list[str]:
    """What whoever trains on these rows should know of their labels.

    Args:
        task: Of the rows.
        as_read: Rows by the label as their sources spell it.
        by_split: Examples by split and label.
        tr: Of the language to say it in.
    """
    problem = scale_problem(task, as_read, tr)
    warnings = [] if problem is None else [tr("{what}; {advice}", what=problem.what, advice=problem.advice)]
    counts = {label: sum(split.get(label, 0) for split in by_split.values()) for label in task.labels}
    there = [label for label, count in counts.items() if count]
    shown = ", ".join(f"{label} {count:,}" for label, count in counts.items())
    if len(there) == 1:
        warnings.append(
            tr(
                "all examples have the label {label} ({counts}); nothing can be trained on one label: see "
                "whether a filter or a mapping of labels went wrong",
                label=there[0],
                counts=shown,
            )
        )
    elif missing := [label for label in task.labels if not counts[label]]:
        warnings.append(
            tr(
                "no example has the label {labels} ({counts}), so a model never says it; if your "
                "files have it under another name, map that in task.aliases (--alias NAME=LABEL)",
                labels=tr(" or ").join(missing),
                counts=shown,
            )
        )
    train = by_split.get("train", {})
    if lost := [label for label in there if len(there) > 1 and not train.get(label)]:
        warnings.append(
            tr(
                "train has no example of the label {labels}, though dev or test has: a model "
                "cannot learn it; add reviews, or change the shares or the seed",
                labels=tr(" or ").join(lost),
            )
        )
    return warnings
