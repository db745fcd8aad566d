"""How fast, from text to label: several sides timed in turns, in one run.

A neighbour on the machine slows whatever happens to run, so the sides take turns within every
round and are compared round by round. A slow side gets fewer examples a turn than a fast one, so
that every turn takes about as long. A side is a callable of this process (``LocalSide``) or a
process of its own (``attar.bench.processes.SideProcess``).
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from attar.bench.processes import Lap
from attar.errors import DataError
from attar.progress import progress_bar
from attar.task import Example

__all__ = ["LocalSide", "Side", "Speed", "fit_turn", "interleaved", "spread", "take_turns", "times_faster"]

Side = Callable[[Sequence[Example]], object]
_T = TypeVar("_T")
_Name = TypeVar("_Name")

_FEWEST = 16  # examples a turn: two batches of 8, however slow the side
_MOST = 100_000  # examples a turn, however fast
_FEWEST_SINGLE = 20


class LocalSide:
    """A callable of this process that reads round and round through the examples.

    Args:
        answer: Examples in, anything out.
        examples: At least one.
    """

    def __init__(self, answer: Side, examples: Sequence[Example]) -> None:
        self._answer = answer
        self._stream = itertools.cycle(examples)

    def run(self, count: int) -> Lap:
        """Answer the next ``count`` examples in one call."""
        examples = list(itertools.islice(self._stream, count))
        wall, cpu = time.perf_counter(), time.process_time()
        self._answer(examples)
        return Lap(max(time.perf_counter() - wall, 1e-9), time.process_time() - cpu)

    def singles(self, count: int, seconds: float, fewest: int = _FEWEST_SINGLE) -> list[Lap]:
        """Time examples one by one: ``count`` of them, or ``fewest`` if they outlast ``seconds``."""
        laps: list[Lap] = []
        start = time.perf_counter()
        while len(laps) < count and (len(laps) < fewest or time.perf_counter() - start <= seconds):
            laps.append(self.run(1))
        return laps


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


def fit_turn(run: Callable[[int], Lap], turn_seconds: float, *, full_turns: int = 0) -> int:
    """How many examples fill a turn; the first calls pay for what is loaded lazily.

    Args:
        run: Lets a side answer so many examples: one, then more and more.
        turn_seconds: Aim of one turn, wall time.
        full_turns: Turns of full size after that: OpenVINO compiles for every shape of batch when
            it first meets it.

    Returns:
        16 to 100,000.
    """
    run(1)
    count = _FEWEST
    wall = run(count).wall_s
    while wall < turn_seconds / 8 and 4 * count <= _MOST:
        count *= 4
        wall = run(count).wall_s
    fitting = _clipped(count * turn_seconds / wall)
    for _ in range(full_turns):
        count, wall = fitting, run(fitting).wall_s
    return _clipped(count * turn_seconds / wall)


def take_turns(
    sides: Mapping[_Name, Callable[[], _T]],
    rounds: int,
    *,
    done: Callable[[_T], bool] | None = None,
    after_round: Callable[[int, Mapping[_Name, Sequence[_T]]], None] | None = None,
) -> dict[_Name, list[_T]]:
    """Give every side one turn in every round.

    Args:
        sides: What a side does in a turn, by its name.
        rounds: How many.
        done: Whether a side that gave this result needs no more turns.
        after_round: Told the number of the round, from 1, and all results so far.

    Returns:
        The results of each side, in order.
    """
    results: dict[_Name, list[_T]] = {name: [] for name in sides}
    left = list(sides)
    for number in range(1, rounds + 1):
        for name in tuple(left):
            results[name].append(sides[name]())
            if done is not None and done(results[name][-1]):
                left.remove(name)
        if after_round is not None and left:
            after_round(number, results)
    return results


def interleaved(
    sides: Mapping[_Name, Side],
    examples: Sequence[Example],
    repeats: int,
    *,
    single_examples: int = 100,
    turn_seconds: float = 1.0,
) -> dict[_Name, Speed]:
    """Time callables of this process in turns.

    Each round gives every side one turn of about ``turn_seconds``; after the rounds, each side
    answers single examples.

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
    local = {name: LocalSide(side, examples) for name, side in sides.items()}
    # Drawn only between the turns: a bar that moves by itself would take time from what is timed.
    with progress_bar("measuring speed", (repeats + 2) * len(local), unit="turns", redraw=False) as advance:

        def counted(work: Callable[[], _T]) -> _T:
            result = work()
            advance()
            return result

        counts = {name: counted(partial(fit_turn, side.run, turn_seconds)) for name, side in local.items()}
        turns = {name: partial(counted, partial(side.run, counts[name])) for name, side in local.items()}
        laps = take_turns(turns, repeats)
        singles = {
            name: counted(partial(side.singles, single_examples, 5 * turn_seconds))
            for name, side in local.items()
        }
    return {name: _speed(laps[name], counts[name], singles[name]) for name in local}


def times_faster(side: Speed, reference: Speed) -> float:
    """How many times the examples per second of ``reference``: median over paired rounds."""
    return float(np.median(np.divide(side.rounds, reference.rounds)))


def spread(values: NDArray[np.floating]) -> dict[str, float]:
    """``median``, ``low`` and ``high`` of some numbers."""
    return {"median": float(np.median(values)), "low": float(np.min(values)), "high": float(np.max(values))}


def _clipped(count: float) -> int:
    return min(_MOST, max(_FEWEST, round(count)))


def _speed(laps: Sequence[Lap], num_examples: int, singles: Sequence[Lap]) -> Speed:
    rounds = tuple(num_examples / lap.wall_s for lap in laps)
    wall_ms = [1000 * lap.wall_s for lap in singles]
    return Speed(
        examples_per_second=float(np.median(rounds)),
        examples_per_second_low=min(rounds),
        examples_per_second_high=max(rounds),
        rounds=rounds,
        num_examples=num_examples,
        wall_seconds=sum(lap.wall_s for lap in laps),
        cpu_seconds=sum(lap.cpu_s for lap in laps),
        latency_ms_p50=float(np.percentile(wall_ms, 50)),
        latency_ms_p99=float(np.percentile(wall_ms, 99)),
        latency_cpu_ms_p50=1000 * float(np.median([lap.cpu_s for lap in singles])),
        num_single=len(singles),
    )
