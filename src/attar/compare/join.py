"""Two people, two models, or one of each: whose answers meet, where they differ, how far they agree.

Pure: answers in, cases out. ``attar compare`` and the workbook of ``attar evaluate`` stand on it.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import NamedTuple

__all__ = ["Agreement", "Answer", "Case", "Gold", "agreement", "gold_of", "join"]


@dataclass(frozen=True, slots=True)
class Answer:
    """What someone says of one term.

    Attributes:
        text: The review.
        term: The aspect term.
        start: Offset of the term's first code point, or None.
        end: Offset one past its last, or None.
        label: The answer; None where there is none.
        prob: How sure, or None.
        probs: By label.
        gold: The gold label that stands beside it, or None.
        groups: Channel and wordtype, where they are known.
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


class Case(NamedTuple):
    """One question: the answers of A and B (None where there is none), and the gold label."""

    a: Answer | None
    b: Answer | None
    gold: str | None

    @property
    def asked(self) -> Answer:
        """An answer to take the question from."""
        answer = self.a or self.b
        assert answer is not None, "a case has an answer"
        return answer


class Gold(NamedTuple):
    """Gold labels for some answers.

    Attributes:
        labels: One an answer; None where there is none.
        unused: Gold rows whose question nobody answered.
        num_contradictory: Questions with several gold labels, which count as having none.
    """

    labels: list[str | None]
    unused: list[Answer]
    num_contradictory: int


class Agreement(NamedTuple):
    """How far two answer alike.

    Attributes:
        num: Questions that both answered.
        num_same: Of those, with the same label.
        kappa: Cohen's (1960): (observed - chance) / (1 - chance), chance from each one's own shares
            of the labels; None where both only ever give one and the same label, or num is 0.
    """

    num: int
    num_same: int
    kappa: float | None

    @property
    def share(self) -> float:
        """Of the questions that both answered, those with the same label; 0 without any."""
        return self.num_same / self.num if self.num else 0.0


def join(a: Sequence[Answer], b: Sequence[Answer]) -> list[Case]:
    """Put the answers of two together.

    They meet by (text, start, end), or by (text, term) where one of them has a row without
    offsets. Of questions that are asked several times the first meets the first, the second the
    second. Whatever is in one only becomes a case of its own: no answer is lost.

    Returns:
        Cases in the order of ``a``, then what is in ``b`` only; none has a gold label yet.
    """
    by_span = _all_have_spans(a) and _all_have_spans(b)
    waiting = _by_question(b, by_span)
    cases = []
    for question, answers in _by_question(a, by_span).items():
        cases += [Case(x, y, None) for x, y in zip_longest(answers, waiting.pop(question, ()))]
    cases += [Case(None, answer, None) for answers in waiting.values() for answer in answers]
    return [*_in_order(cases, a, b)]


def gold_of(answers: Sequence[Answer], gold: Sequence[Answer]) -> Gold:
    """Find the gold label of each answer; a question may be answered many times.

    Args:
        answers: To be judged.
        gold: Answers whose label is the gold one.
    """
    by_span = _all_have_spans(answers) and _all_have_spans(gold)
    known = _by_question(gold, by_span)
    found = {key: {answer.label for answer in same} - {None} for key, same in known.items()}
    asked = [_question(answer, by_span) for answer in answers]
    labels = [_only(found.get(question, set())) for question in asked]
    unused = [answer for key in known.keys() - set(asked) for answer in known[key]]
    order = {id(answer): i for i, answer in enumerate(gold)}
    unused.sort(key=lambda answer: order[id(answer)])
    return Gold(labels, unused, sum(len(labels) > 1 for labels in found.values()))


def agreement(pairs: Iterable[tuple[str, str]]) -> Agreement:
    """Measure how far two agree.

    Args:
        pairs: (A's label, B's label) of the questions that both answered.
    """
    counts = Counter(pairs)
    num = counts.total()
    same = sum(count for (x, y), count in counts.items() if x == y)
    shares_a, shares_b = Counter[str](), Counter[str]()
    for (x, y), count in counts.items():
        shares_a[x] += count
        shares_b[y] += count
    chance = sum(shares_a[label] * shares_b[label] for label in shares_a)  # times num squared
    kappa = (same * num - chance) / (num**2 - chance) if num and chance < num**2 else None
    return Agreement(num, same, kappa)


def _all_have_spans(answers: Sequence[Answer]) -> bool:
    return all(answer.start is not None and answer.end is not None for answer in answers)


def _question(answer: Answer, by_span: bool) -> Hashable:
    return (answer.text, answer.start, answer.end) if by_span else (answer.text, answer.term)


def _by_question(answers: Iterable[Answer], by_span: bool) -> dict[Hashable, list[Answer]]:
    grouped: defaultdict[Hashable, list[Answer]] = defaultdict(list)
    for answer in answers:
        grouped[_question(answer, by_span)].append(answer)
    return dict(grouped)


def _in_order(cases: Sequence[Case], a: Sequence[Answer], b: Sequence[Answer]) -> Iterator[Case]:
    place = {id(answer): i for i, answer in enumerate([*a, *b])}
    yield from sorted(cases, key=lambda case: place[id(case.asked)])


def _only(labels: set[str | None]) -> str | None:
    return next(iter(labels)) if len(labels) == 1 else None
