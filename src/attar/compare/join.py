"""Two people, two models, or one of each: whose annotations meet, where they differ, how far they agree.

Pure: annotations in, cases out. ``attar compare`` and the workbook of ``attar evaluate`` stand on it.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import NamedTuple

from attar.records.audit.agreement import cohen_kappa

__all__ = ["Agreement", "Annotation", "Case", "Gold", "agreement", "gold_of", "join"]


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


class Case(NamedTuple):
    """One question: the annotations of A and B (None where there is none), and the gold label."""

    a: Annotation | None
    b: Annotation | None
    gold: str | None

    @property
    def asked(self) -> Annotation:
        """An annotation to take the question from."""
        annotation = self.a or self.b
        assert annotation is not None, "a case has an annotation"
        return annotation


class Gold(NamedTuple):
    """Gold labels for some annotations.

    Attributes:
        labels: One for each annotation; None where there is none.
        unused: Gold rows whose question nobody answered.
        unmatched: Annotations whose question no gold row asks.
        num_contradictory: Questions with several gold labels, which count as having none.
    """

    labels: list[str | None]
    unused: list[Annotation]
    unmatched: list[Annotation]
    num_contradictory: int


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


def join(a: Sequence[Annotation], b: Sequence[Annotation]) -> list[Case]:
    """Put the annotations of two together.

    They meet by (text, start, end), or by (text, term) where one of them has a row without
    offsets. Of questions that are asked several times the first meets the first, the second the
    second. Whatever is in one only becomes a case of its own: no annotation is lost.

    Returns:
        Cases in the order of ``a``, then what is in ``b`` only; none has a gold label yet.
    """
    by_span = _all_have_spans(a) and _all_have_spans(b)
    waiting = _by_question(b, by_span)
    cases = []
    for question, same in _by_question(a, by_span).items():
        cases += [Case(x, y, None) for x, y in zip_longest(same, waiting.pop(question, ()))]
    cases += [Case(None, annotation, None) for same in waiting.values() for annotation in same]
    place = {id(annotation): i for i, annotation in enumerate([*a, *b])}
    return sorted(cases, key=lambda case: place[id(case.asked)])


def gold_of(annotations: Sequence[Annotation], gold: Sequence[Annotation]) -> Gold:
    """Find the gold label of each annotation; a question may be answered many times.

    Args:
        annotations: To be judged.
        gold: Annotations whose label is the gold one.
    """
    by_span = _all_have_spans(annotations) and _all_have_spans(gold)
    known = _by_question(gold, by_span)
    found = {key: {annotation.label for annotation in same} - {None} for key, same in known.items()}
    only = {key: next(iter(labels)) for key, labels in found.items() if len(labels) == 1}
    asked = [_question(annotation, by_span) for annotation in annotations]
    answered = set(asked)
    unused = [annotation for annotation in gold if _question(annotation, by_span) not in answered]
    unmatched = [each for each, question in zip(annotations, asked, strict=True) if question not in known]
    num_contradictory = sum(len(labels) > 1 for labels in found.values())
    return Gold([only.get(question) for question in asked], unused, unmatched, num_contradictory)


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
