"""How much CPU time each side needs until its student scores so and so much on dev.

A side's time counts from its start, the filling of caches included, to the end of the first lap
after which dev's score is reached; scoring itself is not counted. Sides take turns of one lap.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from distilling.figures import REFERENCE, TITLES

__all__ = ["reached", "score_table"]


def reached(
    laps: Mapping[str, Sequence[Mapping[str, float]]], targets: Sequence[float]
) -> dict[str, dict[str, Any]]:
    """The figures of every side.

    Args:
        laps: Side -> its laps, each with ``cpu_s``, ``setup_cpu_s`` and ``score``.
        targets: Scores, fractions of 1.

    Returns:
        Side -> ``curve`` (pairs of CPU s and score), ``best`` and ``cpu_s``, one number a target, or
        None where it was not reached.
    """
    found = {}
    for name, rounds in laps.items():
        spent = rounds[0]["setup_cpu_s"] + np.cumsum([lap["cpu_s"] for lap in rounds])
        scores = np.array([lap["score"] for lap in rounds])
        found[name] = {
            "setup_cpu_s": rounds[0]["setup_cpu_s"],
            "curve": [[float(x), float(y)] for x, y in zip(spent, scores, strict=True)],
            "best": float(scores.max()),
            "cpu_s": [
                float(spent[(scores >= one).argmax()]) if scores.max() >= one else None for one in targets
            ],
        }
    return found


def score_table(figures: Mapping[str, Mapping[str, Any]], targets: Sequence[float]) -> list[str]:
    """Markdown: a row a side, a column a target; in brackets how many times faster than textbrewer."""
    titles = [f"CPU s to {100 * one:g}" for one in targets]
    lines = [
        f"| | {' | '.join(titles)} | of it before the first step | best on dev |",
        f"| --- |{' --- |' * len(targets)} --- | --- |",
    ]
    theirs = figures[REFERENCE]["cpu_s"] if REFERENCE in figures else [None] * len(targets)
    for name, one in figures.items():
        cells = [
            "not reached" if mine is None else f"{mine:.0f}" + (f" ({base / mine:.1f}x)" if base else "")
            for mine, base in zip(one["cpu_s"], theirs, strict=True)
        ]
        lines.append(
            f"| {TITLES[name]} | {' | '.join(cells)} | {one['setup_cpu_s']:.0f} | {100 * one['best']:.1f} |"
        )
    return lines
