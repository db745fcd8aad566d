"""Pictures for slides, as SVG: the first column's values with intervals, the total over time, a heat map."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path

from attar.insight.estimates import View
from attar.insight.messages import message
from attar.insight.results import Insight
from attar.insight.sentences import correction_note, shown_value
from attar.io.files import atomic_write
from attar.language.translator import Language
from attar.svg import Colour, Scale, axes, circle, drawing, line, rectangle, standalone, text

__all__ = ["write_pictures"]

_MOST = 15
_MOST_COLUMNS = 10
_ROW = 30.0
_LEFT = 190.0
_NAME_CHARS = 13


def write_pictures(folder: Path, made: Insight, language: Language) -> None:
    """Write what there is something to draw of: ``values.svg``, ``trend.svg``, ``heat.svg``."""
    time = next((i for i, each in enumerate(made.rows.dimensions) if each.period), None)
    names = [i for i in range(len(made.rows.dimensions)) if i != time]
    by_dimensions = {view.dimensions: view for view in made.views}
    pictures: dict[str, str] = {}
    if names:
        pictures["values"] = _values(made, language, by_dimensions[(names[0],)])
    if time is not None and len(by_dimensions[(time,)].codes) > 1:
        pictures["trend"] = _trend(made, language, by_dimensions[(time,)])
    if len(names) > 1:
        pictures["heat"] = _heat(made, language, by_dimensions[(names[0], names[1])])
    for name, picture in pictures.items():
        with atomic_write(folder / f"{name}.svg") as draft:
            draft.write_text(standalone(picture), "utf-8")


def _main_outcome(made: Insight, language: Language) -> tuple[int, str]:
    if made.scores is not None:
        return len(made.rows.labels), message(language, "net")
    return len(made.rows.labels) - 1, made.rows.labels[-1]


def _points(value: float) -> str:
    return f"{100 * value:.0f}".replace("-", "−")


def _cut(name: str) -> str:
    return name if len(name) <= _NAME_CHARS else f"{name[: _NAME_CHARS - 1]}…"


def _titled(made: Insight, language: Language, name: str) -> str:
    return f"{name} · {correction_note(made, language)}"


def _values(made: Insight, language: Language, view: View) -> str:
    """Dots with intervals, a line a value."""
    outcome, name = _main_outcome(made, language)
    cells = range(min(len(view.codes), _MOST))
    low, high = _limits(view, cells, outcome)
    height = 60 + _ROW * len(cells) + 40
    x = Scale(low, high, _LEFT, 700)
    y = Scale(0, 1, height - 50, 44)
    parts = [text(_LEFT, 26, _titled(made, language, name), "ink", size=15, bold=True)]
    for value in x.ticks():
        parts.append(line(x(value), y.start, x(value), y.end, "grid", 0.7))
        parts.append(text(x(value), y.start + 17, _points(value), "soft", size=12, anchor="middle"))
    for row, cell in enumerate(cells):
        at = 60 + _ROW * row
        colour: Colour = "soft" if view.is_small[cell] else "accent"
        shown = shown_value(made, language, view.dimensions[0], _value(made, view, cell, 0))
        parts.append(text(_LEFT - 12, at + 5, _cut(shown), "ink", anchor="end"))
        ends = [
            x(min(high, max(low, float(part[cell, outcome])))) for part in (view.best.low, view.best.high)
        ]
        parts.append(line(ends[0], at, ends[1], at, colour, 2))
        parts.append(
            circle(x(float(view.best.value[cell, outcome])), at, 5, colour, hollow=bool(view.is_small[cell]))
        )
    return drawing(720, height, parts)


def _trend(made: Insight, language: Language, view: View) -> str:
    """The total over time."""
    outcome, name = _main_outcome(made, language)
    periods = made.rows.values[view.dimensions[0]]
    cells = sorted(
        (c for c in range(len(view.codes)) if periods[view.codes[c, 0]]), key=lambda c: int(view.codes[c, 0])
    )
    if not cells:
        return drawing(760, 60, [text(20, 30, message(language, "no_date"), "soft")])
    x = Scale(0, max(1, len(cells) - 1), 70, 740)
    y = Scale(*_limits(view, cells, outcome), 320, 44)
    step = max(1, len(cells) // 8)

    def period(value: float) -> str:
        place = round(value)
        return (
            periods[view.codes[cells[place], 0]]
            if place < len(cells) and value == place and place % step == 0
            else ""
        )

    parts = [text(70, 26, _titled(made, language, name), "ink", size=15, bold=True)]
    parts += axes(x, y, ("", ""), (period, _points))
    places = [(x(i), y(float(view.best.value[cell, outcome]))) for i, cell in enumerate(cells)]
    for (x1, y1), (x2, y2) in itertools.pairwise(places):
        parts.append(line(x1, y1, x2, y2, "accent", 2))
    for cell, (at, middle) in zip(cells, places, strict=True):
        ends = [y(float(part[cell, outcome])) for part in (view.best.low, view.best.high)]
        parts.append(line(at, ends[0], at, ends[1], "accent", 1.5, "opacity: .5"))
        parts.append(circle(at, middle, 4, "accent", hollow=bool(view.is_small[cell])))
    return drawing(760, 370, parts)


def _heat(made: Insight, language: Language, view: View) -> str:
    """The largest values of two columns."""
    outcome, name = _main_outcome(made, language)
    found = {(int(a), int(b)): cell for cell, (a, b) in enumerate(view.codes.tolist())}
    rows = [made.rows.values[place] for place in view.dimensions]
    lines, columns = range(min(len(rows[0]), _MOST)), range(min(len(rows[1]), _MOST_COLUMNS))
    width = 62.0
    parts = [text(20, 26, _titled(made, language, name), "ink", size=15, bold=True)]
    for column in columns:
        shown = shown_value(made, language, view.dimensions[1], rows[1][column])
        at = _LEFT + width * (column + 0.5)
        parts.append(
            text(at, 58, shown if len(shown) <= 5 else f"{shown[:4]}…", "soft", size=12, anchor="middle")
        )
    for row in lines:
        top = 70 + _ROW * row
        shown = shown_value(made, language, view.dimensions[0], rows[0][row])
        parts.append(text(_LEFT - 12, top + 19, _cut(shown), "ink", anchor="end"))
        for column in columns:
            cell = found.get((row, column))
            if cell is None:
                continue
            value, left = float(view.best.value[cell, outcome]), _LEFT + width * column
            is_small = bool(view.is_small[cell])
            opacity = 0.05 if is_small else 0.08 + 0.6 * min(1.0, abs(value))
            colour: Colour = "accent" if value < 0 else "second"
            parts.append(rectangle(left + 1, top + 1, width - 2, _ROW - 2, colour, opacity))
            shade: Colour = "soft" if is_small else "ink"
            parts.append(text(left + width / 2, top + 19, _points(value), shade, size=12, anchor="middle"))
    return drawing(_LEFT + width * len(columns) + 20, 90 + _ROW * len(lines), parts)


def _value(made: Insight, view: View, cell: int, column: int) -> str:
    return made.rows.values[view.dimensions[column]][int(view.codes[cell, column])]


def _limits(view: View, cells: Sequence[int], outcome: int) -> tuple[float, float]:
    """Of an axis: what the intervals of cells that are not small reach, a little wider."""
    used = [cell for cell in cells if not view.is_small[cell]] or list(cells)
    low = float(view.best.low[used, outcome].min())
    high = float(view.best.high[used, outcome].max())
    low = min(low, float(view.best.value[list(cells), outcome].min()))
    high = max(high, float(view.best.value[list(cells), outcome].max()))
    pad = max(0.02, 0.05 * (high - low))
    return low - pad, high + pad
