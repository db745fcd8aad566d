"""Examples without labels for the teachers: pairs of a text and a term.

``transfer_examples``: a source names the terms. ``unlabelled_examples``: it has nothing but reviews, and
known terms are found: ``texts -> occurrences of terms -> without known ones -> a limit per term``. Which
of these are learnt from is decided by the teachers' logits (``attar.distillation.data.transfer_set``).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from attar.distillation.settings import StudentSettings
from attar.errors import DataError, RecipeError
from attar.recipe.load import DataRecipe, SourceRecipe
from attar.records.audit.audit import audit
from attar.records.readers.formats import plain_text
from attar.records.record import Accepted
from attar.records.remote.fetch import LocalRecords, LocalSource, fetched
from attar.records.split.near_duplicates import drop_near_duplicates, group_reviews
from attar.task import Example, Task
from attar.terms.finder import TermFinder
from attar.terms.term_list import read_term_list
from attar.text.normalise import Step

__all__ = ["Unlabelled", "transfer_examples", "unlabelled_examples"]


def transfer_examples(
    sources: Sequence[SourceRecipe],
    task: Task,
    known: Sequence[Example],
    data: DataRecipe,
    download_dir: Path,
) -> list[Example]:
    """Read (text, term) pairs for the teachers, without labels.

    Args:
        sources: Files, folders and servers.
        task: Says whether there are terms.
        known: The prepared examples. A review that is one of theirs, or nearly, is left out: a
            held-out review must not come back as training text.
        data: Columns, what is accepted, and how similar near-duplicates are.
        download_dir: For what is fetched from servers.

    Raises:
        DataError: A source cannot be read, or nothing is left.
    """
    local = _without_labels(sources, task, download_dir)
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


def _without_labels(sources: Sequence[SourceRecipe], task: Task, download_dir: Path) -> list[LocalSource]:
    """Sources on disk whose own labels are not read; the audit wants one, so each record gets the first."""
    return [
        fetched(source, download_dir / str(number)).with_constants(label=task.labels[0], annotator="")
        for number, source in enumerate(sources, 1)
    ]


class Unlabelled(NamedTuple):
    """Examples in the order of the sources, and counts of what was read, found and dropped."""

    examples: list[Example]
    counts: dict[str, int]


class _Pair(NamedTuple):
    example: Example
    term: str  # its normalised spelling


def unlabelled_examples(
    settings: StudentSettings, train: Sequence[Example], held_out: Sequence[Example], download_dir: Path
) -> Unlabelled:
    """Find the terms in the sources of ``distill.unlabelled``.

    Of near-duplicates the first review is kept. One that is a near-duplicate of dev or test is
    dropped, and so is a term of a training review that is labelled there. A training term of one
    character is not looked for, as most of its occurrences are parts of other words; one in
    ``distill.unlabelled.terms`` is. A task of single sentences has no terms: each review is one
    example.

    Args:
        settings: The sources, how texts are normalised, how similar near-duplicates are, and the seed.
        train: Prepared examples whose terms are looked for.
        held_out: Those of dev and test.
        download_dir: For what is fetched from servers.

    Raises:
        DataError: A source cannot be read, or nothing is left.
        RecipeError: The task is one of sentence pairs.
    """
    task, wanted = settings.task, settings.fit.unlabelled
    if task.style == "sentence_pair":
        raise RecipeError(
            "distill.unlabelled: a sentence pair cannot be found in one text; name pairs in distill.transfer"
        )
    counts: Counter[str] = Counter()
    finder = None
    if task.has_term:
        finder = _finder(train, wanted.terms, settings.encode.normalise)
        counts["terms"] = len(finder.terms)
    pairs = [pair for text in _texts(settings, download_dir, counts) for pair in _pairs(text, finder)]
    counts["found"] = len(pairs)
    pairs = _drop_known(pairs, train, held_out, settings.data.near_duplicate, finder, counts)
    if finder is not None:
        pairs = _limit_per_term(wanted.per_term, pairs, settings.seed, counts)
    if not pairs:
        names = ", ".join(Path(source.path).name for source in wanted.sources if not source.is_remote)
        raise DataError(
            f"distill.unlabelled ({names or 'from a server'}): no term occurs in a review that is not in the "
            "prepared folder already; name other sources, or more terms in distill.unlabelled.terms"
        )
    counts["asked"] = len(pairs)
    return Unlabelled([pair.example for pair in pairs], dict(counts))


def _finder(train: Sequence[Example], wanted: str | Sequence[str], steps: Sequence[Step]) -> TermFinder:
    """Finds the terms of the training examples, and those of a list or of its file."""
    forms = {example.term: "" for example in train if len(example.term) > 1}
    forms |= read_term_list(Path(wanted)).names if isinstance(wanted, str) else dict.fromkeys(wanted, "")
    if not any(form.strip() for form in forms):
        raise DataError("distill.unlabelled: no term to find; name some in distill.unlabelled.terms")
    return TermFinder(forms, steps)


def _texts(settings: StudentSettings, download_dir: Path, counts: Counter[str]) -> Iterator[Example]:
    """Every different text that can be used, as a single sentence."""
    task = replace(settings.task, style="single", window_chars=None)
    sources = [plain_text(source) for source in settings.fit.unlabelled.sources]
    local = _without_labels(sources, task, download_dir)
    for outcome in audit(LocalRecords(local, settings.data.columns), task, settings.data):
        counts["rows"] += 1
        if isinstance(outcome, Accepted):
            yield replace(outcome.example, label=None, weight=1.0)
        else:
            counts["dropped_unusable_or_equal"] += 1


def _pairs(text: Example, finder: TermFinder | None) -> list[_Pair]:
    if finder is None:
        return [_Pair(text, "")]
    return [
        _Pair(replace(text, start=match.start, end=match.end), match.term) for match in finder.find(text.text)
    ]


def _drop_known(
    pairs: Sequence[_Pair],
    train: Sequence[Example],
    held_out: Sequence[Example],
    near_duplicate: float,
    finder: TermFinder | None,
    counts: Counter[str],
) -> list[_Pair]:
    """The pairs whose review is new, or at least the term in it."""
    every = [*train, *held_out, *(pair.example for pair in pairs)]
    groups = group_reviews(list(dict.fromkeys(e.text for e in every)), near_duplicate)
    taken = {groups[example.text] for example in held_out}
    labelled = {(groups[e.text], finder.spelling(e.term) if finder else "") for e in train}
    first: dict[str, str] = {}
    left = []
    for pair in pairs:
        text = pair.example.text
        group = groups[text]
        if group in taken:
            counts["dropped_held_out"] += 1
        elif (group, pair.term) in labelled:
            counts["dropped_in_train"] += 1
        elif first.setdefault(group, text) != text:
            counts["dropped_near_duplicate"] += 1
        else:
            left.append(pair)
    return left


def _limit_per_term(per_term: int, pairs: Sequence[_Pair], seed: int, counts: Counter[str]) -> list[_Pair]:
    """At most ``per_term`` pairs of each term, drawn by the seed."""
    rows: defaultdict[str, list[int]] = defaultdict(list)
    for row in np.random.default_rng(seed).permutation(len(pairs)).tolist():
        rows[pairs[row].term].append(row)
    kept = sorted(row for of_term in rows.values() for row in of_term[:per_term])
    counts["dropped_over_per_term"] += len(pairs) - len(kept)
    return [pairs[row] for row in kept]
