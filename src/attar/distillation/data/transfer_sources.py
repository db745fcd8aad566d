"""Transfer examples: more (text, term) pairs to learn from the teachers, without their own labels.

Here a source names the terms; where it has nothing but reviews, they are found:
``attar.distillation.data.unlabelled``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from attar.errors import DataError
from attar.recipe.load import DataRecipe, SourceRecipe
from attar.records.audit.audit import audit
from attar.records.record import Accepted
from attar.records.remote.fetch import LocalRecords, LocalSource, fetched
from attar.records.split.near_duplicates import drop_near_duplicates
from attar.task import Example, Task

__all__ = ["transfer_examples", "without_labels"]


def transfer_examples(
    sources: Sequence[SourceRecipe],
    task: Task,
    known: Sequence[Example],
    data: DataRecipe,
    download_dir: Path,
) -> list[Example]:
    """Read (text, term) pairs for the teachers.

    Args:
        sources: Files, folders and servers.
        task: Says whether there are terms.
        known: The prepared examples. A review that is one of theirs, or nearly, is left out: a
            held-out review must not come back as training text.
        data: Columns, what is accepted, and how similar near-duplicates are.
        download_dir: For what is fetched from servers.

    Returns:
        Examples without labels.

    Raises:
        DataError: A source cannot be read, or nothing is left.
    """
    local = without_labels(sources, task, download_dir)
    found = [
        replace(outcome.example, label=None)
        for outcome in audit(LocalRecords(local, data.columns), task, data)
        if isinstance(outcome, Accepted)
    ]
    left = drop_near_duplicates(found, known, data.near_duplicate)
    if not left:
        names = ", ".join(source.shown for source in local)
        raise DataError(
            f"distill.transfer ({names}): no pair of a text and a term that is not "
            "in the prepared folder already; name other sources or leave it out"
        )
    return left


def without_labels(sources: Sequence[SourceRecipe], task: Task, download_dir: Path) -> list[LocalSource]:
    """Sources on disk whose own labels, and who gave them, are not read.

    Every record gets a label of the task, because the audit wants one; it means nothing.

    Args:
        sources: Files, folders and servers.
        task: Names the labels.
        download_dir: For what is fetched from servers.

    Raises:
        DataError: A server cannot be reached.
    """
    return [
        fetched(source, download_dir / str(number)).with_constants(label=task.labels[0], annotator="")
        for number, source in enumerate(sources, 1)
    ]
