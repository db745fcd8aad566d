"""Days, weeks, months, quarters and years of the dates that tables hold.

A date may be a date of Parquet or Excel, ISO 8601, year first with any separators (2024/3/5, 2024年3月5日,
2024-03), eight digits, or seconds or milliseconds since 1970. Day first and month first cannot be told
apart, so they are read as no date.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from types import MappingProxyType
from typing import Literal, get_args

__all__ = ["DATE_COLUMNS", "PERIODS", "Period", "day_of", "next_period", "period_of"]

Period = Literal["day", "week", "month", "quarter", "year"]
PERIODS: tuple[str, ...] = get_args(Period)
DATE_COLUMNS = (
    "date", "time", "datetime", "timestamp", "created_at", "review_date", "日期", "时间", "评论日期",
    "评论时间", "发布时间", "评价时间",
)  # fmt: skip
"""Columns that ``--by month`` takes for the date where there is no column month."""

_YEAR_FIRST = re.compile(r"\s*(\d{4})\s*[-/.年]\s*(\d{1,2})(?:\s*[-/.月]\s*(\d{1,2})(?!\d))?")
_DIGITS = re.compile(r"\s*(\d{4})(\d{2})(\d{2})\s*")
_EPOCH = re.compile(r"\s*(\d{10}|\d{13})(?:\.\d*)?\s*")
_MILLISECONDS = 100_000_000_000
_QUARTER_OF: Mapping[int, int] = MappingProxyType({month: (month + 2) // 3 for month in range(1, 13)})


def day_of(value: object) -> date | None:
    """The day that a cell states, or None where it states none."""
    match value:
        case datetime():
            return value.date()
        case date():
            return value
        case bool() | None:
            return None
        case int() | float():
            return _day_of_text(f"{value:.0f}" if value == value else "")  # noqa: PLR0124 - NaN
        case str():
            return _day_of_text(value)
    return None


def _day_of_text(text: str) -> date | None:
    try:
        if found := _YEAR_FIRST.match(text) or _DIGITS.fullmatch(text):
            year, month, day = found.groups()
            return date(int(year), int(month), int(day or 1))
        if found := _EPOCH.fullmatch(text):
            seconds = int(found[1])
            seconds = seconds // 1000 if seconds >= _MILLISECONDS else seconds
            return datetime.fromtimestamp(seconds, UTC).date()
    except ValueError:  # a 13th month
        return None
    return None


def period_of(day: date, period: Period) -> str:
    """The period of a day; periods sort as text: 2024-03-05, 2024-W10, 2024-03, 2024-Q1, 2024."""
    match period:
        case "day":
            return day.isoformat()
        case "week":
            year, week, _ = day.isocalendar()
            return f"{year}-W{week:02d}"
        case "month":
            return f"{day.year:04d}-{day.month:02d}"
        case "quarter":
            return f"{day.year:04d}-Q{_QUARTER_OF[day.month]}"
        case "year":
            return f"{day.year:04d}"


def next_period(name: str, period: Period) -> str:
    """The period after one of the same kind."""
    match period:
        case "day":
            return period_of(date.fromisoformat(name) + timedelta(1), period)
        case "week":
            monday = date.fromisocalendar(int(name[:4]), int(name[6:]), 1)
            return period_of(monday + timedelta(7), period)
        case "month":
            first = date(int(name[:4]), int(name[5:]), 1)
            return period_of(first + timedelta(31), period)
        case "quarter":
            first = date(int(name[:4]), 3 * int(name[6:]) - 2, 1)
            return period_of(first + timedelta(93), period)
        case "year":
            return f"{int(name) + 1:04d}"
