"""One side in a process of its own: trains a lap for every request and replies with its times.

    python -m distilling.worker SIDE FILES OUT THREADS STEPS [EPOCHS]

The first request waits for the set-up. The process ends when its stdin does. With EPOCHS the
training has that many, and the replies hold the student's score on dev, whose time is not counted.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from attar.bench.processes import Requests

if TYPE_CHECKING:
    from attar.training.fit import DevScore

__all__ = ["main"]


class _NoMoreLapsError(Exception):
    """The way out of a training that nobody asks to go on."""


class _Clock:
    """Times the laps; between them it waits for the next request."""

    def __init__(self, *, scored: bool) -> None:
        self._scored = scored
        self._requests = Requests()
        self._setup_cpu_s = 0.0
        self._wall, self._cpu = time.perf_counter(), time.process_time()

    def loaded(self) -> None:
        """The imports are done: from here on the set-up counts."""
        self._cpu = time.process_time()

    def start(self) -> None:
        self._setup_cpu_s = time.process_time() - self._cpu
        self._wait()

    def lap(self, score: Callable[[], DevScore]) -> None:
        times = {
            "wall_s": time.perf_counter() - self._wall,
            "cpu_s": time.process_time() - self._cpu,
            "setup_cpu_s": self._setup_cpu_s,
        }
        self._requests.reply(times | ({"score": score().score} if self._scored else {}))
        self._wait()

    def _wait(self) -> None:
        if self._requests.next() is None:
            raise _NoMoreLapsError
        self._wall, self._cpu = time.perf_counter(), time.process_time()


def main(arguments: list[str]) -> None:
    """Train one side until stdin ends."""
    side, files, out, threads, steps, *epochs = arguments
    clock = _Clock(scored=bool(epochs))
    import torch

    from distilling.sides import ENDLESS, TRAININGS, Watch

    torch.set_num_threads(int(threads))
    Path(out).mkdir(parents=True, exist_ok=True)
    clock.loaded()
    try:
        watch = Watch(clock.start, clock.lap, int(steps), int(epochs[0]) if epochs else ENDLESS)
        TRAININGS[side](Path(files), Path(out), watch)
    except _NoMoreLapsError:
        return


if __name__ == "__main__":
    main(sys.argv[1:])
