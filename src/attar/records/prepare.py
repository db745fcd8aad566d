"""``attar prepare``: sources to a prepared folder, which all later stages read.

``sources -> (fetched) -> records -> audit -> split -> files``

``train.json``, ``dev.json``, ``test.json`` hold rows, ``rejected.jsonl`` every row that is not
used and why, ``repaired.jsonl`` every moved offset, ``audit.json``, ``audit.html`` and ``audit.zh.html``
what the audit saw, ``manifest.json`` what all of them were made of. Each file is written whole or not at
all, the manifest last: a folder without a fitting manifest is not a prepared one.
"""

from __future__ import annotations

import logging
import shutil
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from attar import __version__
from attar.errors import DataError
from attar.io.files import atomic_write, folder_hashes, write_json
from attar.io.sealed import sealed
from attar.io.tables.jsonl import write_jsonl
from attar.io.tables.term_cells import likely_separator
from attar.language.translator import ENGLISH, Translator, translator
from attar.recipe.load import DataRecipe, SourceRecipe
from attar.records.audit.audit import audit
from attar.records.audit.labels import check_scale, label_warnings
from attar.records.audit.page import PAGES, audit_template, render_audit
from attar.records.audit.summary import Summary
from attar.records.prepared_folder import example_row, write_rows
from attar.records.record import Accepted, Reason, Rejection
from attar.records.remote.fetch import LocalRecords, fetched, source_inputs
from attar.records.split.short_splits import split_warnings
from attar.records.split.split import SPLITS, split
from attar.records.understood import Understood, short_lines
from attar.task import Example, Task

__all__ = ["inputs", "prepare"]

_LOG = logging.getLogger(__name__)
_MANY = 0.1  # of the rows
_WriteLine = Callable[[Mapping[str, object]], None]
_TEXTS = ("rejected.jsonl", "repaired.jsonl", "audit.json", *PAGES.values())


def inputs(sources: Sequence[SourceRecipe], task: Task, data: DataRecipe, seed: int) -> dict[str, Any]:
    """Everything that a prepared folder depends on; the arguments are those of ``prepare``.

    Raises:
        RecipeError: A source is not there.
    """
    return {
        "task": task.to_json(),
        "settings": data.model_dump(mode="json", exclude={"sources"}),
        "seed": seed,
        "sources": [source_inputs(source) for source in sources],
    }


def prepare(
    sources: Sequence[SourceRecipe], task: Task, data: DataRecipe, seed: int, out: Path
) -> dict[str, Any]:
    """Fetch, read, audit, split and write.

    Args:
        sources: Files, folders and servers. They, not ``data.sources``, are read.
        task: Whose labels and style decide what is accepted.
        data: What is accepted and how it is split.
        seed: Decides the split.
        out: Folder to write; made if it is not there. What is fetched is kept in a folder next to it until
            all is done, so that an interrupted fetch resumes.

    Returns:
        The manifest, as written.

    Raises:
        DataError: A source cannot be read, no row can be used, labels are numbers on a scale that is
            not the task's, a split would be empty, or a package is missing. Then at most
            rejected.jsonl and repaired.jsonl are written.
    """
    if not sources:
        raise DataError("data.sources is empty; name at least one file or folder of labelled reviews")
    if out.exists() and not out.is_dir():
        raise DataError(f"{out}: a file stands where the prepared folder should go; choose another name")
    audit_template()
    download_dir = out.parent / ".attar" / f"{out.name.removesuffix('.draft')}.fetched"
    local = [fetched(source, download_dir / str(number)) for number, source in enumerate(sources, 1)]
    problem: DataError | None = None
    with write_jsonl(out / "rejected.jsonl") as reject, write_jsonl(out / "repaired.jsonl") as repaired:
        found = _Found(Summary(task), Understood(task), reject)
        found.read(LocalRecords(local, data.columns, found.understood.opened, task), task, data, repaired)
        for line in short_lines(found.understood.to_json()):
            _LOG.info("%s", line)
        if said := found.hint():
            _LOG.warning("%s", said)
        try:
            check_scale(task, found.summary.labels_as_read)
            sides = found.split(data, seed, ", ".join(source.shown for source in local), out)
        except DataError as error:
            # What was rejected is written all the same: it says why.
            problem = error
    if problem is not None:
        raise problem
    facts = {
        "attar": __version__,
        "task": task.to_json(),
        "seed": seed,
        "settings": data.model_dump(mode="json", exclude={"sources"}),
        "sources": [file for source in local for file in source.described()],
        "understood": found.understood.to_json(),
    }
    manifest = _write(out, facts, sides, found, data, task)
    shutil.rmtree(download_dir, ignore_errors=True)
    return manifest


def _write(
    out: Path,
    facts: Mapping[str, Any],
    sides: Mapping[str, Sequence[Example]],
    found: _Found,
    data: DataRecipe,
    task: Task,
) -> dict[str, Any]:
    """Write the splits, the audit and, last, the manifest."""
    labels, channels = dict[str, Any](), dict[str, Any]()
    for name in SPLITS:
        write_rows(out / f"{name}.json", sides[name])
        by_label = Counter(example.label for example in sides[name])
        labels[name] = {label: by_label[label] for label in task.labels}
        by_channel = Counter(example.meta.get("channel", "") for example in sides[name])
        channels[name] = dict(sorted(by_channel.items()))
    sizes = {name: len(sides[name]) for name in SPLITS if not found.fixed.get(name)}

    def warnings(tr: Translator) -> list[str]:
        of_labels = label_warnings(task, found.summary.labels_as_read, labels, tr)
        return of_labels + split_warnings(sizes, found.largest_group, data, tr)

    audited = found.summary.to_json() | {"warnings": warnings(ENGLISH)}
    for warning in audited["warnings"]:
        _LOG.warning("%s", warning)
    write_json(out / "audit.json", audited)
    manifest: dict[str, Any] = {
        **facts,
        "num_examples": sum(map(len, sides.values())),
        "num_rejected": audited["num_rejected"],
        "num_repaired": audited["num_repaired"],
        "labels": labels,
        "channels": channels,
        "reasons": audited["reasons"],
        "warnings": audited["warnings"],
    }
    for language, name in PAGES.items():
        said = warnings(translator(language))
        page = render_audit(audited | {"warnings": said}, found.summary.samples, manifest, language)
        with atomic_write(out / name) as draft:
            draft.write_text(page, "utf-8")
    manifest["files"] = folder_hashes(out, (*(f"{name}.json" for name in SPLITS), *_TEXTS))
    manifest = sealed(manifest)
    write_json(out / "manifest.json", manifest)
    return manifest


@dataclass(slots=True)
class _Found:
    """What the audit gives, as it comes."""

    summary: Summary
    understood: Understood
    reject: _WriteLine
    examples: list[Example] = field(default_factory=list)
    fixed: defaultdict[str, list[Example]] = field(default_factory=lambda: defaultdict(list))
    first: dict[str, Rejection] = field(default_factory=dict)
    separators: Counter[str] = field(default_factory=Counter)
    largest_group: int = 0

    def read(self, records: LocalRecords, task: Task, data: DataRecipe, repaired: _WriteLine) -> None:
        for outcome in audit(records, task, data, self.summary.agreement):
            self.summary.add(outcome)
            self.understood.add(outcome)
            if isinstance(outcome, Rejection):
                self._reject(outcome)
            elif isinstance(outcome, Accepted):
                if outcome.repair is not None:
                    repaired(outcome.repair_to_json())
                side = self.fixed[outcome.record.split] if outcome.record.split else self.examples
                side.append(outcome.example)

    def hint(self) -> str:
        """What to say where many cells seem to hold several terms."""
        count, rows = self.separators.total(), self.summary.to_json()["num_read"]
        if count <= _MANY * rows:
            return ""
        likely = self.separators.most_common(1)[0][0]
        return (
            f"{count:,} of {rows:,} rows seem to name several terms in one cell; explode = {likely!r} in "
            "their source makes a row of each"
        )

    def split(self, data: DataRecipe, seed: int, names: str, out: Path) -> dict[str, list[Example]]:
        """Examples by side; what no side can use is rejected too.

        Raises:
            DataError: Nothing was accepted, or a split would be empty.
        """
        if not self.examples and not self.fixed:
            raise DataError(_nothing_left(names, self.summary.to_json()["reasons"], self.first, out))
        sides, left_out, self.largest_group = split(self.examples, data, seed, self.fixed)
        for example in left_out:
            message = "the review is also in a held-out file; it must not be trained on too"
            self._withdraw(example, "also_held_out", message)
        for name in ("dev", "test"):
            sides[name], contested = _settled(sides[name])
            for example in contested:
                message = f"its annotators disagree, and {name} needs one label: the minority, or a tie"
                self._withdraw(example, "no_majority", message)
        return sides

    def _withdraw(self, example: Example, reason: Reason, message: str) -> None:
        rejection = Rejection(reason, message, "", example_row(example))
        self.summary.withdraw(example, rejection)
        self._reject(rejection)

    def _reject(self, rejection: Rejection) -> None:
        self.first.setdefault(rejection.reason, rejection)
        if rejection.reason == "term_not_found" and (several := likely_separator(rejection.row[1])):
            self.separators[several] += 1
        self.reject({name: getattr(rejection, name) for name in ("reason", "message", "where", "row")})


def _settled(examples: Sequence[Example]) -> tuple[list[Example], list[Example]]:
    """One label a question, that of most annotators; and what lost, or was a tie."""
    by_question: defaultdict[tuple[str, int, int, str], list[Example]] = defaultdict(list)
    for example in examples:
        by_question[example.question].append(example)
    kept: list[Example] = []
    lost: list[Example] = []
    for same in by_question.values():
        most = max(example.weight for example in same)
        winners = [example for example in same if example.weight == most]
        kept += [replace(winners[0], weight=1.0)] if len(winners) == 1 else []
        lost += [example for example in same if len(winners) > 1 or example is not winners[0]]
    return kept, lost


def _nothing_left(names: str, reasons: Mapping[str, int], first: Mapping[str, Rejection], out: Path) -> str:
    counted = ", ".join(f"{reason} ({count})" for reason, count in list(reasons.items())[:3])
    example = first[next(iter(reasons))]
    return (
        f"{names}: none of {sum(reasons.values())} rows can be used: {counted}. "
        f"First, {example.where}: {example.message}. All of them: {out / 'rejected.jsonl'}"
    )
