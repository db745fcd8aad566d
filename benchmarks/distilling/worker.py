"""One side in a process of its own: trains a lap for every line on stdin, and answers with its times.

    python -m distilling.worker SIDE FILES OUT THREADS STEPS

The first answer comes unasked, after the set-up and a lap to warm up. Any process ends when its
stdin does.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

__all__ = ["main"]


class _End(Exception):  # noqa: N818 - no error: the way out of a training
    """Nobody asks for more."""


class _Clock:
    """Times the laps; between them it waits for the next line."""

    def __init__(self) -> None:
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

    def lap(self) -> None:
        answer = {
            "wall_s": time.perf_counter() - self._wall,
            "cpu_s": time.process_time() - self._cpu,
            "setup_cpu_s": self._setup_cpu_s,
        }
        self._answers.write(json.dumps(answer) + "\n")
        self._answers.flush()
        if not sys.stdin.readline():
            raise _End
        self._wall, self._cpu = time.perf_counter(), time.process_time()


def main(arguments: list[str]) -> None:
    """Train one side until stdin ends."""
    side, files, out, threads, steps = arguments
    clock = _Clock()
    import torch

    from distilling.sides import TRAININGS, Watch

    torch.set_num_threads(int(threads))
    Path(out).mkdir(parents=True, exist_ok=True)
    clock.loaded()
    try:
        TRAININGS[side](Path(files), Path(out), Watch(clock.start, clock.lap, int(steps)))
    except _End:
        return


if __name__ == "__main__":
    main(sys.argv[1:])
