"""The sides in turns: a process each, pinned to its cores; see ``attar.bench.timing``."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TextIO

from attar.bench.processes import Lap, SideProcess
from attar.bench.timing import fit_turn, take_turns
from peers.document import say
from peers.sides import Side
from peers.traffic import read_examples

BENCHMARKS = Path(__file__).resolve().parents[1]
_FULL_TURNS = 2
_WARM_SINGLES, _SINGLES = 150, 125


@dataclass(frozen=True, slots=True)
class Plan:
    """How a run is done."""

    models: Path  # the folder that peers.models wrote
    pythons: Mapping[str, str]  # the interpreter of each side, by name
    cores: Sequence[int]  # to pin to, at least as many as any side has threads
    rounds: int  # interleaved turns of every side
    turn_seconds: float  # aim of one turn, wall time
    starts: int  # processes a side whose start is timed
    log: TextIO  # gets the sides' own output


@dataclass
class Measured:
    """What one side did; ``peers.tables.figures_of`` makes the JSON of it."""

    side: Side
    num_examples: int = 0
    laps: list[Lap] = field(default_factory=list)
    start_s: list[float] = field(default_factory=list)
    resident_mb: list[float] = field(default_factory=list)
    peak_mb: float = 0.0
    latency_ms: list[float] = field(default_factory=list)
    probs: list[list[float]] = field(default_factory=list)
    versions: dict[str, str] = field(default_factory=dict)


def side_process(side: Side, plan: Plan, threads: int | None = None) -> SideProcess:
    """Start a side's process, on so many threads and cores or its own; ``peers.worker`` says what to ask."""
    count = threads or side.threads
    name = side.model if Path(side.model).is_absolute() else side.name
    cores = ",".join(map(str, plan.cores[:count]))
    command = [plan.pythons[side.name], "-m", "peers.worker", name, str(plan.models), cores, str(count)]
    return SideProcess(side.name, command, env=environment(count), cwd=BENCHMARKS, log=plan.log)


def environment(threads: int) -> dict[str, str]:
    """Environment of a side: our modules first on its path, as many threads as it may use, no network."""
    # What was on the path stays there: without_vnni.py has its copy of ONNX Runtime on it.
    paths = str(BENCHMARKS), str(BENCHMARKS.parent / "src"), os.environ.get("PYTHONPATH", "")
    path = os.pathsep.join(filter(None, paths))
    counts = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), str(threads))
    return os.environ | counts | {"PYTHONPATH": path, "HF_HUB_OFFLINE": "1"}


def measure_starts(measured: Sequence[Measured], plan: Plan) -> None:
    """Time new processes to their first answer: Python's start, imports, loading, one example."""
    first = read_examples(plan.models / "examples.json")[0]

    def start(one: Measured) -> None:
        begin = time.perf_counter()
        process = side_process(one.side, plan)
        reply = process.ask("one", example=[first.text, first.start, first.end])
        one.start_s.append(time.perf_counter() - begin)
        one.resident_mb.append(reply["resident_bytes"] / 1e6)
        process.close()

    sides = {one.side.name: partial(start, one) for one in measured}
    take_turns(sides, plan.starts, after_round=lambda i, _: say(f"start {i} of {plan.starts}"))


def measure_rounds(measured: Sequence[Measured], plan: Plan, num_compared: int) -> None:
    """Time the rounds, all processes alive; then ask each side for some probs, to compare them."""
    processes = {one.side.name: _loaded(one, plan) for one in measured}
    turns = {}
    for one in measured:
        process = processes[one.side.name]
        one.num_examples = fit_turn(process.run, plan.turn_seconds, full_turns=_FULL_TURNS)
        turns[one.side.name] = partial(process.run, one.num_examples)
        say(f"warm: {one.side.name}, {one.num_examples} examples a turn")
    laps = take_turns(turns, plan.rounds, after_round=lambda i, _: say(f"round {i} of {plan.rounds}"))
    for one in measured:
        process = processes[one.side.name]
        one.laps = laps[one.side.name]
        one.probs = process.ask("probs", count=num_compared)["probs"]
        one.peak_mb = process.ask("memory")["peak_bytes"] / 1e6
        process.close()


def measure_latency(measured: Sequence[Measured], plan: Plan) -> None:
    """Time single examples on one thread and one core, in turns as well."""
    processes = {one.side.name: _loaded(one, plan, 1) for one in measured}
    for process in processes.values():
        process.ask("singles", count=_WARM_SINGLES, seconds=plan.turn_seconds)
    turns = {
        name: partial(process.ask, "singles", count=_SINGLES, seconds=plan.turn_seconds / 2)
        for name, process in processes.items()
    }
    replies = take_turns(
        turns, plan.rounds, after_round=lambda i, _: say(f"one by one, round {i} of {plan.rounds}")
    )
    for one in measured:
        one.latency_ms = [ms for reply in replies[one.side.name] for ms in reply["latency_ms"]]
        processes[one.side.name].close()


def _loaded(one: Measured, plan: Plan, threads: int | None = None) -> SideProcess:
    process = side_process(one.side, plan, threads)
    one.versions = process.ask("load", path=str(plan.models / "examples.json"))["versions"]
    return process


def importable(python: str, packages: Sequence[str]) -> bool:
    """Whether an interpreter has all of some packages."""
    code = f"import importlib.util, sys; sys.exit(not all(map(importlib.util.find_spec, {list(packages)!r})))"
    return subprocess.run([python, "-c", code], check=False, env=environment(1)).returncode == 0  # noqa: S603
