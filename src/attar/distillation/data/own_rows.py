"""Rows of the labelled sources that have no label yet: a text and a term for the teachers to answer.

Who labels in rounds has such rows beside the labelled ones, of the same kind. ``attar prepare`` rejects
them as ``missing_label``; here they come back as examples without a label.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from attar.errors import DataError
from attar.io.lines import numbered_lines
from attar.recipe.load import DataRecipe
from attar.records.audit.audit import audit
from attar.records.record import Accepted, Record
from attar.records.split.near_duplicates import drop_near_duplicates
from attar.task import Example, Task

__all__ = ["rows_without_label"]

_ROW = 7  # columns of a row that a reader understood
_DRAWN = 10  # times as many as are learnt from


def rows_without_label(
    folder: Path,
    task: Task,
    data: DataRecipe,
    *,
    train: Sequence[Example],
    held_out: Sequence[Example],
    limit: int,
    seed: int,
) -> list[Example]:
    """Examples of the rows that have no label, without dev and test.

    Args:
        folder: What ``attar prepare`` wrote.
        task: Says whether a row needs a term.
        data: What is accepted, and how similar near-duplicates are.
        train: A pair that is labelled in another row is left out.
        held_out: Examples of dev and test; a review that is nearly one of theirs is left out.
        limit: Most that can be learnt from; of more than ten times as many, those are drawn.
        seed: Draws them.

    Raises:
        DataError: The folder's list of rejected rows is damaged.
    """
    records = list(_records(folder / "rejected.jsonl", task))
    known = {example.question for example in train}
    found = [
        replace(outcome.example, label=None, weight=1.0)
        for outcome in audit(records, task, data)
        if isinstance(outcome, Accepted) and outcome.example.question not in known
    ]
    if len(found) > _DRAWN * limit:
        drawn = np.sort(np.random.default_rng(seed).permutation(len(found))[: _DRAWN * limit])
        found = [found[row] for row in drawn]
    return drop_near_duplicates(found, held_out, data.near_duplicate) if found else []


def _records(path: Path, task: Task) -> Iterator[Record]:
    """The rows of rejected.jsonl that lack a label alone; the audit wants one, so each gets the first."""
    if not path.is_file():
        return
    for number, line in numbered_lines(path):
        try:
            rejected = json.loads(line)
            reason, row = rejected["reason"], rejected["row"]
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(f"{path}:{number}: damaged ({error}); run attar prepare again") from error
        if reason == "missing_label" and len(row) == _ROW:
            yield _record(row, f"{path}:{number}", task)


def _record(row: Sequence[Any], where: str, task: Task) -> Record:
    text, term, start, end, _, channel, wordtype = row
    meta = {key: value for key, value in (("channel", channel), ("wordtype", wordtype)) if value}
    return Record(text, term, start, end, task.labels[0], meta, where)
