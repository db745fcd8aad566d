"""The audit: which records become examples, and why the others do not.

Between the readers and the split. Nothing is dropped or repaired in silence: every record becomes
an Accepted (with the repair of its offsets, if there was one), a Confirmed (another annotator says
the same) or a Rejection with a stable reason code, a message without any review text, and the row
itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from attar.errors import DataError
from attar.recipe.load import DataRecipe
from attar.records.audit.agreement import Agreement
from attar.records.audit.checks import Checks
from attar.records.audit.votes import Verdict, Vote, Votes, span_key, verdict
from attar.records.outcomes import Accepted, Confirmed, Reason, Rejection, reject
from attar.records.record import Record
from attar.task import Task

__all__ = ["Accepted", "Confirmed", "Reason", "Rejection", "audit"]


@dataclass(slots=True)
class _Span:
    """A span with several rows, as far as the second pass has come."""

    verdict: Verdict
    labels: tuple[str, ...]
    first: dict[str, str]
    voters: set[tuple[str, str]]


def audit(
    records: Iterable[Record | Rejection],
    task: Task,
    data: DataRecipe,
    agreement: Agreement | None = None,
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
    votes = Votes()
    for record in records:
        if isinstance(record, Record):
            outcome = checks.accept(record)
            if isinstance(outcome, Accepted):
                votes.add(span_key(outcome.example), _vote(outcome))
    if agreement is not None:
        for same, count in votes.tallies():
            agreement.add(((vote.annotator, vote.label) for vote in same), count)
    spans: dict[bytes, _Span] = {}
    for record in records:
        outcome = record if isinstance(record, Rejection) else checks.accept(record)
        yield _settle(outcome, votes, spans, data) if isinstance(outcome, Accepted) else outcome


def _vote(accepted: Accepted) -> Vote:
    return Vote(accepted.example.label or "", accepted.record.annotator, accepted.record.weight)


def _settle(
    accepted: Accepted, votes: Votes, spans: dict[bytes, _Span], data: DataRecipe
) -> Accepted | Confirmed | Rejection:
    """What a record that passed on its own is worth among the others on its span."""
    key = span_key(accepted.example)
    cast = votes.on(key)
    if cast is None:
        raise DataError(
            f"{accepted.record.where}: the source changed while it was read; run attar prepare again"
        )
    if len(cast) == 1:
        return accepted
    if key not in spans:
        labels = tuple(sorted({vote.label for vote in cast}))
        spans[key] = _Span(verdict(cast, data.disagreement), labels, {}, set())
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
