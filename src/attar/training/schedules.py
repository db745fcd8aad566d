"""Learning-rate schedules: a factor of the peak rate for each optimiser step.

"linear", "cosine" and "constant" give no step the rate 0 (the warm-up starts above it). The other six
are those of the original system and of the code that it is based on (airaria/TextBrewer,
examples/mnli_example/optimization.py): functions of x = step / total alone, so that their warm-up
starts at 0 and, where it ends, may jump.
"""

from __future__ import annotations

import math

from attar.recipe.load import Schedule

__all__ = ["schedule_factor"]


def schedule_factor(
    name: Schedule,
    step: int,
    total_steps: int,
    warmup: float,
    options: tuple[float, float, float] = (1.0, 0.0, 1.0),
) -> float:
    """Factor for the update numbered ``step`` (0-based) of ``total_steps``.

    Args:
        name: The schedule.
        step: Updates done before this one.
        total_steps: Updates of the whole training.
        warmup: Share of the steps in which the rate rises.
        options: The original system's ``s_opt1``, ``s_opt2``, ``s_opt3``. warmup_linear_release: release
            start, release level. warmup_step: first step, second step, decay.
            slanted_triangular: peak rate over lowest rate.
    """
    if name in ("linear", "cosine", "constant"):
        warmup_steps = warmup * total_steps
        if step < warmup_steps:
            return (step + 1) / (warmup_steps + 1)
        done = (step - warmup_steps) / max(1.0, total_steps - warmup_steps)
    else:
        done = step / total_steps
        if name == "slanted_triangular":
            # With warmup = 1 the decay has no length: at its only point, the end, the rate is at its peak.
            falling = 1.0 - (done - warmup) / ((1.0 - warmup) or 1.0)
            height = done / warmup if done < warmup else falling
            return (1.0 + height * (options[0] - 1.0)) / options[0]
        if done < warmup:
            return done / warmup
    return _after_warm_up(name, done, options)


def _after_warm_up(name: Schedule, x: float, options: tuple[float, float, float]) -> float:
    first, second, third = options
    match name:
        case "linear" | "warmup_linear":
            return max(0.0, 1.0 - x)
        case "cosine" | "warmup_cosine":
            return 0.5 * (1.0 + math.cos(math.pi * min(1.0, x)))
        case "warmup_linear_release":
            return 1.0 - (1.0 - second) / first * x if x < first else second
        case "warmup_step":
            return 1.0 if x < first else third if x < second else third**2
        case _:
            return 1.0
