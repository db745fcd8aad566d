"""The report's pictures: confusion, reliability, and size / speed / accuracy, as SVG."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from attar.evaluation.calibration import ReliabilityBin
from attar.language.translator import ENGLISH, Translator
from attar.svg import Anchor, Colour, Scale, axes, circle, drawing, line, rectangle, text, text_width

__all__ = ["Point", "confusion_svg", "reliability_svg", "size_text", "tradeoff_svg"]

_CELL_WIDTH, _CELL_HEIGHT = 96, 88
_FAR = 4  # what a pixel of distance costs a label, in square pixels that it covers
_LABEL_SIZE, _LABEL_HEIGHT = 13, 17
_DISTANCES = (5.0, 18.0, 34.0, 52.0, 72.0)  # of a label from its bubble, in pixels
_ANGLES = (0, 180, 30, 150, -30, -150, 60, 120, -60, -120, 90, -90)


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

    @property
    def label(self) -> str:
        """Its name and size."""
        return self.name if self.size_bytes is None else f"{self.name} · {size_text(self.size_bytes)}"

    @property
    def radius(self) -> float:
        """Of its bubble, whose area grows with the bytes, over a floor: 1 MB and 400 MB both show."""
        return math.sqrt((60.0 + 12.0 * (self.size_bytes or 0) / 1e6) / math.pi)


class _Box(NamedTuple):
    """A rectangle in pixels."""

    left: float
    top: float
    right: float
    bottom: float

    def shared(self, other: _Box) -> float:
        """Square pixels that lie in both."""
        width = min(self.right, other.right) - max(self.left, other.left)
        height = min(self.bottom, other.bottom) - max(self.top, other.top)
        return max(0.0, width) * max(0.0, height)


def confusion_svg(confusion: NDArray[np.integer], labels: Sequence[str], tr: Translator = ENGLISH) -> str:
    """Draw [C, C] counts, shaded by the share of their gold label."""
    shares = confusion / np.maximum(confusion.sum(1, keepdims=True), 1)
    left, size = 40 + max(text_width(label) for label in labels), len(labels)
    parts = []
    for row, column in np.ndindex(size, size):
        share = float(shares[row, column])
        x, y = left + _CELL_WIDTH * column, 8 + _CELL_HEIGHT * row
        colour: Colour = "accent" if row == column else "second"
        ink: Colour = "paper" if share > 0.55 else "ink"
        parts.append(rectangle(x, y, _CELL_WIDTH - 4, _CELL_HEIGHT - 4, colour, 0.06 + 0.84 * share))
        middle = x + _CELL_WIDTH / 2 - 2
        parts.append(text(middle, y + 40, f"{confusion[row, column]:,}", ink, size=15, anchor="middle"))
        parts.append(text(middle, y + 64, f"{share:.0%}", ink, size=11, anchor="middle"))
    bottom = 8 + _CELL_HEIGHT * size
    for i, label in enumerate(labels):
        parts.append(text(left - 8, 12 + _CELL_HEIGHT * (i + 0.5), label, anchor="end"))
        parts.append(text(left + _CELL_WIDTH * (i + 0.5) - 2, bottom + 16, label, anchor="middle"))
    parts.append(text(left + _CELL_WIDTH * size / 2, bottom + 37, tr("predicted"), "soft", anchor="middle"))
    parts.append(text(16, bottom / 2, tr("gold"), "soft", anchor="middle", upwards=True))
    return drawing(left + _CELL_WIDTH * size + 8, bottom + 46, parts)


def reliability_svg(bins: Sequence[ReliabilityBin], tr: Translator = ENGLISH) -> str:
    """Draw accuracy against confidence; the diagonal is perfect, dots grow with their bin."""
    filled = [part for part in bins if part.count]
    total = sum(part.count for part in filled)
    low = min((part.low for part in filled), default=0.0)
    x, y = Scale(low, 1, 64, 410), Scale(0, 1, 310, 16)
    parts = list(axes(x, y, (tr("confidence (top prob)"), tr("accuracy")), (_percent, _percent)))
    parts.append(line(x(low), y(low), x(1), y(1), "soft", 1, "stroke-dasharray: 4 3"))
    dots = [(x(part.confidence), y(part.accuracy)) for part in filled]
    for (x1, y1), (x2, y2) in itertools.pairwise(dots):
        parts.append(line(x1, y1, x2, y2, "accent", 1.2, "opacity: 0.45"))
    for part, (at, up) in zip(filled, dots, strict=True):
        radius = math.sqrt((30 + 600 * part.count / total) / math.pi)
        parts.append(circle(at, up, radius, "accent", opacity=0.75))
    return drawing(440, 356, parts)


def tradeoff_svg(points: Sequence[Point], tr: Translator = ENGLISH) -> str:
    """Draw macro-F1 (with intervals) against examples a second, area = bytes."""
    speeds = [point.examples_per_second for point in points] or [1.0]
    low = min((point.macro_f1_low for point in points), default=0.0)
    high = max((point.macro_f1_high for point in points), default=1.0)
    margin = max(0.02, 0.15 * (high - low))
    # Room on the right for the name of the fastest.
    x = Scale(min(speeds) / 2.6, max(speeds) * 8, 72, 840, log=True)
    y = Scale(max(0.0, low - margin), min(1.0, high + margin), 368, 16)
    names = (tr("examples a second, text to label (log scale)"), tr("macro-F1"))
    parts = list(axes(x, y, names, (lambda value: f"{value:,.0f}", _percent)))
    taken = []
    for point in points:
        colour: Colour = "accent" if point.highlighted else "second"
        at, middle = x(point.examples_per_second), y(point.macro_f1)
        top, bottom, radius = y(point.macro_f1_high), y(point.macro_f1_low), point.radius
        parts.append(line(at, top, at, bottom, colour, 1.8, "opacity: 0.8"))
        parts.append(circle(at, middle, radius, colour, opacity=0.55))
        parts.append(circle(at, middle, 2.2, colour))
        taken.append(_Box(at - radius, middle - radius, at + radius, middle + radius))
        taken.append(_Box(at - 2, top, at + 2, bottom))
    frame = _Box(x.start, y.end, x.end, y.start)
    for point in points:
        centre = x(point.examples_per_second), y(point.macro_f1)
        box, held_at, anchor = _best_place(point, centre, taken, frame)
        taken.append(box)
        style: dict[str, Any] = {"size": _LABEL_SIZE, "anchor": anchor, "bold": point.highlighted}
        parts.append(text(held_at, box.bottom - 5, point.label, **style))
    return drawing(860, 414, parts)


def size_text(size_bytes: int) -> str:
    """Bytes in words, decimal units: 6.1 MB."""
    for unit, scale in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size_bytes >= scale:
            return f"{size_bytes / scale:.1f} {unit}"
    return f"{size_bytes} B"


def _best_place(
    point: Point, centre: tuple[float, float], taken: Sequence[_Box], frame: _Box
) -> tuple[_Box, float, Anchor]:
    """The box of a point's label, and where in it the text is held.

    Of the places around the bubble it is the one that covers least of what is there, and of equals the
    nearest: right and left of the bubble first, then above and below.
    """
    width = text_width(point.label, _LABEL_SIZE, bold=point.highlighted)
    places: list[tuple[float, tuple[_Box, float, Anchor]]] = []
    for distance, angle in itertools.product(_DISTANCES, _ANGLES):
        x = centre[0] + (point.radius + distance) * math.cos(math.radians(angle))
        top = centre[1] - (point.radius + distance) * math.sin(math.radians(angle)) - _LABEL_HEIGHT / 2
        anchor: Anchor = "middle" if abs(angle) == 90 else "start" if abs(angle) < 90 else "end"
        left = x - {"start": 0.0, "middle": 0.5, "end": 1.0}[anchor] * width
        box = _Box(left, top, left + width, top + _LABEL_HEIGHT)
        outside = width * _LABEL_HEIGHT - box.shared(frame)
        cost = sum(map(box.shared, taken)) + outside + _FAR * distance
        places.append((cost, (box, x, anchor)))
    return min(places, key=lambda place: place[0])[1]


def _percent(value: float) -> str:
    return f"{100 * value:.3g} %"
