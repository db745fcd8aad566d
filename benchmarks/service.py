"""attar serve under load: one client, 64 clients, other ways of serving the same model, a soak.

    python benchmarks/service.py --out runs/service
    python benchmarks/service.py --out runs/service --other ../attar-before --results docs/results.md
    python benchmarks/service.py --out runs/service --artifact runs/cars/T4-tiny --minutes 10

Everything runs on this machine and on the same cores, the clients included, over loopback; rows are single,
one a request. The sides take turns, round by round. ``--other`` is a tree of another attar (a git worktree),
whose service is a side. The pipeline side is FastAPI in front of ``transformers``' own pipeline on the 4x312
checkpoint, one request at a time. By default a 4x312 model with random weights is made.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import random
import signal
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from peers.document import command_line, machine_line, markdown_table, publish, say
from peers.traffic import read_examples, write_examples

from attar.scoring.predictor import Predictor, load
from attar.system_info import system_info
from attar.task import Example

_ROOT = Path(__file__).resolve().parents[1]
_READY_S = 120
_CLIENTS = 64
_SOAK_LOAD = 0.7


@dataclass
class Side:
    """A service, and what was measured of it."""

    name: str
    title: str
    port: int
    pid: int
    single_ms: list[float] = field(default_factory=list)
    rates: list[float] = field(default_factory=list)
    longest_ms: float = 0.0
    num_errors: int = 0


def main() -> None:
    """Measure the sides, then the soak."""
    options = command_line(__doc__)
    options.add_argument("--out", type=Path, required=True, help="models, examples and logs")
    options.add_argument("--artifact", type=Path, help="an int8 artifact instead of the one that is made")
    options.add_argument("--other", type=Path, help="a tree of another attar, whose service is a side")
    options.add_argument("--rounds", type=int, default=5, help="interleaved turns of every side")
    options.add_argument("--turn-seconds", type=float, default=2.0, help="length of one turn")
    options.add_argument("--minutes", type=float, default=0.5, help="length of the soak at 70 % load")
    chosen = options.parse_args()
    artifact = _made(chosen.out) if chosen.artifact is None else chosen.artifact
    examples = read_examples(chosen.out / "examples.json")
    with contextlib.ExitStack() as stack:
        sides = _start(stack, chosen, artifact)
        predictor = load(artifact)
        stack.callback(predictor.close)
        bodies = [_body(one) for one in examples]
        own: dict[str, list[float]] = {"single": [], "rate": []}
        for number in range(chosen.rounds):
            say(f"round {number + 1} of {chosen.rounds}")
            own["single"] += _predictor_single(predictor, examples, chosen.turn_seconds)
            own["rate"].append(_predictor_rate(predictor, examples, chosen.turn_seconds))
            for side in sides:
                _turn(side, bodies, chosen.turn_seconds)
        soak = asyncio.run(_soak(sides[0], bodies, chosen.minutes * 60))
    _write(chosen, sides, own, soak)


def _made(out: Path) -> Path:
    """A 4x312 artifact with random weights, its checkpoint and the examples; made once."""
    if not (out / "t4-int8" / "attar.json").is_file():
        from peers import models
        from peers.traffic import make_traffic

        from attar.models.checkpoint import save_checkpoint

        say("making the models")
        full = models.full_tokenizer()
        traffic, calibrating = make_traffic(full, 4000), make_traffic(full, 128, 21)
        write_examples(out / "examples.json", traffic)
        student = models._random_bert("student", full)
        save_checkpoint(models._checkpoint(student), out / "student")
        pruned = models._checkpoint(models._pruned(student))
        models._export(pruned, calibrating, traffic, out / "t4-int8")
    return out / "t4-int8"


def _body(example: Example) -> bytes:
    row = {"text": example.text, "term": example.term, "start": example.start, "end": example.end}
    body = json.dumps({"rows": [row]}, ensure_ascii=False).encode()
    head = "POST /v1/score HTTP/1.1\r\nHost: x\r\n"
    head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def _start(stack: contextlib.ExitStack, chosen: argparse.Namespace, artifact: Path) -> list[Side]:
    """Every service in a process of its own, ready."""
    attar = [sys.executable, "-c", "from attar.cli import main; main()", "serve", str(artifact)]
    commands = [("attar", "attar serve", _ROOT, [*attar, "--port", "0"])]
    if chosen.other is not None:
        commands.append(("other", f"attar serve of {_commit(chosen.other)}", chosen.other, commands[0][3]))
    if (chosen.out / "student").is_dir():
        pipeline = [sys.executable, "-m", "peers.pipeline_service", str(chosen.out / "student")]
        commands.append(("pipeline", "FastAPI + transformers pipeline", _ROOT, pipeline))
    return [stack.enter_context(_service(chosen.out, *one)) for one in commands]


@contextlib.contextmanager
def _service(out: Path, name: str, title: str, tree: Path, command: Sequence[str]) -> Iterator[Side]:
    paths = [str(tree / "src"), str(_ROOT / "benchmarks"), os.environ.get("PYTHONPATH", "")]
    with (out / f"{name}.log").open("w", encoding="utf-8") as log:
        process = subprocess.Popen(  # noqa: S603 - our own services
            command,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            env=os.environ | {"PYTHONPATH": ":".join(paths)},
        )
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            port = int(line.rpartition(":")[2].split(",")[0])
            _wait_until_ready(port)
            yield Side(name, title, port, process.pid)
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(_READY_S)


def _wait_until_ready(port: int) -> None:
    import urllib.error
    import urllib.request

    until = time.monotonic() + _READY_S
    while time.monotonic() < until:
        with contextlib.suppress(OSError, urllib.error.URLError):
            urllib.request.urlopen(f"http://127.0.0.1:{port}/ready", timeout=_READY_S).close()
            return
        time.sleep(0.1)
    raise TimeoutError(f"port {port} is not ready after {_READY_S} s")


def _commit(tree: Path) -> str:
    command = ["git", "-C", str(tree), "rev-parse", "--short", "HEAD"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()  # noqa: S603


def _predictor_single(predictor: Predictor, examples: Sequence[Example], seconds: float) -> list[float]:
    """Milliseconds of single answers."""
    took = []
    until = time.perf_counter() + seconds / 2
    while time.perf_counter() < until:
        one = random.choice(examples)  # noqa: S311 - of a benchmark
        started = time.perf_counter()
        predictor.predict_probs([one])
        took.append((time.perf_counter() - started) * 1000)
    return took


def _predictor_rate(predictor: Predictor, examples: Sequence[Example], seconds: float) -> float:
    """Rows a second, as ``attar score`` computes them."""
    started, count = time.perf_counter(), 0
    while time.perf_counter() - started < seconds:
        predictor.predict_probs(examples[:2048])
        count += len(examples[:2048])
    return count / (time.perf_counter() - started)


def _turn(side: Side, bodies: Sequence[bytes], seconds: float) -> None:
    took, errors, _ = asyncio.run(_load(side.port, bodies, 1, seconds / 2))
    side.single_ms += took
    many, more, elapsed = asyncio.run(_load(side.port, bodies, _CLIENTS, seconds))
    side.rates.append(len(many) / elapsed)
    side.longest_ms = max(side.longest_ms, *many)
    side.num_errors += errors + more


async def _load(
    port: int, bodies: Sequence[bytes], clients: int, seconds: float, pause_s: float = 0.0
) -> tuple[list[float], int, float]:
    """Milliseconds of every answer, the number of errors, and the seconds that it took."""
    took: list[float] = []
    errors = 0
    started = time.perf_counter()

    async def client() -> None:
        nonlocal errors
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        while time.perf_counter() - started < seconds:
            begun = time.perf_counter()
            writer.write(random.choice(bodies))  # noqa: S311 - of a benchmark
            status = await _answer(reader)
            took.append((time.perf_counter() - begun) * 1000)
            errors += status != 200
            if pause_s:
                await asyncio.sleep(random.uniform(0, 2 * pause_s))  # noqa: S311 - of a benchmark
        writer.close()

    await asyncio.gather(*(client() for _ in range(clients)))
    return took, errors, time.perf_counter() - started


async def _answer(reader: asyncio.StreamReader) -> int:
    head = await reader.readuntil(b"\r\n\r\n")
    lines = head.lower().split(b"\r\n")
    length = next(int(line[15:]) for line in lines if line.startswith(b"content-length:"))
    await reader.readexactly(length)
    return int(head[9:12])


async def _soak(side: Side, bodies: Sequence[bytes], seconds: float) -> dict[str, float]:
    """70 % of the rate that was measured, for a while: errors, and the memory at either end."""
    rate = _SOAK_LOAD * statistics.median(side.rates)
    # A client answers in far less than it pauses, so that the pauses set the rate.
    pause_s = max(0.0, _CLIENTS / rate - statistics.median(side.single_ms) / 1000)
    say(f"soak: {seconds:.0f} s at {rate:.0f} rows/s")
    memory: list[tuple[float, int]] = []
    done = threading.Event()
    started = time.monotonic()

    def watch() -> None:
        while not done.wait(1):
            memory.append((time.monotonic() - started, _resident(side.pid)))

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        took, errors, elapsed = await _load(side.port, bodies, _CLIENTS, seconds, pause_s)
    finally:
        done.set()
        thread.join()
    after = [used for at, used in memory if at >= min(60, seconds / 3)] or [_resident(side.pid)]
    return {
        "seconds": elapsed,
        "rate": len(took) / elapsed,
        "errors": errors,
        "p50_ms": statistics.median(took),
        "longest_ms": max(took),
        "first_mb": after[0] / 1e6,
        "last_mb": after[-1] / 1e6,
    }


def _resident(pid: int) -> int:
    pages = Path(f"/proc/{pid}/statm").read_text("ascii").split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


def _write(
    chosen: argparse.Namespace, sides: Sequence[Side], own: dict[str, list[float]], soak: dict[str, float]
) -> None:
    single, rate = statistics.median(own["single"]), statistics.median(own["rate"])
    rows = [["the predictor itself, no HTTP", f"{single:.2f} ms", "1.0", f"{rate:,.0f}", "1.0", "", ""]]
    for side in sides:
        p50, median = statistics.median(side.single_ms), statistics.median(side.rates)
        rows.append(
            [
                side.title,
                f"{p50:.2f} ms",
                f"{p50 / single:.2f}",
                f"{median:,.0f} ({min(side.rates):,.0f}-{max(side.rates):,.0f})",
                f"{median / rate:.3f}",
                f"{side.longest_ms:,.0f} ms",
                str(side.num_errors),
            ]
        )
    heads = ["side", "1 client, p50", "of the predictor's"]
    heads += [f"{_CLIENTS} clients, rows/s", "of the predictor's", "longest wait", "errors"]
    machine = machine_line(system_info(), len(os.sched_getaffinity(0)))
    command = " ".join(["python benchmarks/service.py", *sys.argv[1:]])
    lines = [
        f"`{command}` on {machine}; {chosen.rounds} rounds of {chosen.turn_seconds:g} s, one row a request:",
        "",
        *markdown_table(heads, rows),
        "",
        _soak_line(soak),
    ]
    publish(chosen.results, "service", "Service: attar serve under load", lines)


def _soak_line(soak: dict[str, float]) -> str:
    return (
        f"Soak of {soak['seconds']:.0f} s at {soak['rate']:,.0f} rows/s: {soak['errors']:.0f} errors, p50 "
        f"{soak['p50_ms']:.1f} ms, longest {soak['longest_ms']:,.0f} ms, memory {soak['first_mb']:.0f} MB "
        f"after warm-up, {soak['last_mb']:.0f} MB at the end."
    )


if __name__ == "__main__":
    main()
