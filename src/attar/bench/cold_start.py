"""How long a model takes to start, and the memory that it takes: measured in processes of its own.

Start-up counts from the call of the interpreter to the first answer, as the user waits for it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from attar.errors import DataError
from attar.task import Example

__all__ = ["ColdStart", "cold_starts"]

_HARNESS = """
import json, sys
from attar.task import Example
questions = [Example(*row[:3], second=row[3]) for row in json.load(sys.stdin)]
score(questions[:1])
print("ready", flush=True)
score(questions)
from attar.bench.processes import memory
print(memory().peak_bytes)
"""


@dataclass(frozen=True, slots=True)
class ColdStart:
    """What new processes took.

    Attributes:
        start_up_seconds: Import, load and first answer: median over the processes, wall time.
        start_up_seconds_low: The fastest.
        start_up_seconds_high: The slowest.
        resident_bytes: Most that was resident, with all examples scored; median.
    """

    start_up_seconds: float
    start_up_seconds_low: float
    start_up_seconds_high: float
    resident_bytes: int


def cold_starts(program: str, examples: Sequence[Example], repeats: int = 3) -> ColdStart:
    """Start a model in processes of their own, one after the other.

    Args:
        program: Python that imports, loads and defines ``score(examples)``.
        examples: The first is answered at start-up, then all of them at once.
        repeats: How many processes.

    Raises:
        DataError: A process failed; the message ends with the last line that it wrote.
    """
    rows = json.dumps([e.question for e in examples]).encode()
    runs = [_run(program + _HARNESS, rows) for _ in range(repeats)]
    seconds = [run[0] for run in runs]
    return ColdStart(
        start_up_seconds=float(np.median(seconds)),
        start_up_seconds_low=min(seconds),
        start_up_seconds_high=max(seconds),
        resident_bytes=int(np.median([run[1] for run in runs])),
    )


def _run(program: str, rows: bytes) -> tuple[float, int]:
    """Seconds to the first answer, and the peak of resident bytes."""
    quiet = {"TOKENIZERS_PARALLELISM": "false", "TRANSFORMERS_VERBOSITY": "error"}
    with tempfile.TemporaryFile() as questions:
        questions.write(rows)
        questions.seek(0)
        start = time.perf_counter()
        with subprocess.Popen(  # noqa: S603 - our own program
            [sys.executable, "-c", program],
            stdin=questions,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=os.environ | quiet,
            bufsize=0,  # leaves what follows the first line to communicate()
        ) as process:
            assert process.stdout is not None
            ready = process.stdout.readline()
            seconds = time.perf_counter() - start
            out, errors = process.communicate()
    if process.returncode != 0 or ready.strip() != b"ready":
        last = (errors.decode("utf-8", "replace").strip().splitlines() or ["no message"])[-1]
        raise DataError(
            f"benchmark: a model's own process ended with code {process.returncode}: {last[:200]}"
        )
    return seconds, int(out)
