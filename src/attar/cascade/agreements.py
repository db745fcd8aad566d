"""What a cascade would be with another agreement: how much faster, and with which macro-F1.

Labels that differ from the last member's are mostly those of rows of which neither member is sure, so a lower
agreement may cost less macro-F1 than it says. These are figures of dev, which chose the thresholds.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from attar.cascade.thresholds import Method, choose_thresholds
from attar.errors import DataError
from attar.metrics import scores
from attar.task import Task

__all__ = ["by_agreement"]

_AGREEMENTS = (0.995, 0.99, 0.98, 0.97, 0.95, 0.9)


def by_agreement(
    task: Task,
    gold: NDArray[np.int64],
    probs: Sequence[NDArray[np.float32]],
    rates: Sequence[float],
    asked: float,
    confidence: float,
    method: Method,
) -> list[dict[str, Any]]:
    """The cascades that other agreements would give, and the one that was asked for, the strictest first.

    Args:
        task: Of the members.
        gold: Labels [N] of dev.
        probs: [N, C] of each member on dev.
        rates: Examples a second of each member.
        asked: Agreement of the cascade itself.
        confidence: As in ``choose_thresholds``.
        method: Likewise.

    Returns:
        For each agreement that dev can show: ``agreement``, ``thresholds``, ``macro_f1``, ``passed_on`` (the
        share that the first member does not answer), ``times`` (the last member's rate).
    """
    found = []
    for agreement in sorted({asked, *_AGREEMENTS}, reverse=True):
        try:
            thresholds, _ = choose_thresholds(probs, agreement, confidence, method)
        except DataError:
            continue
        answers, reached = probs[0].copy(), [np.ones(len(gold), bool)]
        for member, threshold in zip(probs[1:], thresholds, strict=True):
            reached.append(reached[-1] & (answers.max(1) < threshold))
            answers[reached[-1]] = member[reached[-1]]
        seconds = sum(float(rows.mean()) / rate for rows, rate in zip(reached, rates, strict=True))
        found.append(
            {
                "agreement": agreement,
                "thresholds": thresholds,
                "macro_f1": scores(task, gold, answers).macro_f1,
                "passed_on": float(reached[1].mean()),
                "times": 1 / (seconds * rates[-1]),
            }
        )
    return found
