"""Transfer examples: more text for a teacher to answer, whose labels, if any, are not read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from attar.errors import DataError
from attar.records.audit import Rejection, audit
from attar.records.groups import group_reviews
from attar.records.record import Record
from attar.records.sources import read_source
from attar.task import Example, Task

__all__ = ["transfer_examples"]


def transfer_examples(
    sources: Sequence[Path],
    task: Task,
    known: Sequence[Example],
    *,
    columns: Mapping[str, str],
    near_duplicate: float,
) -> list[Example]:
    """Read (text, term) pairs to be answered by a teacher.

    Args:
        sources: Files or folders; see ``attar.records.sources``.
        task: Says whether there are terms.
        known: The prepared examples. A review that is one of theirs, or nearly, is left out: a
            held-out review must not come back as training text.
        columns: Names of the columns, ours to theirs.
        near_duplicate: Jaccard index of character 3-grams above which two reviews are nearly one.

    Returns:
        Examples without labels.

    Raises:
        DataError: A source cannot be read, or nothing is left.
    """

    def unlabelled() -> Iterator[Record | Rejection]:
        for source in sources:
            for record in read_source(source, {**columns, "label": None}):
                # Any label passes the audit; it is taken off again below.
                yield replace(record, label=task.labels[0]) if isinstance(record, Record) else record

    found = [replace(e, label=None) for e in audit(unlabelled(), task) if isinstance(e, Example)]
    groups = group_reviews([e.text for e in (*known, *found)], near_duplicate)
    taken = {groups[e.text] for e in known}
    left = [example for example in found if groups[example.text] not in taken]
    if not left:
        raise DataError(
            f"distill.transfer ({', '.join(map(str, sources))}): no pair of a text and a term that is not "
            "in the prepared folder already; name other sources or leave it out"
        )
    return left
