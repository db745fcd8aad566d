"""From laps to figures and to the table of a page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

__all__ = ["REFERENCE", "TITLES", "figures_of", "speed_table"]

REFERENCE = "textbrewer"
TITLES = {
    REFERENCE: "textbrewer's GeneralDistiller: padded to 70, fp32, the teacher along",
    "classic": "`main.distill.py`, the same flags",
    "classic-cached": "`main.distill.py --teacher_cached`",
    "attar-features": 'attar, the same matches, `cache = "features"`',
    "attar": "attar's defaults: logits, no matches",
}
"""The sides, by their names on the command line."""


def figures_of(laps: Mapping[str, Sequence[Mapping[str, float]]], steps: int) -> dict[str, dict[str, Any]]:
    """The figures of every side; ratios are those of CPU time, round by round.

    Args:
        laps: Side -> its rounds, each with ``wall_s``, ``cpu_s`` and ``setup_cpu_s``.
        steps: Optimiser steps of a round.
    """
    figures: dict[str, dict[str, Any]] = {}
    for name, rounds in laps.items():
        cpu, wall = (np.array([lap[key] for lap in rounds]) / steps for key in ("cpu_s", "wall_s"))
        figures[name] = {
            "cpu_s_per_step": _spread(cpu),
            "wall_s_per_step": _spread(wall),
            "steps_per_cpu_s": float(1 / cpu.mean()),
            "setup_cpu_s": rounds[0]["setup_cpu_s"],
            "rounds": {"cpu_s_per_step": cpu.tolist(), "wall_s_per_step": wall.tolist()},
        }
    for figure in figures.values():
        if REFERENCE in figures:
            mine, theirs = (np.array(one["rounds"]["cpu_s_per_step"]) for one in (figure, figures[REFERENCE]))
            figure["times_reference"] = _spread(theirs / mine) | {"overall": float(theirs.sum() / mine.sum())}
    return figures


def _spread(values: np.ndarray[Any, np.dtype[np.float64]]) -> dict[str, float]:
    return {"median": float(np.median(values)), "low": float(values.min()), "high": float(values.max())}


def speed_table(figures: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Markdown: a row a side."""
    lines = [
        f"| | CPU s a step (rounds) | wall s | steps a CPU s | x {REFERENCE} (rounds) | CPU s before |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for name, one in figures.items():
        times, cpu = one.get("times_reference"), one["cpu_s_per_step"]
        cells = [
            TITLES[name],
            f"{cpu['median']:.3g} ({cpu['low']:.3g}-{cpu['high']:.3g})",
            f"{one['wall_s_per_step']['median']:.3g}",
            f"{one['steps_per_cpu_s']:.3g}",
            f"{times['overall']:.1f} ({times['low']:.1f}-{times['high']:.1f})" if times else "",
            f"{one['setup_cpu_s']:.0f}",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return lines
