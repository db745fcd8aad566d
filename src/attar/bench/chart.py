"""The picture of ``attar bench``: every model's speed and latency, as a file that stands alone.

Dots on logarithmic scales, with the spread as a line: between an int8 student and its teacher lie
two orders of magnitude.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from attar.svg import Colour, Scale, circle, drawing, line, standalone, text

__all__ = ["bench_svg"]

_WIDTH, _TOP, _ROW, _BOTTOM = 860, 62, 50, 58
_LEFT, _GAP, _PANEL = 24, 90, 360  # left edge, and space between and width of the two panels
_LONGEST_NAME = 40


class _Mark(NamedTuple):
    """One dot with its spread."""

    low: float
    middle: float
    high: float
    hollow: bool = False


def bench_svg(figures: Mapping[str, Any]) -> str:
    """Draw what ``attar.bench.stage.bench`` measured.

    Args:
        figures: Its result; the first model is drawn in the colour of the accent.

    Returns:
        A whole SVG file.
    """
    models, workers = figures["models"], figures["workers"]
    speeds = [[_speed(one["all_cores"]), _speed(one["one_core"], hollow=True)] for one in models.values()]
    latencies = [[_latency(one["one_core"])] for one in models.values()]
    right, bottom = _LEFT + _PANEL + _GAP, _TOP + _ROW * len(models)
    legend = f"● {workers} worker{'s' * (workers != 1)} · ○ one · line: slowest to fastest round"
    parts = [
        "<title>attar bench</title>",
        text(_LEFT, 26, "examples a second, text to label", bold=True),
        text(_LEFT, 44, legend, "soft", size=12),
        text(right, 26, "one example, one thread, ms", bold=True),
        text(right, 44, "● median · line: to the 99th percentile", "soft", size=12),
        *_panel(_LEFT, bottom, speeds, list(models)),
        *_panel(right, bottom, latencies, list(models)),
        text(_LEFT, bottom + _BOTTOM - 14, _footnote(figures), "soft", size=12),
    ]
    return standalone(drawing(_WIDTH, bottom + _BOTTOM, parts))


def _panel(left: int, bottom: int, rows: Sequence[Sequence[_Mark]], names: Sequence[str]) -> Iterator[str]:
    """A scale, its grid, and for each model a row of marks with its name above."""
    values = [value for marks in rows for mark in marks for value in (mark.low, mark.high)]
    x = Scale(*_range(min(values), max(values)), left, left + _PANEL, log=True)
    for tick in x.ticks():
        yield line(x(tick), _TOP, x(tick), bottom, "grid")
        yield text(x(tick), bottom + 17, _number(tick), "soft", size=12, anchor="middle")
    for i, (name, marks) in enumerate(zip(names, rows, strict=True)):
        colour: Colour = "second" if i else "accent"
        y = _TOP + _ROW * i + 34
        short = name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME - 1]}…"
        yield text(left, y - 14, short, bold=not i)
        for mark in marks:
            yield line(x(mark.low), y, x(mark.high), y, colour, 3, "opacity: 0.45")
            yield circle(x(mark.middle), y, 5, colour, hollow=mark.hollow)
        right = x(max(mark.high for mark in marks)) + 9
        near_edge = right > left + _PANEL - 30
        at = x(min(mark.low for mark in marks)) - 9 if near_edge else right
        yield text(at, y + 4, _number(marks[0].middle), anchor="end" if near_edge else "start")


def _speed(speed: Mapping[str, Any], *, hollow: bool = False) -> _Mark:
    name = "examples_per_second"
    return _Mark(speed[f"{name}_low"], speed[name], speed[f"{name}_high"], hollow)


def _latency(speed: Mapping[str, Any]) -> _Mark:
    return _Mark(speed["latency_ms_p50"], speed["latency_ms_p50"], speed["latency_ms_p99"])


def _range(low: float, high: float) -> tuple[float, float]:
    """Holds both and is at least a decade wide."""
    middle = math.sqrt(low * high)
    return min(low / 1.3, middle / math.sqrt(10)), max(high * 1.3, middle * math.sqrt(10))


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _footnote(figures: Mapping[str, Any]) -> str:
    machine, data = figures["machine"], figures["data"]
    flags = f" ({', '.join(machine['flags'])})" if machine["flags"] else ""
    tokens = "" if data["mean_tokens"] is None else f"{data['mean_tokens']:.0f} tokens on average; "
    return (
        f"{machine['cpu']}, {machine['cores']} cores{flags}; onnxruntime {machine['onnxruntime']}; "
        f"{tokens}{figures['rounds']} interleaved rounds"
    )
