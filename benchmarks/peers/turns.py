"""The timing itself: a process a side, pinned, taking turns.

Every round gives every side one turn of about the same length, so that a neighbour on the machine
slows all of them alike, and sides are compared round by round.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from attar.errors import AttarError
from peers.sides import Side
from peers.traffic import read_examples

__all__ = [
    "Measured",
    "Plan",
    "Worker",
    "environment",
    "importable",
    "measure_latency",
    "measure_rounds",
    "measure_starts",
    "run_module",
]

_BENCHMARKS = Path(__file__).resolve().parents[1]
_FEWEST = 16  # examples a turn, however slow the side
_MOST = 60_000
_WARM_TURNS = 2
_WARM_SINGLES = 150


@dataclass(frozen=True, slots=True)
class Plan:
    """How a run is done.

    Attributes:
        models: The folder that peers.models wrote.
        pythons: The interpreter of each side, by name.
        cores: Cores to pin to, at least as many as any side has threads.
        rounds: Interleaved turns of every side.
        turn_seconds: Aim of one turn, wall time.
        starts: Fresh processes a side.
        log: Where the sides' own output goes.
        say: Told of the progress.
    """

    models: Path
    pythons: Mapping[str, str]
    cores: Sequence[int]
    rounds: int
    turn_seconds: float
    starts: int
    log: TextIO
    say: Callable[[str], None]


@dataclass
class Measured:
    """What one side did; ``figures`` of it go into the JSON."""

    side: Side
    num_examples: int = 0
    wall_s: list[float] = field(default_factory=list)
    cpu_s: list[float] = field(default_factory=list)
    start_s: list[float] = field(default_factory=list)
    resident_mb: list[float] = field(default_factory=list)
    peak_mb: float = 0.0
    latency_ms: list[float] = field(default_factory=list)
    probs: list[list[float]] = field(default_factory=list)
    versions: dict[str, str] = field(default_factory=dict)


class Worker:
    """One side's process.

    Args:
        side: What it runs.
        plan: Where and with what.
        threads: Of its computation, and cores that it is pinned to; None takes the side's own.
    """

    def __init__(self, side: Side, plan: Plan, threads: int | None = None) -> None:
        count = threads or side.threads
        name = side.model if Path(side.model).is_absolute() else side.name
        cores = ",".join(map(str, plan.cores[:count]))
        command = [plan.pythons[side.name], "-m", "peers.worker", name, str(plan.models), cores, str(count)]
        self._side = side
        self._process = subprocess.Popen(  # noqa: S603 - our own worker
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=plan.log,
            text=True,
            env=environment(count),
            cwd=_BENCHMARKS,
        )

    def ask(self, do: str, **request: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
        """Send a request and wait for its answer.

        Raises:
            AttarError: The process has ended.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps({"do": do, **request}) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            line = ""
        else:
            line = self._process.stdout.readline()
        if not line:
            raise AttarError(f"side {self._side.name}: its process ended; see sides.log in the output folder")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def close(self) -> None:
        """End the process."""
        self._process.communicate()


def environment(threads: int) -> dict[str, str]:
    """Environment of a side: our modules first on its path, as many threads as it may use, no network."""
    # What was on the path stays there: without_vnni.py has its copy of ONNX Runtime on it.
    paths = str(_BENCHMARKS), str(_BENCHMARKS.parent / "src"), os.environ.get("PYTHONPATH", "")
    path = os.pathsep.join(filter(None, paths))
    counts = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), str(threads))
    return os.environ | counts | {"PYTHONPATH": path, "HF_HUB_OFFLINE": "1"}


def measure_starts(measured: Sequence[Measured], plan: Plan) -> None:
    """Time fresh processes to their first answer: Python's start, imports, loading, one example."""
    first = read_examples(plan.models / "examples.json")[0]
    for turn in range(plan.starts):
        for one in measured:
            if one.side.fits_at_start:
                continue
            begin = time.perf_counter()
            worker = Worker(one.side, plan)
            answer = worker.ask("one", example=[first.text, first.start, first.end])
            one.start_s.append(time.perf_counter() - begin)
            one.resident_mb.append(answer["resident_mb"])
            worker.close()
        plan.say(f"start {turn + 1} of {plan.starts}")


def measure_rounds(measured: Sequence[Measured], plan: Plan, num_compared: int) -> None:
    """Time the rounds, all processes alive; then ask each side for some probs, to compare answers."""
    workers = [_loaded(one, plan) for one in measured]
    for one, worker in zip(measured, workers, strict=True):
        one.num_examples = _fit_turn(worker, plan.turn_seconds)
        plan.say(f"warm: {one.side.name}, {one.num_examples} examples a turn")
    for turn in range(plan.rounds):
        for one, worker in zip(measured, workers, strict=True):
            answer = worker.ask("run", count=one.num_examples)
            one.wall_s.append(answer["wall_s"])
            one.cpu_s.append(answer["cpu_s"])
        plan.say(f"round {turn + 1} of {plan.rounds}")
    for one, worker in zip(measured, workers, strict=True):
        one.probs = worker.ask("probs", count=num_compared)["probs"]
        one.peak_mb = worker.ask("memory")["peak_mb"]
        worker.close()


def measure_latency(measured: Sequence[Measured], plan: Plan) -> None:
    """Time single examples on one thread and one core, in turns as well."""
    workers = [_loaded(one, plan, 1) for one in measured]
    for worker in workers:
        worker.ask("singles", count=_WARM_SINGLES, seconds=plan.turn_seconds)
    for turn in range(plan.rounds):
        for one, worker in zip(measured, workers, strict=True):
            answer = worker.ask("singles", count=125, seconds=plan.turn_seconds / 2)
            one.latency_ms += answer["latency_ms"]
        plan.say(f"one by one, round {turn + 1} of {plan.rounds}")
    for worker in workers:
        worker.close()


def _loaded(one: Measured, plan: Plan, threads: int | None = None) -> Worker:
    worker = Worker(one.side, plan, threads)
    one.versions = worker.ask("load", path=str(plan.models / "examples.json"))["versions"]
    return worker


def _fit_turn(worker: Worker, turn_seconds: float) -> int:
    """Examples that fill a turn; what is loaded lazily is paid for here."""
    worker.ask("run", count=1)
    count = _FEWEST
    wall = worker.ask("run", count=count)["wall_s"]
    while wall < turn_seconds / 4 and 4 * count <= _MOST:
        count *= 4
        wall = worker.ask("run", count=count)["wall_s"]
    count = int(np.clip(round(count * turn_seconds / wall), _FEWEST, _MOST))
    # Whole turns too: OpenVINO compiles for every shape of batch when it first meets it.
    for _ in range(_WARM_TURNS):
        wall = worker.ask("run", count=count)["wall_s"]
    return int(np.clip(round(count * turn_seconds / wall), _FEWEST, _MOST))


def importable(python: str, packages: Sequence[str]) -> bool:
    """Whether an interpreter has all of some packages."""
    code = f"import importlib.util, sys; sys.exit(not all(map(importlib.util.find_spec, {list(packages)!r})))"
    return subprocess.run([python, "-c", code], check=False, env=environment(1)).returncode == 0  # noqa: S603


def run_module(arguments: Sequence[str], log: TextIO, python: str = sys.executable) -> None:
    """Run ``python -m`` on one of our modules and wait.

    Raises:
        AttarError: It failed.
    """
    done = subprocess.run(  # noqa: S603
        [python, "-m", *arguments], check=False, stderr=log, stdout=log, env=environment(2), cwd=_BENCHMARKS
    )
    if done.returncode:
        raise AttarError(f"{' '.join(arguments[:3])} failed; see sides.log in the output folder")
