"""What the rows of the sources say, read as ``attar prepare`` reads them: labels, terms, lengths."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from attar.io.tables.term_cells import likely_separator
from attar.recipe.load import SourceRecipe
from attar.records.readers.sources import read_source
from attar.records.record import Record
from attar.task import BUILT_IN_TASKS, Task

__all__ = ["RowFacts", "facts_of"]

_TASKS: Sequence[Task | None] = (None, *(BUILT_IN_TASKS[name] for name in ("cosmetics", "components")))


@dataclass(slots=True)
class RowFacts:
    """What was counted of the rows.

    Attributes:
        num_rows: Records with a label and a text.
        num_terms: Those that have a term, or a second sentence.
        num_repeated: Those whose term stands in its text more than once, without offsets.
        num_listing: Those whose term is not in the text and seems to be several.
        labels: Rows by the label as it is spelt.
        chars: Rows by the length of the text and, where it is not within the text, the term.
    """

    num_rows: int = 0
    num_terms: int = 0
    num_repeated: int = 0
    num_listing: int = 0
    labels: Counter[str] = field(default_factory=Counter)
    chars: Counter[int] = field(default_factory=Counter)

    def add(self, record: Record) -> None:
        """Count a record."""
        label = (record.label or "").strip()
        if not label or not record.text.strip():
            return
        self.num_rows += 1
        self.labels[label] += 1
        term = record.term.strip()
        num = record.text.count(term) if term else 0
        if term:
            self.num_terms += 1
            self.num_repeated += num > 1 and record.start is None
            self.num_listing += not num and bool(likely_separator(term))
        self.chars[len(record.text) + (0 if num else len(term))] += 1

    def add_all(self, other: RowFacts) -> None:
        """Count what was counted of other rows."""
        self.num_rows += other.num_rows
        self.num_terms += other.num_terms
        self.num_repeated += other.num_repeated
        self.num_listing += other.num_listing
        self.labels.update(other.labels)
        self.chars.update(other.chars)

    def longest(self, share: float) -> int:
        """The length that so large a share of the texts does not exceed, in characters."""
        left = share * self.chars.total()
        for length in sorted(self.chars):
            left -= self.chars[length]
            if left <= 0:
                return length
        return 0


def facts_of(sources: Iterable[SourceRecipe]) -> RowFacts:
    """Read sources once; in exports of Label Studio the answer is taken that most rows give a label by.

    Raises:
        DataError: One cannot be read.
    """
    found = RowFacts()
    for source in sources:
        each = _read(source, None)
        if not each.num_rows:
            # Of several answers a task tells which is the label.
            each = max((_read(source, task) for task in _TASKS[1:]), key=lambda one: one.num_rows)
        found.add_all(each)
    return found


def _read(source: SourceRecipe, task: Task | None) -> RowFacts:
    facts = RowFacts()
    for record in read_source(source, task=task):
        if isinstance(record, Record):
            facts.add(record)
    return facts
