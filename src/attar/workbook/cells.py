"""Cells of an Excel sheet: what a value becomes there, so that it is shown as it is and never a formula."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from datetime import date, datetime, time
from typing import Any, NamedTuple

from attar.io.tables.jsonl import json_line
from attar.io.tables.rows import as_text

__all__ = ["Cell", "Marked", "cell_text", "cells_that_waited", "date_format", "plain_cell", "waiting_cells"]

_MAX_CELL_UNITS = 32_767  # UTF-16, as Excel counts
_MAX_EXACT = 2**53  # an Excel number is a double
_REFUSED = re.compile("[\x00-\x08\x0b-\x1f\ud800-\udfff\ufffe\uffff]")
_DATES: dict[str, type[date] | type[time]] = {"datetime": datetime, "date": date, "time": time}
_FIRST_DAY = "1900-03"  # before it Excel counts a day that was none


class Marked(NamedTuple):
    """A text with one part of it, half-open in code points, to stand out."""

    text: str
    start: int
    end: int


Cell = str | int | float | bool | date | time | None | Marked
"""A date is a ``datetime`` or a ``date``; in Excel it stays one."""


def cell_text(text: str) -> str:
    """A text as an Excel cell can hold it.

    What Excel refuses (control characters, halves of a surrogate pair) becomes U+FFFD and a
    carriage return becomes a space, one for one, so that offsets stay true. A text beyond Excel's
    limit of 32,767 UTF-16 units ends with an ellipsis.
    """
    if not text.isprintable():  # what is printable holds none of them
        text = _REFUSED.sub("\ufffd", text.replace("\r", " "))
    if len(text) * 2 <= _MAX_CELL_UNITS:
        return text
    units = text.encode("utf-16-le")
    if len(units) <= 2 * _MAX_CELL_UNITS:
        return text
    return units[: 2 * (_MAX_CELL_UNITS - 1)].decode("utf-16-le", "ignore") + "…"


def waiting_cells(cells: Sequence[Cell]) -> str:
    """Cells as a line of JSON, in which they wait on disk."""
    return json.dumps([_waiting(cell) for cell in cells])


def cells_that_waited(written: str) -> list[Cell]:
    """The cells of such a line."""
    return [_waited(cell) for cell in json.loads(written)]


def _waiting(cell: Cell) -> Any:  # noqa: ANN401 - JSON is any
    plain = cell if isinstance(cell, Marked) else plain_cell(cell)
    if not isinstance(plain, date | time):
        return plain
    kind = next(name for name, kind in _DATES.items() if isinstance(plain, kind))
    return {kind: plain.isoformat()}


def _waited(cell: Any) -> Cell:  # noqa: ANN401 - what JSON has made of a cell
    if isinstance(cell, list):
        return Marked(*cell)
    if isinstance(cell, dict):
        ((kind, written),) = cell.items()
        return _DATES[kind].fromisoformat(written)
    plain: Cell = cell
    return plain


def _has_zone(value: object) -> bool:
    """Whether a time says where it is one; Excel has no zones."""
    return getattr(value, "tzinfo", None) is not None


def date_format(value: date | time) -> str:
    """How Excel shows a date: without the time of a day's beginning, which is how it writes a day."""
    if isinstance(value, time):
        return "hh:mm:ss"
    is_day = not isinstance(value, datetime) or value.time() == time()
    return "yyyy-mm-dd" if is_day else "yyyy-mm-dd hh:mm:ss"


def plain_cell(value: object) -> str | int | float | bool | date | time | None:
    """A value as a cell can hold it; what is no text, number, date or truth becomes text."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, date | time) and not _has_zone(value):
        return value if isinstance(value, time) or value.isoformat() > _FIRST_DAY else value.isoformat()
    if isinstance(value, str):
        return cell_text(value)
    if isinstance(value, int):
        # A long number is an id; as a double it would lose its last digits.
        return int(value) if abs(value) <= _MAX_EXACT else str(int(value))
    if isinstance(value, float):
        return None if math.isnan(value) else float(value) if math.isfinite(value) else str(value)
    return cell_text(json_line(value) if isinstance(value, dict | list | tuple) else as_text(value))
