"""Whether probs are calibrated: reliability, calibration error, Brier score, temperature.

Guo et al., "On Calibration of Modern Neural Networks" (2017): expected calibration error in
section 2 (equal-width bins of the top prob), temperature scaling in section 4.2.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["ReliabilityBin", "brier_score", "expected_calibration_error", "fit_temperature", "reliability"]

_COLDEST, _HOTTEST = 0.05, 20.0


@dataclass(frozen=True, slots=True)
class ReliabilityBin:
    """Examples whose top prob lies in (low, high].

    Attributes:
        low: Lower edge.
        high: Upper edge.
        count: How many examples; the other two are 0 where there are none.
        confidence: Their mean top prob.
        accuracy: The share of them that is right.
    """

    low: float
    high: float
    count: int
    confidence: float
    accuracy: float


def reliability(
    gold: NDArray[np.integer], probs: NDArray[np.floating], bins: int = 15
) -> list[ReliabilityBin]:
    """Sort [N, C] probs into equal-width bins of the top prob and compare it with accuracy."""
    top = probs.max(1).astype(np.float64)
    right = probs.argmax(1) == gold
    index = np.clip(np.ceil(top * bins).astype(np.int64) - 1, 0, bins - 1)
    result = []
    for i in range(bins):
        inside = index == i
        count = int(inside.sum())
        confidence = float(top[inside].mean()) if count else 0.0
        accuracy = float(right[inside].mean()) if count else 0.0
        result.append(ReliabilityBin(i / bins, (i + 1) / bins, count, confidence, accuracy))
    return result


def expected_calibration_error(
    gold: NDArray[np.integer], probs: NDArray[np.floating], bins: int = 15
) -> float:
    """Mean over examples of |accuracy - confidence| of the bin they are in; 0 is perfect."""
    parts = reliability(gold, probs, bins)
    total = sum(part.count for part in parts)
    return sum(part.count * abs(part.accuracy - part.confidence) for part in parts) / max(total, 1)


def brier_score(gold: NDArray[np.integer], probs: NDArray[np.floating]) -> float:
    """Mean over examples of sum_c (prob_c - [c is gold])^2: 0 is perfect, 2 the worst."""
    truth = np.eye(probs.shape[1])[gold]
    return float(np.square(probs.astype(np.float64) - truth).sum(1).mean())


def fit_temperature(logits: NDArray[np.floating], gold: NDArray[np.integer]) -> float:
    """The temperature T that makes softmax(logits / T) likeliest on held-out examples.

    With b = 1/T the mean negative log-likelihood is convex in b and its slope is
    mean(E_p[logit] - logit_gold), so its root is found by bisection. Kept within [0.05, 20]:
    logits that are always right, or never, have no finite optimum.

    Args:
        logits: [N, C], N > 0.
        gold: [N] label indices.
    """
    z = logits.astype(np.float64)
    z -= z.max(1, keepdims=True)
    of_gold = z[np.arange(len(gold)), gold]

    def slope(sharpness: float) -> float:
        weights = np.exp(sharpness * z)
        expected = (weights * z).sum(1) / weights.sum(1)
        return float((expected - of_gold).mean())

    low, high = np.log(1 / _HOTTEST), np.log(1 / _COLDEST)
    for _ in range(50):
        middle = (low + high) / 2
        if slope(float(np.exp(middle))) < 0:
            low = middle
        else:
            high = middle
    return float(np.exp(-(low + high) / 2))
