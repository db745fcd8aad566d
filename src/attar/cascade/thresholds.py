"""How sure a cascade's members must be, so that it agrees with its last member as often as was asked.

A row counts against a threshold if a member answers it with another label than the last member would give.
That count falls as the threshold rises, so thresholds may be tried from the strictest on, and the loosest
one that still passes is kept. Two bounds say what passes:

- conformal risk control (Angelopoulos et al. 2022, arXiv:2208.02814, section 2): over dev splits like this
  one, the share of such rows among rows that were not seen is in the mean at most what is allowed;
- an exact binomial test by fixed sequence (Angelopoulos et al. 2021, Learn then Test, arXiv:2110.01052,
  section 4; the bound of Clopper & Pearson 1934): for this very split it is so with the confidence asked
  for. It allows about a third as many of a few hundred rows, so that more rows are passed on.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from attar.errors import DataError

__all__ = ["Bound", "Method", "agreement_bound", "choose_thresholds"]

Method = Literal["conformal", "binomial"]
"""Which bound; see above."""

_STEPS = 60  # of a bisection


class Bound(NamedTuple):
    """What is known of the agreement with the last member on rows that were not seen.

    Attributes:
        method: "conformal" holds in the mean over dev splits, "binomial" with the confidence asked for.
        least: Agreement is at least this.
        disagreeing: Rows whose label is another.
        num: Of so many.
    """

    method: Method
    least: float
    disagreeing: int
    num: int


def choose_thresholds(
    probs: Sequence[NDArray[np.float32]],
    agreement: float,
    confidence: float = 0.95,
    method: Method = "conformal",
) -> tuple[list[float], Bound]:
    """The loosest thresholds with which members agree with the last one as often as is asked.

    What may disagree is shared out evenly among the members but the last, and so is the doubt.

    Args:
        probs: [N, C] of each member, in turn, on held-out rows.
        agreement: Least share of rows that get the last member's label.
        confidence: With which that must be certain, for the binomial bound.
        method: The bound by which that is shown.

    Returns:
        A threshold for each member but the last, and what is known of all of them together.

    Raises:
        DataError: Too few rows to show such an agreement, or a member that never is sure enough.
    """
    *earlier, last = probs
    num, wanted = len(last), last.argmax(1)
    allowed, doubt = (1 - agreement) / len(earlier), (1 - confidence) / len(earlier)
    most = _most_disagreeing(num, allowed, doubt, method)
    left, thresholds, disagreeing = np.ones(num, bool), [], 0
    for number, each in enumerate(earlier, 1):
        sure, wrong = each.max(1), each.argmax(1) != wanted
        threshold = _loosest(sure[left], wrong[left], most)
        if threshold is None:
            raise DataError(
                f"member {number} of the cascade is never sure enough: even of the rows that it is surest of "
                f"more than {most} get another label than the last member gives; take a better first member, "
                "or a lower --agreement"
            )
        answered = left & (sure >= threshold)
        disagreeing += int((answered & wrong).sum())
        left &= ~answered
        thresholds.append(threshold)
    return thresholds, agreement_bound(disagreeing, num, confidence, method)


def agreement_bound(disagreeing: int, num: int, confidence: float, method: Method) -> Bound:
    """The least agreement that so many disagreeing rows of ``num`` allow for."""
    if method == "conformal":
        return Bound(method, 1 - (disagreeing + 1) / (num + 1), disagreeing, num)
    low, high = disagreeing / num, 1.0
    for _ in range(_STEPS):
        middle = (low + high) / 2
        if _binomial_cdf(disagreeing, num, middle) > 1 - confidence:
            low = middle
        else:
            high = middle
    return Bound(method, 1 - high, disagreeing, num)


def _most_disagreeing(num: int, allowed: float, doubt: float, method: Method) -> int:
    """How many of ``num`` rows may get another label, by a bound.

    Raises:
        DataError: Not even none of them would do.
    """
    if method == "conformal":
        most = math.floor(allowed * (num + 1) + 1e-9) - 1
        needed = math.ceil(1 / allowed - 1e-9) - 1 if allowed else math.inf
    else:
        most = -1
        while _binomial_cdf(most + 1, num, allowed) <= doubt and most + 1 < num:
            most += 1
        needed = math.ceil(math.log(doubt) / math.log1p(-allowed)) if allowed else math.inf
    if most < 0:
        raise DataError(
            f"dev has {num:,} examples, too few to show that {1 - allowed:.1%} keep their label: "
            f"by this bound that takes {needed:,} or more; ask for a lower --agreement, or prepare with a "
            "larger dev split"
        )
    return most


def _loosest(sure: NDArray[np.float32], wrong: NDArray[np.bool_], most: int) -> float | None:
    """The smallest threshold at which at most so many rows are answered wrongly; None without any."""
    order = np.argsort(-sure, kind="stable")
    counts = np.cumsum(wrong[order])
    # A threshold answers all rows that are equally sure, or none of them.
    if len(order) == 0:
        return None
    ends = np.append(np.flatnonzero(np.diff(sure[order])), len(order) - 1)
    passing = ends[counts[ends] <= most]
    return float(sure[order][passing[-1]]) if len(passing) else None


def _binomial_cdf(count: int, num: int, share: float) -> float:
    """P(at most ``count`` of ``num``), each with the probability ``share``."""
    if share <= 0 or count >= num:
        return 1.0
    if share >= 1:
        return 0.0
    total = math.lgamma(num + 1)
    logs = (
        total - math.lgamma(k + 1) - math.lgamma(num - k + 1)
        + k * math.log(share) + (num - k) * math.log1p(-share)
        for k in range(count + 1)
    )  # fmt: skip
    return min(1.0, math.fsum(math.exp(one) for one in logs))
