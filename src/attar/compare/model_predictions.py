"""answers.xlsx: every annotation of the report's model on the test split, beside its reference's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from attar.compare.join import Annotation, Case
from attar.compare.workbook import Comparison, write_side_by_side
from attar.task import Example, Task
from attar.workbook.tally import GROUPS

__all__ = ["ANSWERS", "write_answers"]

ANSWERS = "answers.xlsx"


def write_answers(
    path: Path, examples: Sequence[Example], task: Task, probs: Mapping[str, NDArray[np.float32]]
) -> None:
    """Write the workbook.

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
