"""One side in a process of its own: trains a lap for every line on stdin, and answers with its times.

    python -m distilling.worker SIDE FILES OUT THREADS STEPS [EPOCHS]

The first answer comes unasked, after the set-up and a lap to warm up. Any process ends when its
stdin does. With EPOCHS the training has that many, and the answers hold the student's score on dev,
whose time is not counted.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from attar.training.fit import DevScore

__all__ = ["main"]


class _End(Exception):  # noqa: N818 - no error: the way out of a training
    """Nobody asks for more."""


class _Clock:
    """Times the laps; between them it waits for the next line."""

    def __init__(self, *, scored: bool) -> None:
        self._scored = scored
        # What libraries print belongs to the log, not between the answers.
        self._answers = os.fdopen(os.dup(1), "w", encoding="ascii")
        os.dup2(2, 1)
        self._setup_cpu_s = 0.0
        self._wall, self._cpu = time.perf_counter(), time.process_time()

    def loaded(self) -> None:
        """The imports are done: from here on the set-up counts."""
        self._cpu = time.process_time()

    def start(self) -> None:
        self._setup_cpu_s = time.process_time() - self._cpu
        self._wall, self._cpu = time.perf_counter(), time.process_time()

    def lap(self, score: Callable[[], DevScore]) -> None:
        answer = {
            "wall_s": time.perf_counter() - self._wall,
            "cpu_s": time.process_time() - self._cpu,
            "setup_cpu_s": self._setup_cpu_s,
        }
        if self._scored:
            answer["score"] = score().score
        self._answers.write(json.dumps(answer) + "\n")
        self._answers.flush()
        if not sys.stdin.readline():
            raise _End
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
    except _End:
        return


if __name__ == "__main__":
    main(sys.argv[1:])
