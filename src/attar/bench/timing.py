"""How fast, from text to label: several sides timed in turns, in one run.

A neighbour on the machine slows whoever happens to run, so the sides take turns within every
round and are compared round by round. A slow side gets fewer examples a round than a fast one, so
that every turn takes about as long.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from attar.errors import DataError
from attar.progress import progress_bar
from attar.task import Example

__all__ = ["Side", "Speed", "interleaved", "times_faster"]

Side = Callable[[Sequence[Example]], object]

_FEWEST = 16  # examples a turn: two batches of 8, however slow the side
_MOST = 100_000  # examples a turn, however fast
_FEWEST_SINGLE = 20


@dataclass(frozen=True, slots=True)
class Speed:
    """What one side did.

    Attributes:
        examples_per_second: Median over the rounds, wall time.
        examples_per_second_low: The slowest round.
        examples_per_second_high: The fastest round.
        rounds: Examples a second of every round, in order.
        num_examples: Examples a round.
        wall_seconds: Of all rounds together.
        cpu_seconds: Of all rounds together, all threads of this process.
        latency_ms_p50: Median time of one example on its own.
        latency_ms_p99: 99th percentile of it.
        latency_cpu_ms_p50: Median CPU time of it: what is left where neighbours share the machine.
        num_single: How many single examples were timed.
    """

    examples_per_second: float
    examples_per_second_low: float
    examples_per_second_high: float
    rounds: tuple[float, ...]
    num_examples: int
    wall_seconds: float
    cpu_seconds: float
    latency_ms_p50: float
    latency_ms_p99: float
    latency_cpu_ms_p50: float
    num_single: int


class _Turns:
    """One side's part in the benchmark: reads round and round through the examples."""

    def __init__(self, side: Side, examples: Sequence[Example]) -> None:
        self._side = side
        self._stream = itertools.cycle(examples)
        self.num_examples = 0
        self.wall: list[float] = []
        self.cpu = 0.0
        self.single: list[float] = []
        self.single_cpu: list[float] = []

    def warm_up(self, turn_seconds: float) -> None:
        """Find how many examples fill a turn; the first call pays for what is loaded lazily."""
        self._call(1)
        count = _FEWEST
        wall, _ = self._call(count)
        while wall < turn_seconds / 8 and 4 * count <= _MOST:
            count *= 4
            wall, _ = self._call(count)
        self.num_examples = min(_MOST, max(_FEWEST, round(count * turn_seconds / wall)))

    def turn(self) -> None:
        wall, cpu = self._call(self.num_examples)
        self.wall.append(wall)
        self.cpu += cpu

    def singles(self, count: int, seconds: float) -> None:
        """Time examples one by one: ``count`` of them, or fewer if they would outlast ``seconds``."""
        start = time.perf_counter()
        for done in range(count):
            if done >= _FEWEST_SINGLE and time.perf_counter() - start > seconds:
                break
            wall, cpu = self._call(1)
            self.single.append(1000 * wall)
            self.single_cpu.append(1000 * cpu)

    def speed(self) -> Speed:
        rounds = tuple(self.num_examples / wall for wall in self.wall)
        p50, p99 = np.percentile(self.single, (50, 99))
        return Speed(
            examples_per_second=float(np.median(rounds)),
            examples_per_second_low=min(rounds),
            examples_per_second_high=max(rounds),
            rounds=rounds,
            num_examples=self.num_examples,
            wall_seconds=sum(self.wall),
            cpu_seconds=self.cpu,
            latency_ms_p50=float(p50),
            latency_ms_p99=float(p99),
            latency_cpu_ms_p50=float(np.median(self.single_cpu)),
            num_single=len(self.single),
        )

    def _call(self, count: int) -> tuple[float, float]:
        examples = list(itertools.islice(self._stream, count))
        wall, cpu = time.perf_counter(), time.process_time()
        self._side(examples)
        return max(time.perf_counter() - wall, 1e-9), time.process_time() - cpu


def interleaved(
    sides: Mapping[str, Side],
    examples: Sequence[Example],
    repeats: int,
    *,
    single_examples: int = 100,
    turn_seconds: float = 1.0,
) -> dict[str, Speed]:
    """Time sides in turns.

    Every side is called once on one example and then on a few to learn its speed; each round then
    gives every side one turn of about ``turn_seconds`` (16 to 100,000 examples). After the
    rounds, each side answers single examples.

    Args:
        sides: What to time, by name: examples in, anything out.
        examples: Read round and round, in order; draw them at random for a fair mix of lengths.
        repeats: Rounds.
        single_examples: How many single examples to time; fewer (at least 20) for a side that
            needs more than five turns' time for them.
        turn_seconds: Aim of one turn, wall time.

    Raises:
        DataError: No examples.
    """
    if not examples:
        raise DataError("benchmark: no examples to time; expected at least one")
    turns = {name: _Turns(side, examples) for name, side in sides.items()}
    # Drawn only between the turns: a bar that moves by itself would take time from whoever is timed.
    with progress_bar("measuring speed", (repeats + 2) * len(turns), unit="turns", redraw=False) as advance:
        for side in turns.values():
            side.warm_up(turn_seconds)
            advance()
        for _ in range(repeats):
            for side in turns.values():
                side.turn()
                advance()
        for side in turns.values():
            side.singles(single_examples, 5 * turn_seconds)
            advance()
    return {name: side.speed() for name, side in turns.items()}


def times_faster(side: Speed, reference: Speed) -> float:
    """How many times the examples per second of ``reference``: median over paired rounds."""
    return float(np.median(np.divide(side.rounds, reference.rounds)))
