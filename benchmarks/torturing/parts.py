"""What a part of the torture is: it tries to break attar for a while and says what came of it."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

__all__ = ["Part", "Row", "Torture"]


@dataclass(slots=True)
class Row:
    """A line of the table.

    Attributes:
        what: Was tried.
        count: How often.
        outcomes: How often each came, by name.
        failures: A line for each that broke a promise.
        seconds: It took.
        is_cut: Whether the time was over before all of it was tried.
    """

    what: str
    count: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    seconds: float = 0.0
    is_cut: bool = False

    def add(self, outcome: str) -> None:
        """Count a trial that kept the promise."""
        self.count += 1
        self.outcomes[outcome] += 1

    def fail(self, line: str) -> None:
        """Count a trial that did not."""
        self.count += 1
        self.failures.append(line)

    def to_json(self) -> dict[str, Any]:
        """For the table's JSON."""
        return {
            "what": self.what,
            "count": self.count,
            "outcomes": dict(self.outcomes),
            "failures": self.failures,
            "seconds": round(self.seconds, 1),
            "is_cut": self.is_cut,
        }


@dataclass(slots=True)
class Torture:
    """What every part is given.

    Attributes:
        folder: Its own, empty.
        seed: Of everything random.
        deadline: When to stop, as ``time.monotonic`` counts; a part that has more to do stops there.
        is_short: Whether to do a share of it: fewer kills, fewer inputs.
    """

    folder: Path
    seed: int
    deadline: float
    is_short: bool = False

    @property
    def rng(self) -> random.Random:
        """A new generator: the same seed draws the same."""
        return random.Random(self.seed)  # noqa: S311 - no secrets

    @property
    def is_over(self) -> bool:
        """Whether the part's time is."""
        return time.monotonic() > self.deadline


Part = Callable[[Torture], Iterator[Row]]
"""Yields the rows of the table as they are done; each failure in them is a promise that was broken."""
