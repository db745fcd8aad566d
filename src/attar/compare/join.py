"""People and models, any number of them: whose annotations meet, where they differ, how far they agree.

Pure: annotations in, cases out. ``attar compare`` and the workbook of ``attar evaluate`` stand on it.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, zip_longest
from typing import NamedTuple

from attar.records.audit.agreement import cohen_kappa

__all__ = [
    "Agreement",
    "Annotation",
    "Case",
    "Gold",
    "agreement",
    "consensus",
    "gold_of",
    "join",
    "votes_of",
]


@dataclass(frozen=True, slots=True)
class Annotation:
    """What a person or a model says of one term.

    Attributes:
        text: The review.
        term: The aspect term.
        start: Offset of the term's first code point, or None.
        end: Offset one past its last, or None.
        label: What they say; None where they say nothing.
        prob: How sure, or None.
        probs: By label.
        gold: The gold label in the same row, or None.
        groups: Channel and wordtype, where they are known.
        given: The label that its row had when it was scored, or None: a gold one, or another model's.
        where: Its row, as messages name it.
        own: The columns of its row that are the user's own.
        votes: Where several columns hold gold labels, what each says.
    """

    text: str
    term: str
    start: int | None = None
    end: int | None = None
    label: str | None = None
    prob: float | None = None
    probs: Mapping[str, float] = field(default_factory=dict)
    gold: str | None = None
    groups: Mapping[str, str] = field(default_factory=dict)
    given: str | None = None
    where: str = ""
    own: Mapping[str, object] = field(default_factory=dict)
    votes: Mapping[str, str] = field(default_factory=dict)


class Case(NamedTuple):
    """One question: the annotation of each side (None where there is none), and the gold label."""

    sides: tuple[Annotation | None, ...]
    gold: str | None = None

    @property
    def asked(self) -> Annotation:
        """An annotation to take the question from."""
        return next(annotation for annotation in self.sides if annotation is not None)

    @property
    def labels(self) -> list[str | None]:
        """What each side says."""
        return [None if side is None else side.label for side in self.sides]


class Gold(NamedTuple):
    """Gold labels for some annotations.

    Attributes:
        labels: One for each annotation; None where there is none.
        unused: Gold rows whose question nobody answered.
        unmatched: Annotations whose question no gold row asks.
        num_contradictory: Questions whose gold labels contradict each other, so that they have none.
        votes: For each annotation, what the annotators of the gold labels say, by name.
    """

    labels: list[str | None]
    unused: list[Annotation]
    unmatched: list[Annotation]
    num_contradictory: int
    votes: list[dict[str, str]]


class Agreement(NamedTuple):
    """How far two agree.

    Attributes:
        num: Questions that both answered.
        num_same: Of those, with the same label.
        kappa: See ``attar.records.audit.agreement.cohen_kappa``.
    """

    num: int
    num_same: int
    kappa: float | None

    @property
    def share(self) -> float:
        """Of the questions that both answered, those with the same label; 0 without any."""
        return self.num_same / self.num if self.num else 0.0


def join(*sides: Sequence[Annotation]) -> list[Case]:
    """Put the annotations of two or more together.

    They meet by (text, start, end), or by (text, term) where one of the sides has a row without
    offsets. Of questions that are asked several times the first meets the first, the second the
    second. Whatever is in one only becomes a case of its own: no annotation is lost.

    Returns:
        Cases in the order of the first side, then what only the later ones have; none has a gold label yet.
    """
    by_span = all(_all_have_spans(side) for side in sides)
    grouped = [_by_question(side, by_span) for side in sides]
    questions = dict.fromkeys(question for side in grouped for question in side)
    cases = [
        Case(met)
        for question in questions
        for met in zip_longest(*(side.get(question, ()) for side in grouped))
    ]
    place = {id(annotation): i for i, annotation in enumerate(chain(*sides))}
    return sorted(cases, key=lambda case: place[id(case.asked)])


def gold_of(annotations: Sequence[Annotation], gold: Sequence[Annotation]) -> Gold:
    """Find the gold label of each annotation; a question may be answered many times.

    Args:
        annotations: To be judged.
        gold: Annotations whose label is the gold one, with the ``votes`` of several annotators or without.
    """
    by_span = _all_have_spans(annotations) and _all_have_spans(gold)
    known = _by_question(gold, by_span)
    found = {key: votes_of(same) for key, same in known.items()}
    agreed = {key: consensus(votes.values()) for key, votes in found.items()}
    asked = [_question(annotation, by_span) for annotation in annotations]
    answered = set(asked)
    unused = [annotation for annotation in gold if _question(annotation, by_span) not in answered]
    unmatched = [each for each, question in zip(annotations, asked, strict=True) if question not in known]
    num_contradictory = sum(
        agreed[key] is None and any(each.label or each.votes for each in same) for key, same in known.items()
    )
    votes = [found.get(question, {}) for question in asked]
    return Gold([agreed.get(question) for question in asked], unused, unmatched, num_contradictory, votes)


def votes_of(same: Iterable[Annotation]) -> dict[str, str]:
    """What each annotator says of one question; one who gives it two labels says nothing of it."""
    said: defaultdict[str, set[str]] = defaultdict(set)
    for annotation in same:
        alone = {"": annotation.label} if annotation.label is not None else {}
        for name, label in (annotation.votes or alone).items():
            said[name].add(label)
    return {name: next(iter(labels)) for name, labels in said.items() if len(labels) == 1}


def consensus(labels: Iterable[str]) -> str | None:
    """The label that more than half of the annotators give; None where there is none."""
    counts = Counter(labels)
    label, count = max(counts.items(), key=lambda item: item[1], default=(None, 0))
    return label if 2 * count > counts.total() else None


def agreement(pairs: Iterable[tuple[str, str]]) -> Agreement:
    """Measure how far two agree.

    Args:
        pairs: (A's label, B's label) of the questions that both answered.
    """
    counts = Counter(pairs)
    same = sum(count for (x, y), count in counts.items() if x == y)
    return Agreement(counts.total(), same, cohen_kappa(counts))


def _all_have_spans(annotations: Sequence[Annotation]) -> bool:
    return all(annotation.start is not None and annotation.end is not None for annotation in annotations)


def _question(annotation: Annotation, by_span: bool) -> Hashable:
    place = (annotation.start, annotation.end) if by_span else annotation.term
    return annotation.text, place


def _by_question(annotations: Iterable[Annotation], by_span: bool) -> dict[Hashable, list[Annotation]]:
    grouped: defaultdict[Hashable, list[Annotation]] = defaultdict(list)
    for annotation in annotations:
        grouped[_question(annotation, by_span)].append(annotation)
    return dict(grouped)
