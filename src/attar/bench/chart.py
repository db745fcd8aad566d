"""The picture of ``attar bench``: every model's speed and latency, as a file that stands alone.

Dots on logarithmic scales, with the spread as a line: between an int8 student and its teacher lie
two orders of magnitude. Written by hand as SVG, so that it takes no drawing package, follows the
reader's light or dark setting and prints.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any, NamedTuple

__all__ = ["bench_svg"]

_STYLE = """
svg { --ink: #2b2326; --soft: #75676c; --paper: #fffdfc;
  --grid: #e8dfe1; --accent: #b03a5b; --second: #6a8caf }
@media (prefers-color-scheme: dark) { svg {
  --ink: #f2e9eb; --soft: #b3a4a9; --paper: #1d181a; --grid: #3d3337; --accent: #e27d99; --second: #9bb8d6 } }
text { font: 13px system-ui, "PingFang SC", "Microsoft YaHei", "Noto Sans CJK SC", sans-serif;
  fill: var(--ink) }
.soft { fill: var(--soft); font-size: 12px }
.name { font-weight: 600 }
.end { text-anchor: end }
.middle { text-anchor: middle }
.paper { fill: var(--paper) }
.grid { stroke: var(--grid) }
.first { fill: var(--accent); stroke: var(--accent) }
.other { fill: var(--second); stroke: var(--second) }
circle.hollow { fill: var(--paper); stroke-width: 1.8 }
.spread { stroke-width: 3; opacity: .45 }
"""
_WIDTH, _TOP, _ROW, _BOTTOM = 860, 62, 50, 58
_NAMES, _GAP, _PANEL = 24, 90, 360  # left edge, and space between and width of the two panels


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
    models = figures["models"]
    speeds = [[_speed(one["all_cores"]), _speed(one["one_core"], hollow=True)] for one in models.values()]
    latencies = [[_latency(one["one_core"])] for one in models.values()]
    height = _TOP + _ROW * len(models) + _BOTTOM
    left, right = _NAMES, _NAMES + _PANEL + _GAP
    bottom = height - _BOTTOM
    workers = figures["workers"]
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" role="img">',
        f"<title>attar bench</title><style>{_STYLE}</style>",
        '<rect class="paper" width="100%" height="100%"/>',
        _text(left, 26, "examples a second, text to label", "name"),
        _text(
            left,
            44,
            f"● {workers} worker{'s' * (workers != 1)} · ○ one · line: slowest to fastest round",
            "soft",
        ),
        _text(right, 26, "one example, one thread, ms", "name"),
        _text(right, 44, "● median · line: to the 99th percentile", "soft"),
        *_panel(left, bottom, speeds, list(models)),
        *_panel(right, bottom, latencies, list(models)),
        _text(_NAMES, height - 14, _foot(figures), "soft"),
        "</svg>\n",
    ]
    return "\n".join(parts)


def _panel(left: int, bottom: int, rows: Sequence[Sequence[_Mark]], names: Sequence[str]) -> Iterable[str]:
    """A scale, its grid, and a row of marks with its name above for each model."""
    values = [value for marks in rows for mark in marks for value in (mark.low, mark.high)]
    low, high = _around(min(values), max(values))

    def x(value: float) -> float:
        return left + _PANEL * (math.log10(value) - math.log10(low)) / (math.log10(high) - math.log10(low))

    for tick in _ticks(low, high):
        at = x(tick)
        yield f'<line class="grid" x1="{at:.1f}" x2="{at:.1f}" y1="{_TOP}" y2="{bottom}"/>'
        yield _text(at, bottom + 17, _number(tick), "soft middle")
    for i, (name, marks) in enumerate(zip(names, rows, strict=True)):
        y, colour = _TOP + _ROW * i + 34, "other" if i else "first"
        yield _text(left, y - 14, name if len(name) <= 40 else f"{name[:39]}…", "name" if not i else "")
        for mark in marks:
            ends = f'x1="{x(mark.low):.1f}" x2="{x(mark.high):.1f}" y1="{y}" y2="{y}"'
            yield f'<line class="{colour} spread" {ends}/>'
            kind = f"{colour} hollow" if mark.hollow else colour
            yield f'<circle class="{kind}" cx="{x(mark.middle):.1f}" cy="{y}" r="5"/>'
        right = x(max(mark.high for mark in marks)) + 9
        near_edge = right > left + _PANEL - 30
        at = x(min(mark.low for mark in marks)) - 9 if near_edge else right
        yield _text(at, y + 4, _number(marks[0].middle), "end" if near_edge else "")


def _speed(speed: Mapping[str, Any], *, hollow: bool = False) -> _Mark:
    name = "examples_per_second"
    return _Mark(speed[f"{name}_low"], speed[name], speed[f"{name}_high"], hollow)


def _latency(speed: Mapping[str, Any]) -> _Mark:
    return _Mark(speed["latency_ms_p50"], speed["latency_ms_p50"], speed["latency_ms_p99"])


def _around(low: float, high: float) -> tuple[float, float]:
    """A scale that holds both and is at least a decade wide."""
    middle = math.sqrt(low * high)
    return min(low / 1.3, middle / math.sqrt(10)), max(high * 1.3, middle * math.sqrt(10))


def _ticks(low: float, high: float) -> list[float]:
    """1, 10, 100 ..., with 2 and 5 between where there is room."""
    steps = (1, 2, 5) if high / low < 300 else (1,)
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)))
    return [tick for decade in decades for step in steps if low <= (tick := step * 10.0**decade) <= high]


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _foot(figures: Mapping[str, Any]) -> str:
    here, data = figures["machine"], figures["data"]
    flags = f" ({', '.join(here['flags'])})" if here["flags"] else ""
    return (
        f"{here['cpu']}, {here['cores']} cores{flags}; onnxruntime {here['onnxruntime']}; "
        f"{data['mean_tokens']:.0f} tokens on average; {figures['rounds']} interleaved rounds"
    )


def _text(x: float, y: float, content: str, kind: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" class="{kind}">{escape(content)}</text>'
