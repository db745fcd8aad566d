"""One side in a process of its own: trains a lap for every request and replies with its times.

    python -m distilling.worker FILES OUT SIDE THREADS STEPS [EPOCHS]

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

_ENDLESS = 1000  # epochs: more than will be seen


class _NoMoreLapsError(Exception):
    """The way out of a training that nobody asks to go on."""


class Watch:
    """Times laps of so many steps; between them it waits for the next request.

    With epochs the laps are scored on dev; without, the training never ends.
    """

    def __init__(self, steps: int, epochs: int | None) -> None:
        self.steps, self.epochs = steps, epochs or _ENDLESS
        self._scored = epochs is not None
        self._requests = Requests()
        self._setup_cpu_s = 0.0
        self._wall = self._cpu = 0.0

    def loaded(self) -> None:
        """The imports are done: from here on the set-up counts."""
        self._cpu = time.process_time()

    def start(self) -> None:
        """The set-up is done; wait for the first request."""
        self._setup_cpu_s = time.process_time() - self._cpu
        self._wait()

    def lap(self, score: Callable[[], DevScore]) -> None:
        """Reply after ``steps`` steps, and wait; without a request the training ends by an exception."""
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
    files, out, side, threads, steps, *epochs = arguments
    watch = Watch(int(steps), int(epochs[0]) if epochs else None)
    import torch

    from distilling.sides import TRAININGS

    torch.set_num_threads(int(threads))
    Path(out).mkdir(parents=True, exist_ok=True)
    watch.loaded()
    try:
        TRAININGS[side](Path(files), Path(out), watch)
    except _NoMoreLapsError:
        return


if __name__ == "__main__":
    main(sys.argv[1:])
