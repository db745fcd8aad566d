"""Learning-rate schedules: a factor of the peak rate for each optimiser step."""

from __future__ import annotations

import math
from typing import Literal

__all__ = ["schedule_factor"]


def schedule_factor(
    name: Literal["linear", "cosine", "constant"], step: int, total_steps: int, warmup: float
) -> float:
    """Factor for the update numbered ``step`` (0-based) of ``total_steps``.

    Rises linearly over the first ``warmup`` share of the steps, then falls linearly to 0, falls as
    half a cosine to 0, or stays.
    """
    warmup_steps = warmup * total_steps
    if step < warmup_steps:
        return (step + 1) / (warmup_steps + 1)
    done = (step - warmup_steps) / max(1.0, total_steps - warmup_steps)
    match name:
        case "linear":
            return max(0.0, 1.0 - done)
        case "cosine":
            return 0.5 * (1.0 + math.cos(math.pi * min(1.0, done)))
        case "constant":
            return 1.0
