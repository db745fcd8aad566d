"""Scored rows as numbers: of each its cell's columns, its label, and its review.

First step of ``attar insight``. Rows stream through in batches; what stays in memory is some 40 bytes a row.
The texts of the few rows that are shown or checked are read in a second pass.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from attar.errors import DataError
from attar.insight.cells import Once, identity, mapped, numbers
from attar.insight.dimensions import Dimension, parse_by
from attar.insight.periods import day_of, period_of
from attar.insight.shares import Ints
from attar.io.tables.columns import missing_column, shown_columns
from attar.io.tables.parquet import parquet_columns, parquet_rows_at
from attar.io.tables.rows import Table, as_offset, as_text
from attar.io.tables.table_files import open_tables
from attar.progress import progress_bar
from attar.task import BUILT_IN_TASKS
from attar.workbook.sheets import cell_text

__all__ = [
    "Mention",
    "ScoredColumns",
    "ScoredRows",
    "mentions_at",
    "read_scored",
]

_BATCH = 16_384
_MAX_VALUES = 100_000
_MAX_LABELS = 50
_MAX_NAME = 120
_PROB = "prob_"
_MENTION = ("term", "found", "start", "end")

Batch = Mapping[str, Sequence[Any]]


@dataclass(frozen=True, slots=True)
class ScoredColumns:
    """What columns are called.

    Attributes:
        label: The predicted label.
        text: The review.
        review: What tells one review from another; None takes the text.
    """

    label: str = "label"
    text: str = "text"
    review: str | None = None


@dataclass(frozen=True, slots=True)
class ScoredRows:
    """N scored rows.

    Attributes:
        dimensions: D of them.
        values: Of each dimension its distinct values, those of most rows first; periods in their order.
        codes: [D, N] index into the values.
        labels: L labels in the order of the probs, else from negative to positive, else the commonest first.
        label: [N] index into the labels.
        prob: [N] of the label; NaN where there is none.
        text: [N] hash of the text, 0 where there is no text.
        review: [N] a number for each review.
        row: [N] place in the source, from 0.
        left_out: Rows that were not read, by reason.
        has_text: Whether there is a text column.
    """

    dimensions: tuple[Dimension, ...]
    values: tuple[tuple[str, ...], ...]
    codes: NDArray[np.int32]
    labels: tuple[str, ...]
    label: NDArray[np.int64]
    prob: NDArray[np.float32]
    text: NDArray[np.uint64]
    review: Ints
    row: Ints
    left_out: Mapping[str, int]
    has_text: bool


class Mention(NamedTuple):
    """The words of one scored row."""

    text: str
    term: str
    found: str
    start: int | None
    end: int | None


def read_scored(path: Path, by: Sequence[str], columns: ScoredColumns) -> ScoredRows:
    """Read what ``attar score`` wrote, or any table with labels.

    Args:
        path: A table, a sheet, or a folder of tables.
        by: See ``parse_by``.
        columns: What the others are called.

    Raises:
        DataError: It cannot be read, a column is missing, or holds what it should not.
    """
    tables = open_tables(path, needed=[{columns.label}])
    there = {name for table in tables for name in table.columns}
    if columns.label not in there:
        raise missing_column(tables[0], "the predicted label", columns.label, "--label")
    for option, name in (("--review", columns.review), ("--text", columns.text)):
        if name is not None and name not in there and (option == "--review" or name != "text"):
            raise missing_column(tables[0], option.removeprefix("--"), name, option)
    reader = _Reader(parse_by(by, tables), columns, has_text=columns.text in there)
    total = sum(table.count() or 0 for table in tables)
    with progress_bar("reading", total or None, unit="rows") as advance:
        for table in tables:
            for batch in _batches(table, reader.names, lambda: reader.skip("unreadable row")):
                reader.add(batch)
                advance(len(batch[columns.label]))
    probs = [name.removeprefix(_PROB) for table in tables for name in table.columns if name.startswith(_PROB)]
    return reader.finish(path, tuple(dict.fromkeys(probs)))


def mentions_at(path: Path, rows: Ints, columns: ScoredColumns) -> dict[int, Mention]:
    """The words of some rows, by their place in the source; whoever has none is not there."""
    wanted = np.unique(rows)
    tables, found, first = open_tables(path, needed=[{columns.label}]), dict[int, Mention](), 0
    names = (columns.text, *_MENTION)
    for table in tables:
        if table.format == "parquet":
            size = table.count() or 0
            low, high = np.searchsorted(wanted, [first, first + size])
            places = (wanted[low:high] - first).tolist()
            for place, (text, *rest) in parquet_rows_at(Path(table.path), names, places, _BATCH):
                if as_text(text).strip():
                    found[first + place] = _mention(as_text(text), rest)
            first += size
            continue
        for batch in _batches(table, names, lambda: None):
            size = len(batch[columns.text])
            low, high = np.searchsorted(wanted, [first, first + size])
            for row in wanted[low:high].tolist():
                text, *rest = (batch[name][row - first] for name in names)
                if as_text(text).strip():
                    found[row] = _mention(as_text(text), rest)
            first += size
            if high == len(wanted):
                return found
    return found


def _mention(text: str, rest: Sequence[object]) -> Mention:
    term, found = as_text(rest[0]), as_text(rest[1])
    try:
        start, end = as_offset(rest[2]), as_offset(rest[3])
    except ValueError:  # a campaign's days
        start = end = None
    if start is None or end is None or not 0 <= start < end <= len(text):
        start = end = None
    return Mention(text, term, found or term, start, end)


def _batches(table: Table, names: Sequence[str], skip: Callable[[], None]) -> Iterator[Batch]:
    """Columns of a table in batches of rows; one that is not there is None throughout."""
    if table.format == "parquet":
        yield from parquet_columns(Path(table.path), names, _BATCH)
        return
    rows = table.rows()
    while chunk := list(itertools.islice(rows, _BATCH)):
        for row in chunk:
            if row.problem is not None:
                skip()
        # A row that cannot be read has no label, and keeps its place.
        yield {name: [row.values.get(name) for row in chunk] for name in names}


class _Reader:
    """Collects the numbers of the rows."""

    def __init__(self, dimensions: tuple[Dimension, ...], columns: ScoredColumns, *, has_text: bool) -> None:
        self.dimensions, self.columns, self.has_text = dimensions, columns, has_text
        self.names = tuple(
            dict.fromkeys(
                [*(each.column for each in dimensions), columns.label, "prob", columns.text]
                + ([columns.review] if columns.review else [])
            )
        )
        self.left_out = Counter[str]()
        self._codes: list[dict[str, int]] = [{} for _ in dimensions]
        self._raw = [Once(partial(self._code, place)) for place in range(len(dimensions))]
        self._labels: dict[str, int] = {}
        self._raw_labels = Once(self._label)
        self._parts: list[tuple[NDArray[Any], ...]] = []
        self._row = 0

    def skip(self, reason: str) -> None:
        """Count a row that is not read."""
        self.left_out[reason] += 1

    def add(self, batch: Batch) -> None:
        """Read a batch."""
        raw_labels = batch[self.columns.label]
        size = len(raw_labels)
        labels = mapped(self._raw_labels, raw_labels, np.int64)
        codes = np.stack(
            [
                mapped(raw, batch[each.column], np.int32)
                for raw, each in zip(self._raw, self.dimensions, strict=True)
            ]
        )
        prob = numbers(batch["prob"])
        texts = np.zeros(size, np.uint64)
        if self.has_text:
            texts = mapped(Once(identity), batch[self.columns.text], np.uint64)
        review = texts
        if self.columns.review is not None:
            review = mapped(Once(identity), batch[self.columns.review], np.uint64)
        row = np.arange(self._row, self._row + size)
        self._row += size
        kept = labels >= 0
        self.left_out["no label"] += int((~kept).sum())
        self._parts.append((codes[:, kept], labels[kept], prob[kept], texts[kept], review[kept], row[kept]))

    def finish(self, path: Path, probs: tuple[str, ...]) -> ScoredRows:
        """All rows together."""
        columns = list(zip(*self._parts, strict=True))
        if not columns or not sum(len(part) for part in columns[1]):
            raise DataError(f"{path}: no row has a label in the column {self.columns.label!r}")
        codes = np.concatenate(columns[0], axis=1)
        label, prob, text, key, row = (np.concatenate(parts) for parts in columns[1:])
        self._parts.clear()
        names, label = self._ordered_labels(label, probs)
        values = []
        for place, each in enumerate(self.dimensions):
            ordered, codes[place] = _ordered(
                self._codes[place], codes[place], in_order=each.period is not None
            )
            values.append(ordered)
        # A row without text, or without a review's id, is a review of its own.
        _, review = np.unique(key, return_inverse=True)
        alone = key == 0
        review[alone] = review.max() + 1 + np.arange(int(alone.sum()))
        left_out = {reason: count for reason, count in self.left_out.items() if count}
        return ScoredRows(
            self.dimensions, tuple(values), codes, names, label, prob, text, review, row, left_out,
            self.has_text,
        )  # fmt: skip

    def _label(self, value: object) -> int:
        text = as_text(value).strip()
        if not text:
            return -1
        code = self._labels.setdefault(text, len(self._labels))
        if code == _MAX_LABELS:
            raise DataError(
                f"the column {self.columns.label!r} has more than {_MAX_LABELS} different values, so it "
                "holds no labels; name the right one with --label"
            )
        return code

    def _code(self, place: int, cell: object) -> int:
        dimension, codes = self.dimensions[place], self._codes[place]
        if dimension.period is not None:
            day = day_of(cell)
            name = period_of(day, dimension.period) if day else ""
        else:
            name = cell_text(as_text(cell)).strip()
            name = f"{name[: _MAX_NAME - 1]}…" if len(name) > _MAX_NAME else name
        code = codes.setdefault(name, len(codes))
        if code == _MAX_VALUES:
            raise DataError(
                f"--by {dimension.name}: more than {_MAX_VALUES:,} different values; choose a column that "
                f"groups rows. Those read: {shown_columns(self.names)}"
            )
        return code

    def _ordered_labels(self, label: Ints, probs: tuple[str, ...]) -> tuple[tuple[str, ...], Ints]:
        names = list(self._labels)
        counts = np.bincount(label, minlength=len(names))
        by_count = [names[i] for i in np.argsort(-counts, kind="stable")]
        known = [BUILT_IN_TASKS["cosmetics"].label_of(name) for name in names]
        if set(names) <= set(probs):
            by_count = list(probs)
        elif None not in known and len(set(known)) == len(known):
            order = BUILT_IN_TASKS["cosmetics"].labels
            by_count = sorted(names, key=lambda name: order.index(known[names.index(name)] or ""))
        place = np.array([by_count.index(name) for name in names])
        return tuple(by_count), place[label]


def _ordered(
    codes: Collection[str], code: NDArray[np.int32], *, in_order: bool
) -> tuple[tuple[str, ...], Any]:
    """Distinct values in the order in which they are shown, and the codes of the rows."""
    names = list(codes)
    counts = np.bincount(code, minlength=len(names))
    order = sorted(range(len(names)), key=lambda i: names[i] if in_order else (-counts[i], names[i]))
    back = np.empty(len(names), np.int32)
    back[order] = np.arange(len(names))
    return tuple(names[i] for i in order), back[code]
