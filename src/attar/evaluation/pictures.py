"""The report's pictures: confusion, reliability, and size / speed / accuracy.

SVG with live text, so that the browser draws Chinese with its own fonts, and with colours as CSS
variables of the page (``page.html.j2``), so that light, dark and print each get their own. Figure
objects and the Agg canvas only: nothing here touches pyplot or its global state.
"""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter
from matplotlib.transforms import Bbox
from numpy.typing import NDArray

from attar.evaluation.calibration import ReliabilityBin
from attar.io.files import atomic_write

__all__ = ["Point", "confusion_svg", "reliability_svg", "save_png", "size_text", "standalone", "tradeoff_svg"]

_FAR = 4  # what a point of distance costs a label, in pixels that it covers

# Colours as drawn (and as they stay in a PNG), and the page's variables that replace them in SVG.
_INK, _SOFT, _GRID, _ACCENT, _SECOND, _PAPER = (
    "#2b2326",
    "#85777c",
    "#e8dfe1",
    "#b03a5b",
    "#6a8caf",
    "#fffdfc",
)
_VARIABLES = {
    _INK: "var(--ink)",
    _SOFT: "var(--soft)",
    _GRID: "var(--grid)",
    _ACCENT: "var(--accent)",
    _SECOND: "var(--second)",
    _PAPER: "var(--paper)",
}
_STYLE = {
    "svg.fonttype": "none",
    "svg.hashsalt": "attar",
    "font.size": 11.0,
    "text.color": _INK,
    "axes.labelcolor": _SOFT,
    "axes.edgecolor": _SOFT,
    "axes.linewidth": 0.8,
    "xtick.color": _SOFT,
    "ytick.color": _SOFT,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
}


@dataclass(frozen=True, slots=True)
class Point:
    """One model in the size / speed / accuracy picture."""

    name: str
    examples_per_second: float
    macro_f1: float
    macro_f1_low: float
    macro_f1_high: float
    size_bytes: int | None
    highlighted: bool = False


def confusion_svg(confusion: NDArray[np.integer], labels: Sequence[str]) -> str:
    """Draw [C, C] counts, shaded by the share of their gold label."""
    shares = confusion / np.maximum(confusion.sum(1, keepdims=True), 1)
    size = len(labels)
    with _drawing(1.5 + 0.95 * size, 1.2 + 0.8 * size) as (figure, axes):
        for row, column in np.ndindex(size, size):
            share = float(shares[row, column])
            colour = _ACCENT if row == column else _SECOND
            box = mpl.patches.Rectangle((column - 0.48, row - 0.48), 0.96, 0.96)
            box.set(facecolor=colour, alpha=0.06 + 0.84 * share, linewidth=0)
            axes.add_patch(box)
            ink = _PAPER if share > 0.55 else _INK
            axes.text(column, row - 0.08, f"{confusion[row, column]:,}", ha="center", va="center", color=ink)
            axes.text(
                column, row + 0.24, f"{share:.0%}", ha="center", va="center", color=ink, size=8.5, alpha=0.8
            )
        axes.set(xlim=(-0.5, size - 0.5), ylim=(size - 0.5, -0.5), xlabel="predicted", ylabel="gold")
        axes.set_xticks(range(size), labels)
        axes.set_yticks(range(size), labels)
        axes.tick_params(length=0, labelcolor=_INK)
        axes.spines[:].set_visible(False)
        return _svg(figure, "confusion")


def reliability_svg(bins: Sequence[ReliabilityBin]) -> str:
    """Draw accuracy against confidence; the diagonal is perfect, dots grow with their bin."""
    filled = [part for part in bins if part.count]
    total = sum(part.count for part in filled)
    with _drawing(4.4, 3.6) as (figure, axes):
        axes.plot([0, 1], [0, 1], color=_SOFT, linewidth=1, linestyle=(0, (3, 3)))
        confidence, accuracy = [p.confidence for p in filled], [p.accuracy for p in filled]
        axes.plot(confidence, accuracy, color=_ACCENT, linewidth=1, alpha=0.45)
        sizes = [16 + 320 * part.count / total for part in filled]
        axes.scatter(
            confidence,
            accuracy,
            s=sizes,
            color=_ACCENT,
            alpha=0.75,
            linewidths=0,
            clip_on=False,
            zorder=3,
        )
        low = min((p.low for p in filled), default=0.0)
        axes.set(xlim=(low, 1), ylim=(0, 1), xlabel="confidence (top prob)", ylabel="accuracy")
        _percent(axes.xaxis)
        _percent(axes.yaxis)
        axes.grid(color=_GRID, linewidth=0.7)
        axes.set_axisbelow(True)
        return _svg(figure, "reliability")


def tradeoff_svg(points: Sequence[Point]) -> str:
    """Draw macro-F1 (with intervals) against examples a second, area = bytes."""
    with _drawing(8.6, 4.3) as (figure, axes):
        _tradeoff(figure, axes, points)
        return _svg(figure, "tradeoff")


def standalone(svg: str) -> str:
    """A picture as a file of its own: with its own colours, on paper, where no page gives them."""
    for colour, variable in _VARIABLES.items():
        svg = svg.replace(variable, colour)
    return svg.replace("<svg ", f'<svg style="background: {_PAPER}" ', 1)


def size_text(size_bytes: int) -> str:
    """Bytes in words, decimal units: 6.1 MB."""
    for unit, scale in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size_bytes >= scale:
            return f"{size_bytes / scale:.1f} {unit}"
    return f"{size_bytes} B"


def save_png(path: Path, points: Sequence[Point]) -> None:
    """Write the size / speed / accuracy picture as PNG, whole or not at all."""
    with _drawing(8.6, 4.3) as (figure, axes):
        _tradeoff(figure, axes, points)
        with atomic_write(path) as draft:
            figure.savefig(draft, format="png", dpi=160, facecolor=_PAPER)


def _tradeoff(figure: Figure, axes: Axes, points: Sequence[Point]) -> None:
    taken: list[Bbox] = []
    axes.set_xscale("log")
    speeds = [point.examples_per_second for point in points] or [1.0]
    axes.set_xlim(min(speeds) / 2.6, max(speeds) * 8)  # room for the fastest one's name
    lows, highs = [p.macro_f1_low for p in points] or [0.0], [p.macro_f1_high for p in points] or [1.0]
    margin = max(0.02, 0.15 * (max(highs) - min(lows)))
    axes.set_ylim(max(0.0, min(lows) - margin), min(1.0, max(highs) + margin))
    axes.set(xlabel="examples a second, text to label (log scale)", ylabel="macro-F1")
    axes.xaxis.set_major_locator(LogLocator(10))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    _percent(axes.yaxis)
    axes.grid(color=_GRID, linewidth=0.7)
    axes.set_axisbelow(True)
    figure.draw_without_rendering()
    for point in points:
        colour = _ACCENT if point.highlighted else _SECOND
        x, y = point.examples_per_second, point.macro_f1
        axes.plot([x, x], [point.macro_f1_low, point.macro_f1_high], color=colour, linewidth=1.4, alpha=0.8)
        axes.scatter([x], [y], s=_area(point), color=colour, alpha=0.55, linewidths=0, zorder=3)
        axes.scatter([x], [y], s=10, color=colour, linewidths=0, zorder=4)
        taken += _occupied(axes, point)
    for point in points:
        taken.append(_label(figure, axes, point, taken))


def _area(point: Point) -> float:
    """Bubble area in square points: 6 a MB over a floor, so that 1 MB and 400 MB both show."""
    return 30.0 if point.size_bytes is None else 30.0 + 6.0 * point.size_bytes / 1e6


def _occupied(axes: Axes, point: Point) -> list[Bbox]:
    """The pixels that a point's bubble and bar cover."""
    low, middle, high = axes.transData.transform(
        [(point.examples_per_second, y) for y in (point.macro_f1_low, point.macro_f1, point.macro_f1_high)]
    )
    radius = np.sqrt(_area(point) / np.pi) * axes.figure.dpi / 72
    bubble = Bbox.from_extents(*(middle - radius), *(middle + radius))
    return [bubble, Bbox.from_extents(low[0] - 2, low[1], high[0] + 2, high[1])]


def _label(figure: Figure, axes: Axes, point: Point, taken: Sequence[Bbox]) -> Bbox:
    """Write a point's name where it covers least of what is there; the nearest place wins."""
    size = "" if point.size_bytes is None else f" · {size_text(point.size_bytes)}"
    radius = float(np.sqrt(_area(point) / np.pi))
    text = axes.annotate(
        point.name + size,
        (point.examples_per_second, point.macro_f1),
        xytext=(0, 0),
        textcoords="offset points",
        color=_INK,
        size=10,
        weight="bold" if point.highlighted else "normal",
        zorder=5,
    )
    renderer = figure.canvas.get_renderer()  # type: ignore[attr-defined]
    frame = axes.get_window_extent(renderer)
    best: tuple[float, tuple[float, float], str] | None = None
    for distance in (4.0, 14.0, 26.0, 40.0, 56.0):
        reach = radius + distance
        for dx, dy, side in _places(reach):
            text.set(position=(dx, dy), ha=side, va="center")
            box = text.get_window_extent(renderer).padded(2)
            covered = sum(_shared(box, other) for other in taken)
            outside = box.width * box.height - _shared(box, frame)
            cost = covered + outside + _FAR * distance
            if best is None or cost < best[0]:
                best = cost, (dx, dy), side
    assert best is not None
    text.set(position=best[1], ha=best[2])
    return text.get_window_extent(renderer).padded(2)


def _places(reach: float) -> Iterator[tuple[float, float, str]]:
    for angle in (0, 180, 30, 150, -30, -150, 60, 120, -60, -120, 90, -90):
        dx, dy = reach * np.cos(np.radians(angle)), reach * np.sin(np.radians(angle))
        yield float(dx), float(dy), "center" if angle in (90, -90) else "left" if dx > 0 else "right"


def _shared(first: Bbox, second: Bbox) -> float:
    both = Bbox.intersection(first, second)
    return 0.0 if both is None else float(both.width * both.height)


def _percent(axis: mpl.axis.Axis) -> None:
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:.3g} %"))


@contextmanager
def _drawing(width: float, height: float) -> Iterator[tuple[Figure, Axes]]:
    """A figure of ``width`` x ``height`` inches in the house style."""
    with mpl.rc_context(_STYLE), warnings.catch_warnings():  # type: ignore[arg-type]
        # matplotlib measures Chinese with a font that lacks it; the browser draws it with one that does not.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        layout = ConstrainedLayoutEngine(w_pad=0.15, h_pad=0.15)
        figure = Figure(figsize=(width, height), layout=layout)
        FigureCanvasAgg(figure)
        yield figure, figure.subplots()


def _svg(figure: Figure, name: str) -> str:
    """The figure as an ``<svg>`` element that can stand beside others in a page."""
    stream = io.StringIO()
    figure.savefig(stream, format="svg", metadata={"Date": None})
    text = stream.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>\s*", "", text, flags=re.DOTALL)
    # Ids are unique within a figure only; several figures share one page.
    text = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{name}-", text)
    for colour, variable in _VARIABLES.items():
        text = text.replace(colour, variable)
    return text
