"""Who says what of a span: the votes of all rows on it, and what they come to.

The first pass of the audit fills it, the second asks it. It keeps no text: a span is a 16-byte
digest, and spans with the same votes share one tuple of them, so an example costs about 150 bytes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from hashlib import blake2b
from typing import Literal, NamedTuple

from attar.task import Example

__all__ = ["Policy", "Verdict", "Vote", "Votes", "span_key", "verdict"]

Policy = Literal["drop", "majority", "weights"]


class Vote(NamedTuple):
    """One label by one annotator.

    Attributes:
        label: A label of the task.
        annotator: Who, or "".
        weight: 1, or the share of the annotators that the row stands for.
    """

    label: str
    annotator: str
    weight: float


class Verdict(NamedTuple):
    """What the rows on one span come to.

    Attributes:
        problem: Why all rows are rejected, or None.
        shares: Weight of each label that is kept; rows with another label are outvoted.
    """

    problem: Literal["contradiction", "disagreement", "no_majority"] | None
    shares: dict[str, float]


class Votes:
    """The votes on every span."""

    def __init__(self) -> None:
        self._by_key: dict[bytes, tuple[Vote, ...]] = {}
        self._same: dict[tuple[Vote, ...], tuple[Vote, ...]] = {}

    def add(self, key: bytes, vote: Vote) -> None:
        """Count the vote of one row."""
        before = self._by_key.get(key, ())
        # A second row with the same vote is worth knowing, a third is not.
        if len(before) < 2 or vote not in before:
            votes = (*before, vote)
            self._by_key[key] = self._same.setdefault(votes, votes)

    def on(self, key: bytes) -> tuple[Vote, ...] | None:
        """The votes on a span, or None for one that was never seen; one vote means one row."""
        return self._by_key.get(key)

    def tallies(self) -> Iterator[tuple[tuple[Vote, ...], int]]:
        """Each combination of votes that occurs, and on how many spans."""
        yield from Counter(self._by_key.values()).items()


def span_key(example: Example) -> bytes:
    """16 bytes that stand for text and span, or for a pair of sentences."""
    # A lone surrogate is no reason to fail here: the checks say so better.
    place = f"{example.start}\0{example.end}\0{len(example.text)}\0{example.text}{example.second}"
    return blake2b(place.encode("utf-8", "surrogatepass"), digest_size=16).digest()


def verdict(votes: tuple[Vote, ...], policy: Policy) -> Verdict:
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
        return Verdict(None, dict.fromkeys(totals, 1.0))
    # A row that is a share of a disagreement settled before stands for several annotators.
    named = [vote.annotator for vote in distinct if vote.annotator]
    anonymous = any(not vote.annotator and vote.weight == 1 for vote in distinct)
    if anonymous or len(set(named)) < len(named):
        return Verdict("contradiction", {})
    if policy == "drop":
        return Verdict("disagreement", {})
    if policy == "weights":
        whole = sum(totals.values())
        return Verdict(None, {label: round(total / whole, 6) for label, total in totals.items()})
    top = max(totals.values())
    first = [label for label, total in totals.items() if total == top]
    return Verdict("no_majority", {}) if len(first) > 1 else Verdict(None, {first[0]: 1.0})
