"""What can be counted of a table's columns, in one pass: what ``attar init`` guesses from.

A file may be sorted by label, so all rows are counted; a random sample of them (Vitter's Algorithm R,
with a fixed start) is kept to look at what several cells of a row have to do with each other.
"""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

from attar.io.tables.rows import Table, as_text
from attar.task import number_of
from attar.text.address import is_address

__all__ = ["PLACEHOLDERS", "ColumnProfile", "TableProfile", "profile_of"]

PLACEHOLDERS = frozenset({"_", "-", "--", "/", "\\", "none", "null", "nan", "nil", "n/a", "na", "无", "空"})
"""What people and programs write into a cell that means nothing."""

_MOST_VALUES = 200
_SAMPLE_ROWS = 2000
_LONGEST_VALUE = 40  # characters; a longer one is no label
_DEPTH = 3
_CODE = re.compile(r"[!-~]*[0-9][!-~]*")


@dataclass(slots=True)
class ColumnProfile:
    """What the cells of a column are.

    Attributes:
        name: Of the column; dotted where it lies within an object.
        num_filled: Cells that say something: neither empty nor a placeholder.
        num_chars: Of all of these.
        num_numbers: Those that are numbers.
        num_lists: Those that are lists or objects, as JSON or Python writes them.
        num_addresses: Those that are links or paths.
        num_codes: Those that are Latin letters, digits and signs without a blank: ids, dates, names of files.
        values: Cells by what they say, while there are few kinds of them; empty otherwise.
        is_various: Whether there were more kinds than could be counted.
        placeholders: Cells that are placeholders, by how they are written.
    """

    name: str
    num_filled: int = 0
    num_chars: int = 0
    num_numbers: int = 0
    num_lists: int = 0
    num_addresses: int = 0
    num_codes: int = 0
    values: Counter[str] = field(default_factory=Counter)
    is_various: bool = False
    placeholders: Counter[str] = field(default_factory=Counter)

    def add(self, cell: object) -> None:
        """Count a cell."""
        said = as_text(cell).strip()
        if not said or said.casefold() in PLACEHOLDERS:
            if said:
                self.placeholders[said] += 1
            return
        self.num_filled += 1
        self.num_chars += len(said)
        is_short = len(said) <= _LONGEST_VALUE
        self.num_numbers += is_short and number_of(said) is not None
        self.num_lists += isinstance(cell, list | dict) or (said[0] in "[{" and said[-1] in "]}")
        self.num_addresses += is_address(said)
        self.num_codes += bool(_CODE.fullmatch(said))
        if self.is_various:
            return
        if not is_short or (said not in self.values and len(self.values) >= _MOST_VALUES):
            self.is_various = True
            self.values.clear()
        else:
            self.values[said] += 1

    @property
    def mean_chars(self) -> float:
        """Characters of a cell that says something."""
        return self.num_chars / self.num_filled if self.num_filled else 0.0

    @property
    def is_mostly_different(self) -> bool:
        """Whether more than half of its cells say something of their own, as far as they were counted."""
        return self.is_various or 2 * len(self.values) > self.num_filled

    @property
    def kind(self) -> str:
        """What most of its cells are: one of nothing, lists, numbers, addresses, codes, text."""
        for name, num in (
            ("lists", self.num_lists),
            ("numbers", self.num_numbers),
            ("addresses", self.num_addresses),
            ("codes", self.num_codes),
        ):
            if self.num_filled and num > 0.9 * self.num_filled:
                return name
        return "text" if self.num_filled else "nothing"

    @property
    def facts(self) -> str:
        """What may be said of it in a message: no cell, only kinds and counts."""
        kinds = f"over {_MOST_VALUES}" if self.is_various and self.num_filled else str(len(self.values))
        return f"{self.kind}, {self.num_filled:,} filled, {kinds} different, {self.mean_chars:.0f} characters"


@dataclass(slots=True)
class TableProfile:
    """What is known of a table.

    Attributes:
        table: The table.
        num_rows: Rows that could be read.
        num_problems: Rows that could not.
        columns: By their names, in order.
        rows: A random sample of the rows, by column.
    """

    table: Table
    num_rows: int = 0
    num_problems: int = 0
    columns: dict[str, ColumnProfile] = field(default_factory=dict)
    rows: list[Mapping[str, Any]] = field(default_factory=list)


def profile_of(table: Table) -> TableProfile:
    """Read a table once and count what is in its columns.

    Raises:
        DataError: It cannot be read to its end.
    """
    found = TableProfile(table, columns={name: ColumnProfile(name) for name in table.columns})
    chance = random.Random(20)  # noqa: S311 - the same sample each time, no secret
    with closing(table.rows()) as rows:  # type: ignore[type-var]
        for row in rows:
            if row.problem:
                found.num_problems += 1
                continue
            cells = (
                dict(_flat(row.values))
                if any(isinstance(v, dict) for v in row.values.values())
                else row.values
            )
            for name, cell in cells.items():
                found.columns.setdefault(name, ColumnProfile(name)).add(cell)
            found.num_rows += 1
            if len(found.rows) < _SAMPLE_ROWS:
                found.rows.append(cells)
            elif (place := chance.randrange(found.num_rows)) < _SAMPLE_ROWS:
                found.rows[place] = cells
    return found


def _flat(values: Mapping[str, Any], before: str = "", depth: int = 1) -> Iterator[tuple[str, object]]:
    """The cells of a row, those within objects too, under dotted names."""
    for name, value in values.items():
        yield f"{before}{name}", value
        if isinstance(value, dict) and depth < _DEPTH:
            yield from _flat(value, f"{before}{name}.", depth + 1)
