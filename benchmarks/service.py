"""attar serve under load: one client, 64 clients, other ways of serving the same model, a soak.

    python benchmarks/service.py --out runs/service
    python benchmarks/service.py --out runs/service --before 24f8d6f --results docs/results.md
    python benchmarks/service.py --out runs/service --minutes 10

Everything runs on this machine and on the same cores, the clients included, over loopback; rows are single,
one a request. The sides take turns, round by round. ``--before`` is a commit of this repository, whose
service is a side. The pipeline sides are FastAPI in front of ``transformers``' own pipeline, one request at a
time: on the same 4x312 checkpoint, and on a BERT-base, which is what one has without a student. By default
models with random weights are made. Without HTTP there are the predictor itself, whose single answers are
what one client is compared with, and the job of ``attar score`` over a JSONL file, whose rate is what 64
clients are.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import statistics
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from peers.document import command_line, machine_line, markdown_table, publish, say
from peers.http_load import Load, body_of, many_clients, one_client, request
from peers.services import Service, attar_serve, cpu_s, resident_bytes, running, tree_of
from peers.traffic import read_examples, write_examples

from attar.io.tables.jsonl import write_jsonl
from attar.scoring.options import ScoreOptions
from attar.scoring.predictor import Predictor, load
from attar.scoring.stage import score_file
from attar.system_info import system_info
from attar.task import Example

_ROOT = Path(__file__).resolve().parents[1]
_CLIENTS = 64
_JOB_ROWS = 2048
_SOAK_LOAD = 0.7
_SOAK_SETTLED_S = 60


@dataclass
class Side:
    """A service, or what computes without one, and what was measured of it."""

    title: str
    service: Service | None = None
    single_ms: list[float] = field(default_factory=list)
    rates: list[float] = field(default_factory=list)
    cpu_ms: list[float] = field(default_factory=list)
    client_cpu_ms: list[float] = field(default_factory=list)
    longest_ms: float = 0.0
    num_errors: int = 0

    @property
    def rate(self) -> float:
        """Rows a second."""
        return statistics.median(self.rates)

    @property
    def p50_ms(self) -> float:
        """Of one answer after the other."""
        return statistics.median(self.single_ms)


def main() -> None:
    """Measure the sides, then the soak."""
    options = command_line(__doc__)
    options.add_argument("--out", type=Path, required=True, help="models, examples and logs")
    options.add_argument("--artifact", type=Path, help="an int8 artifact instead of the one that is made")
    options.add_argument("--before", help="a commit of this repository, whose service is a side")
    options.add_argument("--rounds", type=int, default=5, help="interleaved turns of every side")
    options.add_argument("--turn-seconds", type=float, default=2.0, help="length of one turn")
    options.add_argument("--minutes", type=float, default=0.5, help="length of the soak at 70 % load")
    chosen = options.parse_args()
    artifact = _made(chosen.out) if chosen.artifact is None else chosen.artifact
    examples = read_examples(chosen.out / "examples.json")
    bodies = [body_of(one) for one in examples]
    with contextlib.ExitStack() as stack:
        sides = _start(stack, chosen, artifact)
        predictor = load(artifact)
        stack.callback(predictor.close)
        requests = [request(json.dumps({"rows": [one]}, ensure_ascii=False).encode()) for one in bodies]
        with write_jsonl(chosen.out / "rows.jsonl") as write:
            for one in bodies[:_JOB_ROWS]:
                write(one)
        own, job = Side("the predictor itself, no HTTP"), Side("`attar score` of a JSONL file, no HTTP")
        for number in range(chosen.rounds):
            say(f"round {number + 1} of {chosen.rounds}")
            _predictor_turn(own, predictor, examples, chosen.turn_seconds)
            _job_turn(job, predictor, chosen.out, chosen.turn_seconds)
            for side in sides:
                _turn(side, requests, chosen.turn_seconds)
        _write(chosen, "service", "Service: attar serve under load", _speed_lines(chosen, own, job, sides))
        soak = _soak(sides[0], requests, chosen.minutes * 60)
    _write(chosen, "service-soak", "Service: a soak at 70 % load", [_soak_line(soak)])


def _made(out: Path) -> Path:
    """A 4x312 artifact with random weights, its checkpoint, a BERT-base and the examples; made once."""
    if not (out / "base" / "attar.json").is_file() or not (out / "t4-int8" / "attar.json").is_file():
        from peers import models
        from peers.traffic import make_traffic

        from attar.models.checkpoint import save_checkpoint

        say("making the models")
        full = models.full_tokenizer()
        traffic, calibrating = make_traffic(full, 4000), make_traffic(full, 128, 21)
        write_examples(out / "examples.json", traffic)
        save_checkpoint(models._checkpoint(models._random_bert("base", full)), out / "base")
        student = models._random_bert("student", full)
        save_checkpoint(models._checkpoint(student), out / "student")
        pruned = models._checkpoint(models._pruned(student))
        models._export(pruned, calibrating, traffic, out / "t4-int8")
    return out / "t4-int8"


def _start(stack: contextlib.ExitStack, chosen: argparse.Namespace, artifact: Path) -> list[Side]:
    """Every service in a process of its own, ready."""
    serve = attar_serve(sys.executable, artifact)
    commands = [("attar", "attar serve", _ROOT, serve)]
    if chosen.before is not None:
        tree = tree_of(chosen.before, chosen.out)
        commands.append(("before", f"attar serve of {chosen.before}", tree, serve))
    for name, title in (("student", "the same 4x312"), ("base", "BERT-base")):
        if (chosen.out / name).is_dir():
            command = [sys.executable, "-m", "peers.pipeline_service", str(chosen.out / name)]
            commands.append((name, f"FastAPI + transformers pipeline, {title}", _ROOT, command))
    return [
        Side(title, stack.enter_context(running(command, chosen.out / f"{name}.log", tree)))
        for name, title, tree, command in commands
    ]


def _predictor_turn(own: Side, predictor: Predictor, examples: Sequence[Example], seconds: float) -> None:
    """Single answers, and the rate of whole chunks as ``attar score`` computes them."""
    until = time.perf_counter() + seconds / 2
    while time.perf_counter() < until:
        one = random.choice(examples)  # noqa: S311 - of a benchmark
        started = time.perf_counter()
        predictor.predict_probs([one])
        own.single_ms.append((time.perf_counter() - started) * 1000)
    started, cpu, count = time.perf_counter(), time.process_time(), 0
    while time.perf_counter() - started < seconds:
        predictor.predict_probs(examples[:2048])
        count += len(examples[:2048])
    own.cpu_ms.append((time.process_time() - cpu) * 1000 / count)
    own.rates.append(count / (time.perf_counter() - started))


def _job_turn(job: Side, predictor: Predictor, out: Path, seconds: float) -> None:
    """The rate of ``attar score`` from a file to a file, its start left out."""
    options = ScoreOptions(overwrite=True, progress=False)
    started, cpu, count = time.perf_counter(), time.process_time(), 0
    while time.perf_counter() - started < seconds:
        count += score_file(predictor, out / "rows.jsonl", out / "scored.jsonl", options).rows
    job.cpu_ms.append((time.process_time() - cpu) * 1000 / count)
    job.rates.append(count / (time.perf_counter() - started))


def _turn(side: Side, requests: Sequence[bytes], seconds: float) -> None:
    assert side.service is not None
    alone = one_client(side.service.port, requests, seconds / 2)
    side.single_ms += alone.took_ms
    cpu, clients_cpu = cpu_s(side.service.process.pid), time.process_time()
    many = many_clients(side.service.port, requests, _CLIENTS, seconds)
    count = max(1, len(many.took_ms))
    side.cpu_ms.append((cpu_s(side.service.process.pid) - cpu) * 1000 / count)
    side.client_cpu_ms.append((time.process_time() - clients_cpu) * 1000 / count)
    side.rates.append(len(many.took_ms) / many.seconds)
    side.longest_ms = max(side.longest_ms, *many.took_ms)
    side.num_errors += alone.num_errors + many.num_errors


def _soak(side: Side, requests: Sequence[bytes], seconds: float) -> dict[str, Any]:
    """70 % of the rate that was measured, for a while: errors, and the memory from the first minute on."""
    assert side.service is not None
    pid = side.service.process.pid
    wanted = _SOAK_LOAD * side.rate
    # A client answers in far less than it pauses, so that the pauses set the rate.
    pause_s = max(0.001, _CLIENTS / wanted - side.p50_ms / 1000)
    say(f"soak: {seconds:.0f} s at {wanted:.0f} rows/s")
    memory: list[tuple[float, int]] = []
    done = threading.Event()
    started = time.monotonic()

    def watch() -> None:
        while not done.wait(1):
            memory.append((time.monotonic() - started, resident_bytes(pid)))

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        found = many_clients(side.service.port, requests, _CLIENTS, seconds, pause_s=pause_s)
    finally:
        done.set()
        thread.join()
    settled = min(_SOAK_SETTLED_S, seconds / 3)
    after = [used for at, used in memory if at >= settled] or [resident_bytes(pid)]
    return {"load": found, "wanted": wanted, "settled_s": settled, "memory": after}


def _write(chosen: argparse.Namespace, name: str, heading: str, lines: Sequence[str]) -> None:
    machine = machine_line(system_info(), len(os.sched_getaffinity(0)))
    command = " ".join(["python benchmarks/service.py", *sys.argv[1:]])
    publish(chosen.results, name, heading, [f"`{command}` on {machine}:", "", *lines])


def _speed_lines(chosen: argparse.Namespace, own: Side, job: Side, sides: Sequence[Side]) -> list[str]:
    rows = []
    for side in (own, job, *sides):
        rows.append(
            [
                side.title,
                f"{side.p50_ms:.2f} ms ({side.p50_ms / own.p50_ms:.2f}x)" if side.single_ms else "",
                f"{side.rate:,.0f} ({min(side.rates):,.0f}-{max(side.rates):,.0f})",
                f"{side.rate / job.rate:.3f}",
                f"{statistics.median(side.cpu_ms):.2f} ms",
                f"{statistics.median(side.client_cpu_ms):.2f} ms" if side.service else "",
                f"{side.longest_ms:,.0f} ms" if side.service else "",
                str(side.num_errors) if side.service else "",
            ]
        )
    heads = ["side", "1 client, p50 (of the predictor's)", f"{_CLIENTS} clients, rows/s", "of the job's"]
    heads += ["its CPU a row", "the clients' CPU a row", "longest wait", "errors"]
    note = (
        f"{chosen.rounds} rounds of {chosen.turn_seconds:g} s, one row a request; medians. The last column "
        "is what a service could reach that costs no CPU beside the predictor's own in whole chunks."
    )
    return [*markdown_table(heads, rows), "", *_goal_lines(own, job, sides), "", note]


def _goal_lines(own: Side, job: Side, sides: Sequence[Side]) -> list[str]:
    """What was aimed at, what was seen, and how far it could go."""
    ours, others = sides[0], sides[1:]
    slower = ours.p50_ms / own.p50_ms
    rows = [["one client, p50 of the predictor's", "≤ 1.5x", f"{slower:.2f}x", _said(slower <= 1.5), ""]]
    goals = {ours.title: 0.6, **{one.title: 3 if "attar" in one.title else 20 for one in others}}
    for side in (job, *others):
        goal = goals[ours.title if side is job else side.title]
        ratio, most = ours.rate / side.rate, statistics.median(side.cpu_ms) / statistics.median(own.cpu_ms)
        rows.append(
            [
                f"{_CLIENTS} clients, rows/s of {side.title}",
                f"≥ {goal}x",
                f"{ratio:.2f}x ({_cpu_ratio(side, ours):.2f}x in CPU)",
                _said(ratio >= goal),
                f"{most:.2f}x",
            ]
        )
    return markdown_table(["goal", "", "seen", "reached", "ceiling in CPU"], rows)


def _said(reached: bool) -> str:
    return "yes" if reached else "no"


def _cpu_ratio(side: Side, ours: Side) -> float:
    return statistics.median(side.cpu_ms) / statistics.median(ours.cpu_ms)


def _soak_line(soak: dict[str, Any]) -> str:
    found: Load = soak["load"]
    memory: list[int] = soak["memory"]
    rate, count = len(found.took_ms) / found.seconds, len(found.took_ms)
    first, last, most = (used / 1e6 for used in (memory[0], memory[-1], max(memory)))
    return (
        f"{found.seconds:.0f} s, {soak['wanted']:,.0f} rows/s meant and {rate:,.0f} answered "
        f"({count:,} requests): {found.num_errors} errors, p50 {statistics.median(found.took_ms):.1f} ms, "
        f"longest {max(found.took_ms):,.0f} ms; memory {first:.1f} MB after {soak['settled_s']:.0f} s, "
        f"{last:.1f} MB at the end, at most {most:.1f} MB ({most / first - 1:+.1%})."
    )


if __name__ == "__main__":
    main()
