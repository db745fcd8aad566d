"""The columns that shares are asked by: what ``--by brand,term,date:month`` means in a table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, cast

from attar.errors import RecipeError
from attar.insight.periods import DATE_COLUMNS, PERIODS, Period
from attar.io.tables.columns import missing_column
from attar.io.tables.rows import Table

__all__ = ["Dimension", "parse_by"]

_MAX_DIMENSIONS = 4


class Dimension(NamedTuple):
    """A column that shares are asked by.

    Attributes:
        name: What it is called, as the user wrote it.
        column: In the table.
        period: Where it is a date that is cut to a period.
    """

    name: str
    column: str
    period: Period | None = None


def parse_by(by: Sequence[str], tables: Sequence[Table]) -> tuple[Dimension, ...]:
    """The dimensions of ``--by brand,term,date:month``.

    ``month`` alone is a column of that name, or where there is none the month of the first column that is
    called like a date.

    Raises:
        RecipeError: Nothing is named, something twice, too many, or a period that there is not.
        DataError: A column is missing.
    """
    there = {name for table in tables for name in table.columns}
    found: list[Dimension] = []
    for name in by:
        column, colon, period = name.rpartition(":")
        if name in there or not colon:
            column, period = name, ""
        elif period not in PERIODS:
            raise RecipeError(f"--by {name}: a date is cut to {', '.join(PERIODS)}, as in --by date:month")
        if column not in there and not period and column in PERIODS:
            period, column = column, next((each for each in DATE_COLUMNS if each in there), column)
        if column not in there:
            raise missing_column(tables[0], "the shares", column, "--by")
        found.append(Dimension(name, column, cast("Period", period) if period else None))
    if not found:
        raise RecipeError("--by names no column; name those that you want shares by, as in --by brand,term")
    if len(found) != len(set(found)) or len({each.name for each in found}) != len(found):
        raise RecipeError("--by names a column twice; name each once")
    if len(found) > _MAX_DIMENSIONS:
        raise RecipeError(f"--by names {len(found)} columns; at most {_MAX_DIMENSIONS}")
    if sum(each.period is not None for each in found) > 1:
        raise RecipeError("--by names two periods; name one, the finer one")
    return tuple(found)
