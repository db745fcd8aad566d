"""``attar prepare --dry-run``: reads and checks as ``prepare`` does, and writes nothing."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from attar.errors import DataError
from attar.language.translator import ENGLISH, Translator
from attar.recipe.load import DataRecipe, SourceRecipe
from attar.records.audit.audit import audit
from attar.records.audit.labels import check_scale, label_warnings
from attar.records.audit.summary import Summary
from attar.records.record import Rejection
from attar.records.remote.fetch import LocalRecords, LocalSource, fetched
from attar.records.understood import Understood
from attar.task import Task

__all__ = ["DryRun", "dry_run", "fetched_for_now"]


class DryRun(NamedTuple):
    """What ``prepare`` would make of some sources, before it splits them.

    Attributes:
        understood: Every file, its rows and labels, as far as they could be read.
        warnings: What whoever trains on them should know.
        problem: Why ``prepare`` would refuse, or None.
    """

    understood: Understood
    warnings: list[str]
    problem: DataError | None


def dry_run(
    sources: Sequence[SourceRecipe], task: Task, data: DataRecipe, tr: Translator = ENGLISH
) -> DryRun:
    """Read and check some sources. What a server has is fetched to a folder that is removed again.

    Args:
        sources: Files, folders and servers. They, not ``data.sources``, are read.
        task: Whose labels and style decide what is accepted.
        data: What is accepted.
        tr: Of the language of the warnings.
    """
    understood, summary = Understood(task), Summary(task)
    first: Rejection | None = None
    try:
        with fetched_for_now(sources) as local:
            records = LocalRecords(local, data.columns, understood.opened, task)
            for outcome in audit(records, task, data, summary.agreement):
                summary.add(outcome)
                understood.add(outcome)
                if isinstance(outcome, Rejection) and first is None:
                    first = outcome
        check_scale(task, summary.labels_as_read)
    except DataError as error:
        return DryRun(understood, [], error)
    counts = summary.to_json()
    if not counts["num_accepted"]:
        reasons = ", ".join(f"{reason} ({count:,})" for reason, count in counts["reasons"].items())
        example = f"; the first, {first.where}: {first.message}" if first else ""
        problem = DataError(f"none of {counts['num_read']:,} rows can be used: {reasons}{example}")
        return DryRun(understood, [], problem)
    warnings = label_warnings(task, summary.labels_as_read, {"train": counts["labels"]}, tr)
    return DryRun(understood, warnings, None)


@contextmanager
def fetched_for_now(sources: Iterable[SourceRecipe]) -> Iterator[list[LocalSource]]:
    """Sources on disk, for as long as the block lasts."""
    with tempfile.TemporaryDirectory(prefix="attar-") as folder:
        yield [fetched(source, Path(folder) / str(number)) for number, source in enumerate(sources, 1)]
