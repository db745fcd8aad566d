"""From laps to figures and tables: time a step, and time until a student has a score."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from peers.document import markdown_table

from attar.bench.timing import spread

REFERENCE = "textbrewer"
TITLES = {
    REFERENCE: "textbrewer's GeneralDistiller: padded to 70, fp32, the teacher in every step",
    "classic": "`main.distill.py`, the same flags",
    "classic-cached": "`main.distill.py --teacher_cached`",
    "attar-features": 'attar, the same matches, `cache = "features"`',
    "attar": "attar's defaults: logits, no matches",
}
"""The sides, by their names on the command line."""

Laps = Mapping[str, Sequence[Mapping[str, float]]]
"""Side -> the replies of ``distilling.worker``."""
Figures = Mapping[str, Mapping[str, Any]]


def step_figures(laps: Laps, steps: int) -> dict[str, dict[str, Any]]:
    """The figures of every side, from rounds of so many steps; ratios are those of CPU time, paired."""
    figures: dict[str, dict[str, Any]] = {}
    for name, rounds in laps.items():
        cpu, wall = (np.array([lap[key] for lap in rounds]) / steps for key in ("cpu_s", "wall_s"))
        figures[name] = {
            "cpu_s_per_step": spread(cpu),
            "wall_s_per_step": spread(wall),
            "steps_per_cpu_s": float(1 / cpu.mean()),
            "setup_cpu_s": rounds[0]["setup_cpu_s"],
            "rounds": {"cpu_s_per_step": cpu.tolist(), "wall_s_per_step": wall.tolist()},
        }
    for figure in figures.values():
        if REFERENCE in figures:
            mine, theirs = (np.array(one["rounds"]["cpu_s_per_step"]) for one in (figure, figures[REFERENCE]))
            figure["times_reference"] = spread(theirs / mine) | {"overall": float(theirs.sum() / mine.sum())}
    return figures


def speed_table(figures: Figures) -> list[str]:
    """Markdown: a row a side."""
    rows = []
    for name, one in figures.items():
        times, cpu = one.get("times_reference"), one["cpu_s_per_step"]
        rows.append(
            [
                TITLES[name],
                f"{cpu['median']:.3g} ({cpu['low']:.3g}-{cpu['high']:.3g})",
                f"{one['wall_s_per_step']['median']:.3g}",
                f"{one['steps_per_cpu_s']:.3g}",
                f"{times['overall']:.1f} ({times['low']:.1f}-{times['high']:.1f})" if times else "",
                f"{one['setup_cpu_s']:.0f}",
            ]
        )
    reference = f"x {REFERENCE} (rounds)"
    heads = ("", "CPU s a step (rounds)", "wall s", "steps a CPU s", reference, "CPU s before")
    return markdown_table(heads, rows)


def score_figures(laps: Laps, targets: Sequence[float]) -> dict[str, dict[str, Any]]:
    """The CPU time of every side until its student has each score on dev.

    Time counts from the start, the filling of caches included, to the end of the first lap with the
    score; scoring itself is not counted. ``cpu_s`` has a number a target, None where it was not reached;
    ``curve`` has pairs of CPU s and score.
    """
    figures = {}
    for name, rounds in laps.items():
        spent = rounds[0]["setup_cpu_s"] + np.cumsum([lap["cpu_s"] for lap in rounds])
        scores = np.array([lap["score"] for lap in rounds])
        figures[name] = {
            "setup_cpu_s": rounds[0]["setup_cpu_s"],
            "curve": [[float(x), float(y)] for x, y in zip(spent, scores, strict=True)],
            "best": float(scores.max()),
            "cpu_s": [
                float(spent[(scores >= one).argmax()]) if scores.max() >= one else None for one in targets
            ],
        }
    return figures


def score_table(figures: Figures, targets: Sequence[float]) -> list[str]:
    """Markdown: a row a side, a column a target; in brackets how many times faster than textbrewer."""
    theirs = figures[REFERENCE]["cpu_s"] if REFERENCE in figures else [None] * len(targets)
    rows = []
    for name, one in figures.items():
        reached = [
            "not reached" if mine is None else f"{mine:.0f}" + (f" ({base / mine:.1f}x)" if base else "")
            for mine, base in zip(one["cpu_s"], theirs, strict=True)
        ]
        rows.append([TITLES[name], *reached, f"{one['setup_cpu_s']:.0f}", f"{100 * one['best']:.1f}"])
    columns = [f"CPU s to {100 * one:g}" for one in targets]
    return markdown_table(("", *columns, "of it before the first step", "best on dev"), rows)
