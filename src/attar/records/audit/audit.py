"""The audit: which records become examples, and why the others do not.

Between the readers and the split. Nothing is dropped or repaired in silence: every record becomes
an Accepted (with the repair of its offsets, if there was one), a Confirmed (another annotator says
the same) or a Rejection with a stable reason code, a message without any review text, and the row
itself.

The first pass counts who says what of each span, the second asks it. No text is kept: a span is a
16-byte digest, and spans with the same votes share one tuple of them, so an example costs about 150
bytes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from hashlib import blake2b
from typing import Literal, NamedTuple

from attar.errors import DataError
from attar.recipe.load import DataRecipe
from attar.records.audit.agreement import Agreement
from attar.records.audit.checks import Checks
from attar.records.record import Accepted, Confirmed, Reason, Record, Rejection, reject
from attar.task import Example, Task

__all__ = ["Accepted", "Confirmed", "Reason", "Rejection", "audit"]


class _Vote(NamedTuple):
    """One label by one annotator, or by nobody in particular ("")."""

    label: str
    annotator: str
    weight: float  # 1, or the share of the annotators that the row stands for


class _Verdict(NamedTuple):
    """What the rows on one span come to."""

    problem: Literal["contradiction", "disagreement", "no_majority"] | None  # why all are rejected
    shares: dict[str, float]  # weight of each label that is kept; rows with another are outvoted


@dataclass(slots=True)
class _Span:
    """A span with several rows, as far as the second pass has come."""

    verdict: _Verdict
    labels: tuple[str, ...]
    first: dict[str, str]
    voters: set[tuple[str, str]]


class _Votes:
    """The votes on every span."""

    def __init__(self) -> None:
        self._same: dict[tuple[_Vote, ...], tuple[_Vote, ...]] = {}
        self.by_key: dict[bytes, tuple[_Vote, ...]] = {}

    def add(self, accepted: Accepted) -> None:
        """Count the vote of one row; one vote on a span means one row."""
        key = _span_key(accepted.example)
        vote = _Vote(accepted.example.label or "", accepted.record.annotator, accepted.record.weight)
        before = self.by_key.get(key, ())
        # A second row with the same vote is worth knowing, a third is not.
        if len(before) < 2 or vote not in before:
            votes = (*before, vote)
            self.by_key[key] = self._same.setdefault(votes, votes)


def audit(
    records: Iterable[Record | Rejection], task: Task, data: DataRecipe, agreement: Agreement | None = None
) -> Iterator[Accepted | Confirmed | Rejection]:
    """Turn records into examples or rejections, in their order.

    Of several equal rows the first is kept; one by another annotator confirms it. Two labels on
    one span of one text are a contradiction, and all rows on it are rejected, unless several
    annotators gave them: then ``data.disagreement`` decides.

    Args:
        records: Records, twice the same ones, because no text is kept between the two passes: the
            first sees who says what of each span, the second gives the outcomes. The rejections
            of a reader are passed on.
        task: Whose labels and style decide. Without terms, the span is empty (start = end = 0).
        data: ``repair``, ``disagreement`` and ``max_chars``.
        agreement: Is given the spans that several annotators labelled, before the first outcome.

    Yields:
        One outcome a record.

    Raises:
        DataError: The second reading gave other records than the first.
    """
    assert iter(records) is not records, "records are read twice: pass what can be iterated twice"
    checks = Checks(task, data)
    votes = _Votes()
    for record in records:
        if isinstance(record, Record):
            outcome = checks.accept(record)
            if isinstance(outcome, Accepted):
                votes.add(outcome)
    if agreement is not None:
        for same, count in Counter(votes.by_key.values()).items():
            agreement.add(((vote.annotator, vote.label) for vote in same), count)
    spans: dict[bytes, _Span] = {}
    for record in records:
        outcome = record if isinstance(record, Rejection) else checks.accept(record)
        yield _settle(outcome, votes, spans, data) if isinstance(outcome, Accepted) else outcome


def _settle(
    accepted: Accepted, votes: _Votes, spans: dict[bytes, _Span], data: DataRecipe
) -> Accepted | Confirmed | Rejection:
    """What a record that passed on its own is worth among the others on its span."""
    key = _span_key(accepted.example)
    cast = votes.by_key.get(key)
    if cast is None:
        raise DataError(
            f"{accepted.record.where}: the source changed while it was read; run attar prepare again"
        )
    if len(cast) == 1:
        return accepted
    if key not in spans:
        labels = tuple(sorted({vote.label for vote in cast}))
        spans[key] = _Span(_verdict(cast, data.disagreement), labels, {}, set())
    return _among(accepted, spans[key])


def _among(accepted: Accepted, span: _Span) -> Accepted | Confirmed | Rejection:
    record, label = accepted.record, accepted.example.label or ""
    if span.verdict.problem or label not in span.verdict.shares:
        return _disputed(record, span)
    voters = (label, record.annotator)
    is_new, named_before = voters not in span.voters, any(by for of, by in span.voters if of == label)
    span.voters.add(voters)
    if label not in span.first:
        span.first[label] = record.where
        if len(span.labels) == 1:
            return accepted
        return replace(accepted, example=replace(accepted.example, weight=span.verdict.shares[label]))
    if record.annotator and is_new and named_before:
        return Confirmed(record, span.first[label])
    message = f"the same text, span and label as {span.first[label]}; the first row is kept"
    return reject("duplicate", message, record)


def _disputed(record: Record, span: _Span) -> Rejection:
    both = " and ".join(span.labels)
    match span.verdict.problem:
        case "contradiction":
            message = f"the same text and span has the labels {both}; decide for one in every row"
        case "disagreement":
            message = (
                f"annotators say {both} of the same text and span; decide for one, or set "
                'data.disagreement to "majority" or "weights"'
            )
        case "no_majority":
            message = (
                f"as many annotators say one as the other of {both}; decide for one, or set "
                'data.disagreement to "weights"'
            )
        case None:
            kept = " and ".join(span.verdict.shares)
            message = f"annotators say {both} of the same text and span; most say {kept}"
    return reject(span.verdict.problem or "disagreement", message, record)


def _span_key(example: Example) -> bytes:
    """16 bytes that stand for text and span, or for a pair of sentences."""
    # A lone surrogate is no reason to fail here: the checks say so better.
    place = f"{example.start}\0{example.end}\0{len(example.text)}\0{example.text}{example.second}"
    return blake2b(place.encode("utf-8", "surrogatepass"), digest_size=16).digest()


def _verdict(votes: tuple[_Vote, ...], policy: str) -> _Verdict:
    """Settle what several rows say of one span.

    Two labels by one annotator, or by nobody in particular, are a contradiction. By several they
    are a disagreement, for which the policy is asked: "drop" keeps none, "majority" the label of
    more annotators than any other, "weights" every label with its share.
    """
    distinct = dict.fromkeys(votes)
    totals: dict[str, float] = {}
    for vote in distinct:
        totals[vote.label] = totals.get(vote.label, 0.0) + vote.weight
    if len(totals) == 1:
        return _Verdict(None, dict.fromkeys(totals, 1.0))
    # A row that is a share of a disagreement settled before stands for several annotators.
    named = [vote.annotator for vote in distinct if vote.annotator]
    anonymous = any(not vote.annotator and vote.weight == 1 for vote in distinct)
    if anonymous or len(set(named)) < len(named):
        return _Verdict("contradiction", {})
    if policy == "drop":
        return _Verdict("disagreement", {})
    if policy == "weights":
        whole = sum(totals.values())
        return _Verdict(None, {label: round(total / whole, 6) for label, total in totals.items()})
    top = max(totals.values())
    first = [label for label, total in totals.items() if total == top]
    return _Verdict("no_majority", {}) if len(first) > 1 else _Verdict(None, {first[0]: 1.0})
