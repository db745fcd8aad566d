"""insight.xlsx: the figures with charts of Excel itself, filters and percentages."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from attar.insight.estimates import View
from attar.insight.messages import message
from attar.insight.results import Insight, outcome_names
from attar.insight.sentences import correction_note, foremost, sentence, shown_value, warnings_of
from attar.language.translator import Language
from attar.workbook.sheets import Book, Cell, Column, Marked, Sheet, open_workbook

__all__ = ["write_workbook"]

_MOST_CELLS = 5_000  # rows of a view's sheet: openpyxl writes some 60,000 cells a second
_MOST_FINDINGS = 5_000
_MOST_EXAMPLES = 3_000
_MOST_BARS = 15
_BAR_COLOURS = ("B4511C", "B9AEB2", "1F7A82", "2F74A8", "C98A1B", "7A5AB0")
_TITLE_CHARS = 28
_CHART_CM = 26.0  # as wide as the columns of the overview that are used
_ROW_CM = 0.53  # of a row as Excel has it


def write_workbook(path: Path, made: Insight, language: Language) -> None:
    """Write the workbook: an overview, a sheet a view, the comparisons, and typical reviews.

    Raises:
        MissingPackageError: Openpyxl is not installed.
    """
    with open_workbook(path) as book:
        overview = book.sheet(message(language, "sheet_overview"), is_printed=True)
        _overview(overview, made, language)
        taken, charts = {overview.title.lower()}, []
        for view in made.views[1:]:
            sheet = _view_sheet(book, made, language, view, taken)
            if len(view.dimensions) == 1:
                charts.append(_chart(sheet, made, view))
        # Below the words, where they are seen at once: beside a view's many columns they would not be.
        row = overview.num_rows + 2
        for chart in charts:
            overview.worksheet().add_chart(chart, f"A{row}")
            row += math.ceil(chart.height / _ROW_CM) + 1
        _findings_sheet(book, made, language, taken)
        _examples_sheet(book, made, language, taken)


def _title(wanted: str, taken: set[str]) -> str:
    """A title that Excel takes, once."""
    title = "".join("_" if char in "[]:*?/\\'" or not char.isprintable() else char for char in wanted)[
        :_TITLE_CHARS
    ]
    title = title.strip() or "sheet"
    number, made = 2, title
    while made.lower() in taken:
        ending = f"_{number}"
        made, number = f"{title[: _TITLE_CHARS - len(ending)]}{ending}", number + 1
    taken.add(made.lower())
    return made


def _overview(page: Sheet, made: Insight, language: Language) -> None:
    total = made.views[0]
    page.heading(made.title or message(language, "title"))
    mentions = message(language, "num_mentions", num=int(total.mentions[0]))
    reviews = message(language, "num_reviews", num=int(total.reviews[0]))
    page.append([message(language, "subtitle", mentions=mentions, reviews=reviews)])
    page.append([correction_note(made, language)])
    for text in warnings_of(made, language):
        page.append([f"! {text}"])
    page.append([])
    heads = [message(language, each) for each in ("outcome", "points", "low", "high", "model_alone")]
    page.heading(*heads)
    for place, name in enumerate(outcome_names(made, message(language, "net"))):
        figures = [float(part[0, place]) for part in (*total.best, total.said.value)]
        page.append([name, *(round(100 * each, 1) for each in figures)])
    page.append([])
    marked = foremost(made)
    page.heading(message(language, "findings"))
    note = "findings_note" if marked else "nothing_found"
    page.append([message(language, note, num=len(made.findings))])
    for each in marked:
        page.append([f"★ {sentence(made, language, each)}"])


def _view_sheet(book: Book, made: Insight, language: Language, view: View, taken: set[str]) -> Sheet:
    rows = made.rows
    names = outcome_names(made, message(language, "net"))
    columns = [Column(rows.dimensions[place].name) for place in view.dimensions]
    columns += [Column(message(language, each), "number") for each in ("mentions", "reviews")]
    columns += [Column(name, "percent") for name in names]
    low, high = message(language, "low"), message(language, "high")
    columns += [Column(f"{name} {end}", "percent") for name in names for end in (low, high)]
    for kind in ["model_alone"] * (made.source is not None) + ["pooled"]:
        what = message(language, kind)
        columns += [Column(message(language, "column_of", name=name, what=what), "percent") for name in names]
    columns.append(Column(message(language, "small")))
    title = " × ".join(rows.dimensions[place].name for place in view.dimensions)
    sheet = book.sheet(_title(title, taken), columns, is_printed=True)
    order = list(range(min(len(view.codes), _MOST_CELLS)))
    if _is_time(made, view):  # what has no date comes last, where no line goes
        order.sort(key=lambda cell: (not _has_name(made, view, cell), int(view.codes[cell, 0])))
    for cell in order:
        sheet.append(_cells(made, language, view, cell))
    sheet.show()
    return sheet


def _is_time(made: Insight, view: View) -> bool:
    return len(view.dimensions) == 1 and made.rows.dimensions[view.dimensions[0]].period is not None


def _has_name(made: Insight, view: View, cell: int) -> bool:
    return bool(made.rows.values[view.dimensions[0]][view.codes[cell, 0]])


def _cells(made: Insight, language: Language, view: View, cell: int) -> list[Cell]:
    best = view.best
    of = [
        shown_value(made, language, place, made.rows.values[place][view.codes[cell, column]])
        for column, place in enumerate(view.dimensions)
    ]
    made_cells: list[Cell] = [*of, int(view.mentions[cell]), int(view.reviews[cell])]
    made_cells += [_rounded(value) for value in best.value[cell]]
    made_cells += [
        _rounded(part[cell, place]) for place in range(best.value.shape[1]) for part in (best.low, best.high)
    ]
    if made.source is not None:
        made_cells += [_rounded(value) for value in view.said.value[cell]]
    made_cells += [_rounded(value) for value in view.pooled[cell]]
    made_cells.append(message(language, "small") if view.is_small[cell] else "")
    return made_cells


def _rounded(value: float) -> float:
    return round(float(value), 4)


def _chart(sheet: Sheet, made: Insight, view: View) -> Any:  # noqa: ANN401 - openpyxl's
    """A native chart of a single column: lines over time, else bars of the shares that make 100 %."""
    from openpyxl.chart import BarChart, LineChart, Reference

    part, num_rows, is_time = sheet.worksheet(), sheet.num_rows, _is_time(made, view)
    if is_time:
        num_rows = sum(_has_name(made, view, cell) for cell in range(num_rows)) or num_rows
    num_labels = len(made.rows.labels)
    first = 4  # behind the name, mentions and reviews
    shown = num_rows if is_time else min(num_rows, _MOST_BARS)
    chart: Any
    if is_time:
        chart = LineChart()
        columns = (first + num_labels,) * 2 if made.scores is not None else (first, first + num_labels - 1)
    else:
        chart = BarChart()
        chart.type, chart.grouping, chart.overlap, chart.gapWidth = "bar", "percentStacked", 100, 60
        chart.x_axis.scaling.orientation = "maxMin"
        columns = (first, first + num_labels - 1)
    data = Reference(part, min_col=columns[0], max_col=columns[1], min_row=1, max_row=shown + 1)
    chart.add_data(data, titles_from_data=True)
    chart.set_categories(Reference(part, min_col=1, min_row=2, max_row=shown + 1))
    for series, colour in zip(chart.series, _colours(made, is_time=is_time), strict=False):
        series.graphicalProperties.solidFill = colour
        series.graphicalProperties.line.solidFill = colour
        if is_time:
            series.smooth = False
    chart.title = made.rows.dimensions[view.dimensions[0]].name
    chart.y_axis.number_format = "0%"
    chart.x_axis.delete = chart.y_axis.delete = False  # else newer Excel hides them
    chart.legend.position = "b"
    chart.width, chart.height = _CHART_CM, 9.0 if is_time else max(6.0, 0.7 * shown + 3.5)
    return chart


def _colours(made: Insight, *, is_time: bool) -> Sequence[str]:
    if is_time and made.scores is not None:
        return ("B03A5B",)
    if made.scores is None:
        return _BAR_COLOURS[3:] + _BAR_COLOURS[:3]
    return ["B4511C" if score < 0 else "1F7A82" if score > 0 else "B9AEB2" for score in made.scores]


def _findings_sheet(book: Book, made: Insight, language: Language, taken: set[str]) -> None:
    heads = [
        Column("★"), Column(message(language, "kind")), Column(message(language, "what"), "text"),
        *(Column(message(language, each), "percent") for each in ("points", "low", "high")),
        Column(message(language, "adjusted"), "share"),
    ]  # fmt: skip
    sheet = book.sheet(_title(message(language, "sheet_findings"), taken), heads, is_printed=True)
    for each in made.findings[:_MOST_FINDINGS]:
        kind = message(language, "trend_kind" if each.kind == "trend" else each.kind)
        figures = [_rounded(value) for value in (each.value, each.low, each.high, each.adjusted)]
        sheet.append(["★" if each.is_marked else "", kind, sentence(made, language, each), *figures])
    sheet.show()


def _examples_sheet(book: Book, made: Insight, language: Language, taken: set[str]) -> None:
    """The typical reviews of single columns and of the pairs, the largest cells first."""
    rows = made.rows
    heads = [Column(each.name) for each in rows.dimensions]
    heads += [Column(message(language, "label")), Column(message(language, "review"), "text")]
    heads.append(Column(message(language, "prob"), "share"))
    sheet = book.sheet(_title(message(language, "sheet_examples"), taken), heads, is_printed=True)
    for view, examples in zip(made.views, made.examples, strict=True):
        if not view.dimensions:
            continue
        for (cell, _), shown in sorted(examples.items()):
            of = [
                shown_value(
                    made, language, place, rows.values[place][view.codes[cell, view.dimensions.index(place)]]
                )
                if place in view.dimensions
                else ""
                for place in range(len(rows.dimensions))
            ]
            for each in shown:
                text = each.left + each.term + each.right
                start = len(each.left)
                words = Marked(text, start, start + len(each.term)) if each.term else text
                sheet.append([*of, rows.labels[each.label], words, each.prob])
        if sheet.num_rows >= _MOST_EXAMPLES:
            break
