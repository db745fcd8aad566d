"""Rows and tables, whatever format they were read from."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

__all__ = ["Problem", "Row", "Table", "TableFormat"]

TableFormat = Literal["jsonl", "csv", "tsv", "excel", "parquet"]


class Problem(NamedTuple):
    """Why a row cannot be used.

    Attributes:
        reason: A stable code, the same for every verb.
        message: What was expected and what to do, without any review text.
        cells: The row as it came.
    """

    reason: str
    message: str
    cells: list[object]


class Row(NamedTuple):
    """One row as it was read.

    Attributes:
        source: The file or collection.
        line: Its line, from 1; in Parquet, Excel and MongoDB its row.
        values: By column; empty where the row cannot be read.
        problem: Why it cannot be read, or None.
    """

    source: str
    line: int
    values: Mapping[str, Any]
    problem: Problem | None = None

    @property
    def where(self) -> str:
        """``file:line``."""
        return f"{self.source}:{self.line}"


@dataclass(frozen=True, slots=True)
class Table:
    """A table that can be read from its start as often as needed.

    Attributes:
        name: What it is called in messages.
        format: How it is written.
        columns: Names of its columns, in order; of JSONL and MongoDB, whose rows have columns of
            their own, those of the first rows.
        rows: Streams the rows; raises DataError where the file stops being what it was.
        count: Counts the rows: exactly in Parquet and MongoDB, about in files of lines; None where
            only reading would tell.
        schema: Arrow schema of a Parquet file, else None.
    """

    name: str
    format: TableFormat | Literal["mongodb"]
    columns: tuple[str, ...]
    rows: Callable[[], Iterator[Row]]
    count: Callable[[], int | None]
    schema: Any = None

    @property
    def has_fixed_columns(self) -> bool:
        """Whether no row has a column beyond ``columns``."""
        return self.format not in ("jsonl", "mongodb")
