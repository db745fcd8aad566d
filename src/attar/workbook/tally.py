"""Predictions and their gold labels: the sheets result, wrong and correct, and what they add up to.

Rows are added one at a time, in any number; ``wrong`` shows the surest mistakes first.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from attar.language.translator import ENGLISH, N_, Translator
from attar.metrics import f1_of, tabulate
from attar.workbook.sheets import Book, Cell, Column, Sheet

__all__ = ["GROUPS", "ResultSheets", "Tally", "write_tally"]

GROUPS = (N_("channel"), N_("wordtype"))


@dataclass(slots=True)
class Tally:
    """Counts of labels that were given.

    Attributes:
        labels: C of them, in the order of the tables.
        predicted: Labels given, by label.
        confusion: Those that have a gold label, by (gold, predicted).
        groups: Those by (column, its value, predicted label).
        labelled: Those that have a gold label, by (column, its value, whether they are right).
    """

    labels: Sequence[str]
    predicted: Counter[str] = field(default_factory=Counter)
    confusion: Counter[tuple[str, str]] = field(default_factory=Counter)
    groups: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    labelled: Counter[tuple[str, str, bool]] = field(default_factory=Counter)

    def add(self, label: str, gold: str | None, groups: Mapping[str, str]) -> None:
        """Count one label; ``groups`` are its channel and wordtype."""
        self.predicted[label] += 1
        if gold is not None:
            self.confusion[gold, label] += 1
        for name, value in groups.items():
            self.groups[name, value, label] += 1
            if gold is not None:
                self.labelled[name, value, gold == label] += 1

    @property
    def num_gold(self) -> int:
        """How many have a gold label."""
        return self.confusion.total()

    @property
    def accuracy(self) -> float:
        """Share of those with a gold label that are right; 0 without any."""
        hits = sum(count for (gold, label), count in self.confusion.items() if gold == label)
        return hits / self.num_gold if self.num_gold else 0.0

    @property
    def macro_f1(self) -> float:
        """Mean of 2 hits / (gold + predicted) over the labels that are gold somewhere."""
        counts = tabulate(self.confusion, self.labels)
        occur = counts.sum(1) > 0
        return float(f1_of(counts)[occur].mean()) if occur.any() else 0.0

    @property
    def without_gold(self) -> list[str]:
        """The labels that are gold nowhere, about which nothing is known."""
        occur = {gold for gold, _ in self.confusion}
        return [label for label in self.labels if label not in occur]


class ResultSheets:
    """The sheets result, wrong and correct of one answerer.

    Args:
        book: Gets the sheets; ``wrong`` and ``correct`` only if a row has a gold label.
        columns: Of every sheet.
        labels: Of the task.
        tr: Of the language of the titles.
    """

    def __init__(
        self, book: Book, columns: Sequence[Column], labels: Sequence[str], tr: Translator = ENGLISH
    ) -> None:
        self.tally = Tally(labels)
        self._result = book.sheet(tr("result"), columns)
        self._wrong = book.sheet(tr("wrong"), columns, is_sorted=True)
        self._correct = book.sheet(tr("correct"), columns)

    def add(
        self, cells: Sequence[Cell], label: str, gold: str | None, *, prob: float, groups: Mapping[str, str]
    ) -> None:
        """Add one row."""
        if gold is not None and not self.tally.num_gold:
            self._wrong.show()
            self._correct.show()
        self.tally.add(label, gold, groups)
        self._result.append(cells)
        if gold is not None and gold == label:
            self._correct.append(cells)
        elif gold is not None:
            self._wrong.append(cells, rank=prob)


def write_tally(page: Sheet, tally: Tally, name: str = "", tr: Translator = ENGLISH) -> None:
    """Write the figures of a tally onto a page.

    Args:
        page: A sheet without columns.
        tally: The counts.
        name: Whose they are, where there are several.
        tr: Of the language to write in.
    """
    suffix, counts = f" {name}" if name else "", [(label, tally.predicted[label]) for label in tally.labels]
    _table(page, tr("answers") + suffix, [tr("label"), tr("n")], counts)
    if tally.num_gold:
        facts: list[list[Cell]] = [[tr("with a gold label"), tally.num_gold]]
        facts += [[tr("accuracy"), tally.accuracy], [tr("macro-F1"), tally.macro_f1]]
        if tally.without_gold:
            facts.append([tr("macro-F1 leaves out, gold nowhere"), ", ".join(tally.without_gold)])
        _table(page, tr("against gold") + suffix, ["", ""], facts)
        confusion: list[list[Cell]] = []
        for actual in tally.labels:
            confusion.append([actual, *(tally.confusion[actual, label] for label in tally.labels)])
        _table(page, tr("confusion") + suffix, [tr("gold / answer"), *tally.labels], confusion)
    for column in GROUPS:
        sizes = Counter[str]()
        for (of, value, _), count in tally.groups.items():
            if of == column:
                sizes[value] += count
        order = sorted(sizes, key=lambda value: (-sizes[value], value))
        rows = [_group(tally, column, value) for value in order]
        if sizes:
            gold = [tr("with gold"), tr("accuracy")] if tally.num_gold else []
            title = tr("by {column}", column=tr(column)) + suffix
            _table(page, title, [tr(column), tr("n"), *tally.labels, *gold], rows)


def _group(tally: Tally, column: str, value: str) -> list[Cell]:
    counts = [tally.groups[column, value, label] for label in tally.labels]
    right, wrong = tally.labelled[column, value, True], tally.labelled[column, value, False]
    gold: list[Cell] = []
    if tally.num_gold:
        gold = [right + wrong, right / (right + wrong) if right + wrong else None]
    return [value, sum(counts), *counts, *gold]


def _table(page: Sheet, title: str, header: Sequence[str], rows: Iterable[Sequence[Cell]]) -> None:
    page.append([])
    page.heading(title)
    if any(header):
        page.append(list(header))
    for row in rows:
        page.append([round(cell, 4) if isinstance(cell, float) else cell for cell in row])
