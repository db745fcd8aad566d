"""Parts of pictures as SVG: marks, text, scales and axes, without a drawing package.

Text stays text, so that the reader's own fonts draw Chinese. Colours are CSS variables: those of the
page that a picture stands in, or, of one that stands alone, those that ``standalone`` gives it.
"""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from html import escape
from typing import Literal

__all__ = [
    "Anchor",
    "Colour",
    "Scale",
    "axes",
    "circle",
    "drawing",
    "line",
    "rectangle",
    "standalone",
    "text",
    "text_width",
]

Anchor = Literal["start", "middle", "end"]
Colour = Literal["ink", "soft", "grid", "accent", "second", "paper"]

_ALONE = """<style>
svg { --ink: #2b2326; --soft: #75676c; --paper: #fffdfc;
  --grid: #e8dfe1; --accent: #b03a5b; --second: #6a8caf; background: var(--paper) }
@media (prefers-color-scheme: dark) { svg {
  --ink: #f2e9eb; --soft: #b3a4a9; --paper: #1d181a; --grid: #3d3337; --accent: #e27d99; --second: #9bb8d6 } }
text { font-family: system-ui, "PingFang SC", "Microsoft YaHei", "Noto Sans CJK SC", sans-serif }
</style>"""


@dataclass(frozen=True, slots=True)
class Scale:
    """From values to pixels.

    Attributes:
        low: The value at ``start``.
        high: The value at ``end``.
        start: Pixels.
        end: Pixels; less than ``start`` on an axis that goes up.
        log: Whether it is logarithmic; the values are above 0 then.
    """

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def __call__(self, value: float) -> float:
        """The pixels of a value."""
        low, high, at = (
            map(math.log10, (self.low, self.high, value)) if self.log else (self.low, self.high, value)
        )
        return self.start + (self.end - self.start) * (at - low) / (high - low)

    def ticks(self) -> list[float]:
        """Round values in the scale: powers of ten with 2 and 5 between where there is room, or 3 to 8."""
        if self.log:
            steps = (1, 2, 5) if self.high / self.low < 300 else (1,)
            decades = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)))
            values = [step * 10.0**decade for decade in decades for step in steps]
            return [value for value in values if self.low <= value <= self.high]
        span = self.high - self.low
        step = 10.0 ** math.floor(math.log10(span))
        step *= 0.2 if span / step < 1.5 else 0.5 if span / step < 3.5 else 1
        first, last = math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9)
        return [step * number for number in range(first, last + 1)]


def drawing(width: float, height: float, parts: Iterable[str]) -> str:
    """An ``<svg>`` element that can stand in a page."""
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" role="img">'
    return "\n".join([head, *parts, "</svg>\n"])


def standalone(svg: str) -> str:
    """A drawing as a file of its own, with its own colours and fonts, light and dark."""
    return svg.replace(">", f">{_ALONE}", 1)


def text(  # noqa: PLR0913 - what text has
    x: float,
    y: float,
    content: str,
    colour: Colour = "ink",
    *,
    size: float = 13,
    anchor: Anchor = "start",
    bold: bool = False,
    upwards: bool = False,
) -> str:
    """One line of text; ``y`` is its base line."""
    turned = f' transform="rotate(-90 {x:.1f} {y:.1f})"' if upwards else ""
    weight = "; font-weight: 600" if bold else ""
    style = f"fill: var(--{colour}); font-size: {size:g}px; text-anchor: {anchor}{weight}"
    return f'<text x="{x:.1f}" y="{y:.1f}"{turned} style="{style}">{escape(content)}</text>'


def text_width(content: str, size: float = 13, *, bold: bool = False) -> float:
    """Pixels that a line of text is wide, about: fonts differ."""
    wide = sum(unicodedata.east_asian_width(char) in "WF" for char in content)
    return size * (wide + (0.63 if bold else 0.58) * (len(content) - wide))


def line(
    x1: float, y1: float, x2: float, y2: float, colour: Colour, width: float = 1, extra: str = ""
) -> str:
    """A line; ``extra`` is more CSS, such as its opacity."""
    style = f"stroke: var(--{colour}); stroke-width: {width:g}; {extra}".rstrip("; ")
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" style="{style}"/>'


def circle(
    x: float, y: float, radius: float, colour: Colour, *, opacity: float = 1, hollow: bool = False
) -> str:
    """A disc, or with ``hollow`` a ring on paper."""
    fill = f"var(--paper); stroke: var(--{colour}); stroke-width: 1.8" if hollow else f"var(--{colour})"
    opaque = "" if opacity == 1 else f"; opacity: {opacity:g}"
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius:.1f}" style="fill: {fill}{opaque}"/>'


def rectangle(x: float, y: float, width: float, height: float, colour: Colour, opacity: float) -> str:
    """A filled rectangle."""
    style = f"fill: var(--{colour}); opacity: {opacity:.3f}"
    return f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" style="{style}"/>'


def axes(
    x: Scale, y: Scale, names: tuple[str, str], shown: tuple[Callable[[float], str], Callable[[float], str]]
) -> Iterator[str]:
    """A grid with the values of its lines, and the names of both axes.

    Args:
        x: To the right.
        y: Upwards.
        names: Of x and y.
        shown: How a value of x, or of y, is written.
    """
    for value in x.ticks():
        yield line(x(value), y.start, x(value), y.end, "grid", 0.7)
        yield text(x(value), y.start + 17, shown[0](value), "soft", size=12, anchor="middle")
    for value in y.ticks():
        yield line(x.start, y(value), x.end, y(value), "grid", 0.7)
        yield text(x.start - 7, y(value) + 4, shown[1](value), "soft", size=12, anchor="end")
    yield line(x.start, y.start, x.end, y.start, "soft", 0.8)
    yield line(x.start, y.start, x.start, y.end, "soft", 0.8)
    yield text((x.start + x.end) / 2, y.start + 36, names[0], "soft", size=12, anchor="middle")
    yield text(x.start - 46, (y.start + y.end) / 2, names[1], "soft", size=12, anchor="middle", upwards=True)
