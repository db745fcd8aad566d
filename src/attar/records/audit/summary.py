"""What the audit saw, in counts: audit.json, and what the page shows.

Fed with every outcome as it comes; it keeps counts, eight bytes for each text, and a few samples.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import blake2b
from itertools import pairwise
from typing import Any

from attar.records.audit.agreement import Agreement
from attar.records.record import Accepted, Confirmed, Rejection
from attar.task import Example, Task

__all__ = ["Sample", "Summary"]

_MOST_SAMPLES = 5
_MOST_NAMES = 50
# Names that come first are counted, so that a column of free text does not fill the memory.
_MOST_COUNTED = 1000
_MOST_CHARS = 40
_OTHER = "(other)"
_LENGTHS = (0, 10, 20, 30, 50, 75, 100, 150, 200, 300, 500, 1000, 2000, 5000)
_MANY_EXAMPLES = 10


@dataclass(frozen=True, slots=True)
class Sample:
    """One row for the page.

    Attributes:
        where: ``file:line`` of the row.
        text: The review, or the row as it came.
        start: Offset of the term in it, the repaired one; equal to ``end`` where there is none.
        end: Offset one past the term.
        note: What was wrong, or how it was repaired.
        claim: Term and label as the row has them.
    """

    where: str
    text: str
    start: int
    end: int
    note: str
    claim: str = ""


class Summary:
    """Counts of outcomes.

    Args:
        task: Gives the labels their order.

    Attributes:
        agreement: Between annotators; ``audit`` fills it.
        samples: Up to five rows for each reason and each kind of repair, the first that came.
    """

    def __init__(self, task: Task) -> None:
        self.agreement = Agreement()
        self.samples: dict[str, list[Sample]] = {}
        self._task = task
        self._reasons: Counter[str] = Counter()
        self._repairs: Counter[str] = Counter()
        self._as_read: Counter[str] = Counter()
        self._labels: Counter[str] = Counter()
        self._groups = {key: defaultdict[str, Counter[str]](Counter) for key in ("channel", "wordtype")}
        self._texts: dict[bytes, int] = {}
        self._lengths: Counter[int] = Counter()
        self._counts = Counter[str]()

    def add(self, outcome: Accepted | Confirmed | Rejection) -> None:
        """Count one outcome of the audit."""
        self._counts["read"] += 1
        match outcome:
            case Accepted(example, record, repair):
                self._read_as(record.label)
                self._count(example, 1)
                if repair is not None:
                    self._repairs[repair.how] += 1
                    note = f"{record.start}–{record.end} → {repair.start}–{repair.end}"
                    sample = Sample(record.where, example.text, example.start, example.end, note)
                    self._sample(f"repair:{repair.how}", sample)
            case Confirmed(record):
                self._read_as(record.label)
                self._counts["confirmed"] += 1
            case Rejection():
                # Only the audit's own rejections have the columns in their places.
                if len(outcome.row) == 7 and isinstance(outcome.row[4], str | None):
                    self._read_as(outcome.row[4])
                self._reject(outcome)

    def withdraw(self, example: Example, rejection: Rejection) -> None:
        """Count an accepted example as rejected after all, because the split has no use for it."""
        self._count(example, -1)
        self._reject(rejection)

    @property
    def labels_as_read(self) -> Mapping[str, int]:
        """Rows by the label as their sources spell it, cut at 40 characters."""
        return self._as_read

    def to_json(self) -> dict[str, Any]:
        """What audit.json holds; counts are of rows, lengths in characters (code points)."""
        per_text = Counter(min(count, _MANY_EXAMPLES) for count in self._texts.values() if count)
        lengths = +self._lengths
        return {
            "num_read": self._counts["read"],
            "num_accepted": self._counts["accepted"],
            "num_repaired": self._repairs.total(),
            "num_confirmed": self._counts["confirmed"],
            "num_rejected": self._reasons.total(),
            "reasons": _ordered(self._reasons),
            "repairs": _ordered(self._repairs),
            "labels_as_read": _shortened(self._as_read),
            "labels": {label: self._labels[label] for label in self._task.labels},
            "channels": self._by_group("channel"),
            "wordtypes": self._by_group("wordtype"),
            "num_texts": lengths.total(),
            "num_texts_with_replacement_character": self._counts["replacement"],
            "text_chars": {
                "median": _quantile(lengths, 0.5),
                "p95": _quantile(lengths, 0.95),
                "max": max(lengths, default=0),
                "histogram": _histogram(lengths),
            },
            "examples_per_text": {
                f"{n}+" if n == _MANY_EXAMPLES else str(n): per_text[n] for n in sorted(per_text)
            },
            "agreement": self.agreement.to_json(),
        }

    def _count(self, example: Example, by: int) -> None:
        """Count an accepted example (1), or no longer (-1)."""
        self._counts["accepted"] += by
        label = example.label or ""
        self._labels[label] += by
        for key, groups in self._groups.items():
            name = example.meta.get(key, "")
            groups[name if name in groups or len(groups) < _MOST_COUNTED else _OTHER][label] += by
        key_of_text = _text_key(example.text)
        before = self._texts.get(key_of_text, 0)
        self._texts[key_of_text] = before + by
        if not before or before + by == 0:
            self._lengths[len(example.text)] += by
            self._counts["replacement"] += by * ("\ufffd" in example.text)

    def _reject(self, rejection: Rejection) -> None:
        self._reasons[rejection.reason] += 1
        if len(self.samples.get(rejection.reason, ())) < _MOST_SAMPLES:
            self._sample(rejection.reason, _rejected_sample(rejection))

    def _sample(self, name: str, sample: Sample) -> None:
        samples = self.samples.setdefault(name, [])
        if len(samples) < _MOST_SAMPLES:
            samples.append(sample)

    def _read_as(self, label: str | None) -> None:
        if label is not None and label in self._as_read:
            self._as_read[label] += 1
            return
        # Where columns are swapped it may be anything, half a surrogate pair too.
        spelling = (label or "")[:_MOST_CHARS].encode("utf-8", "backslashreplace").decode()
        known = spelling in self._as_read or len(self._as_read) < _MOST_COUNTED
        self._as_read[spelling if known else _OTHER] += 1

    def _by_group(self, key: str) -> dict[str, dict[str, int]]:
        totals = Counter({name: counts.total() for name, counts in self._groups[key].items()})
        shown = _shortened(+totals)
        tables = {name: dict.fromkeys(self._task.labels, 0) for name in shown}
        for name, counts in self._groups[key].items():
            for label in self._task.labels if totals[name] else ():
                tables[name if name in shown else _OTHER][label] += counts[label]
        return tables


def _rejected_sample(rejection: Rejection) -> Sample:
    row = rejection.row
    text = str(row[0]) if row else ""
    if len(row) < 7:
        return Sample(rejection.where, text, 0, 0, rejection.message)
    term, start, end, label = row[1:5]
    claim = " · ".join(str(part) for part in (term, label) if part)
    if not (isinstance(start, int) and isinstance(end, int) and start >= 0 and text[start:end] == term):
        start = end = 0
    return Sample(rejection.where, text, start, end, rejection.message, claim)


def _text_key(text: str) -> bytes:
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()


def _ordered(counts: Counter[str]) -> dict[str, int]:
    """The largest first, equal ones by name."""
    return dict(sorted((+counts).items(), key=lambda item: (-item[1], item[0])))


def _shortened(counts: Counter[str]) -> dict[str, int]:
    """The largest, the others as one."""
    ordered = _ordered(counts)
    other = ordered.pop(_OTHER, 0)
    names = list(ordered)
    other += sum(ordered.pop(name) for name in names[_MOST_NAMES:])
    return {**ordered, _OTHER: other} if other else ordered


def _quantile(lengths: Counter[int], share: float) -> int:
    """The smallest length that at least this share of the texts does not exceed."""
    seen = 0
    for length in sorted(lengths):
        seen += lengths[length]
        if seen >= share * lengths.total():
            return length
    return 0


def _histogram(lengths: Mapping[int, int]) -> dict[str, int]:
    """Texts by length, in bins from the first to the last that holds any."""
    bins: Counter[int] = Counter()
    for length, count in lengths.items():
        bins[bisect_right(_LENGTHS, length) - 1] += count
    if not bins:
        return {}
    names = [f"{low}–{high - 1}" for low, high in pairwise(_LENGTHS)] + [f"{_LENGTHS[-1]}+"]
    return {names[i]: bins[i] for i in range(min(bins), max(bins) + 1)}
