"""One distillation, textbrewer's way and ours, step by step in one interleaved run.

    python benchmarks/distill_speed.py --out runs/distill_speed
    python benchmarks/distill_speed.py --out runs/distill_speed --results docs/results.md --rounds 8

The README's distillation: BERT-base teaches the 4x312 student logits at temperature 8 and the layers
of L4t_hidden_mse and L4_hidden_smmd, batch 24, at most 70 tokens. Weights are random, texts are made
of the project's corpus and have 12 to 70 tokens with mean 38. Each side trains in a process of its
own and takes turns of ``--steps`` steps; there are just as many examples as all turns read. Before
that the losses of the first batch are compared. Sides are listed by --help. textbrewer must be
installed: `pip install textbrewer==0.2.1.post1`.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.metadata
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TextIO

import numpy as np
from distilling.figures import TITLES, figures_of, speed_table
from distilling.files import BATCH, make_files
from peers.document import machine_line, write_block
from peers.turns import environment

from attar.errors import AttarError
from attar.evaluation.machine import machine
from attar.files import read_json, write_json
from attar.models.precision import computes_in_bf16

_BENCHMARKS = Path(__file__).resolve().parent
_TOLERANCE = 1e-4
_PACKAGES = ("attar", "numpy", "textbrewer", "torch", "transformers")


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.epilog = "sides:\n" + "\n".join(f"  {name:15} {title}" for name, title in TITLES.items())
    made.add_argument("--out", type=Path, required=True, help="files, caches, log and distill_speed.json")
    made.add_argument("--sides", default=",".join(TITLES), help="comma-separated names; all by default")
    made.add_argument("--rounds", type=int, default=8, help="interleaved turns of every side")
    made.add_argument("--steps", type=int, default=4, help="optimiser steps of a turn")
    made.add_argument("--threads", type=int, default=1, help="of each side's computation")
    made.add_argument("--results", type=Path, help="page whose block is replaced, e.g. docs/results.md")
    return made


def main() -> None:
    """Compare."""
    args = parser().parse_args()
    args.out = args.out.resolve()  # the sides have another working folder
    args.out.mkdir(parents=True, exist_ok=True)
    try:
        _compare(args)
    except AttarError as error:
        sys.exit(f"distill_speed: {error}")


def _compare(args: argparse.Namespace) -> None:
    begin, load = time.perf_counter(), os.getloadavg()[0]
    sides = args.sides.split(",")
    unknown = [name for name in sides if name not in TITLES]
    if unknown:
        raise AttarError(f"--sides: unknown {', '.join(unknown)}; known: {', '.join(TITLES)}")
    tokens = _files(args.out / "files", args.rounds * args.steps * BATCH)
    with (args.out / "sides.log").open("w", encoding="utf-8") as log:
        agreement = _agreement(args, log)
        laps = _take_turns(sides, args, log)
    result = {
        "command": _command(args),
        "machine": machine() | {"computes_in_bf16": computes_in_bf16(), "load_before": load},
        "versions": {name: importlib.metadata.version(name) for name in _PACKAGES},
        "rounds": args.rounds,
        "steps": args.steps,
        "threads": args.threads,
        "wall_minutes": (time.perf_counter() - begin) / 60,
        "tokens": tokens,
        "agreement": agreement,
        "sides": figures_of(laps, args.steps),
    }
    write_json(args.out / "distill_speed.json", result)
    lines = _page(result)
    print("\n".join(lines))
    if args.results:
        write_block(args.results, "distill-speed", "Distillation: steps against textbrewer", lines)


def _command(args: argparse.Namespace) -> str:
    """How to do it again, without what is only of this machine."""
    sides = [] if args.sides == ",".join(TITLES) else ["--sides", args.sides]
    out = f"{args.out.parent.name}/{args.out.name}"
    counts = [f"--rounds {args.rounds}", f"--steps {args.steps}", f"--threads {args.threads}"]
    return " ".join(["python benchmarks/distill_speed.py --out", out, *counts, *sides])


def _files(folder: Path, num_examples: int) -> dict[str, float]:
    """What all sides read, unless an earlier run with as many examples left it there."""
    stamp = folder / "made.json"
    if not stamp.is_file() or read_json(stamp)["examples"] != num_examples:
        _say(f"making {num_examples} examples and the teacher in {folder}")
        write_json(stamp, {"examples": num_examples, "tokens": make_files(folder, num_examples)})
    tokens: dict[str, float] = read_json(stamp)["tokens"]
    return tokens


def _agreement(args: argparse.Namespace, log: TextIO) -> dict[str, float]:
    """The largest difference of a loss on the first batch from textbrewer's, as a share of it.

    Raises:
        AttarError: The two sides do not compute the same.
    """
    command = [*_module("distilling.agreement"), str(args.out / "files"), str(args.out / "agreement")]
    done = subprocess.run(  # noqa: S603 - our own module
        command,
        check=False,
        stdout=subprocess.PIPE,
        stderr=log,
        text=True,
        env=_environment(args),
        cwd=_BENCHMARKS,
    )
    if done.returncode:
        raise AttarError("the first batch could not be compared; see sides.log in the output folder")
    losses = {name: np.array(values) for name, values in json.loads(done.stdout.splitlines()[-1]).items()}
    theirs = losses.pop("textbrewer")
    found = {name: float(np.abs(values / theirs - 1).max()) for name, values in losses.items()}
    if found["attar"] > _TOLERANCE:
        raise AttarError(
            f"a loss of the first batch differs from textbrewer's by {found['attar']:.2g} of it, "
            f"expected at most {_TOLERANCE:g}: nothing is timed"
        )
    _say(f"the first batch's losses agree to {found['attar']:.1e}")
    return found


def _take_turns(
    sides: Sequence[str], args: argparse.Namespace, log: TextIO
) -> dict[str, list[dict[str, float]]]:
    shutil.rmtree(args.out / "sides", ignore_errors=True)  # filling the caches is part of what is told
    workers = {}
    for name in sides:
        workers[name] = _Worker(name, args, log)
        answer = workers[name].answer()
        _say(f"warm: {name}, {answer['setup_cpu_s']:.0f} CPU s before its first step")
    laps: dict[str, list[dict[str, float]]] = {name: [] for name in sides}
    for turn in range(args.rounds):
        for name, worker in workers.items():
            worker.go()
            laps[name].append(worker.answer())
        _say(f"round {turn + 1} of {args.rounds}")
    for worker in workers.values():
        worker.close()
    return laps


class _Worker:
    """One side's process, see ``distilling.worker``."""

    def __init__(self, name: str, args: argparse.Namespace, log: TextIO) -> None:
        self._name = name
        out = args.out / "sides" / name
        command = [
            *_module("distilling.worker"), name,
            str(args.out / "files"), str(out), str(args.threads), str(args.steps),
        ]  # fmt: skip
        self._process = subprocess.Popen(  # noqa: S603 - our own worker
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True,
            env=_environment(args), cwd=_BENCHMARKS,
        )  # fmt: skip

    def go(self) -> None:
        """Let it train for one turn."""
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write("\n")
            self._process.stdin.flush()

    def answer(self) -> dict[str, float]:
        """Wait for the turn's times.

        Raises:
            AttarError: The process has ended.
        """
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise AttarError(f"side {self._name}: its process ended; see sides.log in the output folder")
        times: dict[str, float] = json.loads(line)
        return times

    def close(self) -> None:
        """End the process."""
        self._process.communicate()


def _module(name: str) -> list[str]:
    return [sys.executable, "-m", name]


def _environment(args: argparse.Namespace) -> dict[str, str]:
    made = environment(args.threads)
    return made | {"PYTHONPATH": os.pathsep.join((made["PYTHONPATH"], str(_BENCHMARKS.parent / "classic")))}


def _page(result: dict[str, Any]) -> list[str]:
    tokens, agreement = result["tokens"], result["agreement"]
    examples = result["rounds"] * result["steps"] * BATCH
    versions = ", ".join(f"{name} {version}" for name, version in result["versions"].items())
    host = result["machine"]
    text = (
        f"`{result['command']}` on {machine_line(host, result['threads'])}, "
        f"{'with' if host['computes_in_bf16'] else 'without'} native bf16: {result['rounds']} interleaved "
        f"rounds of {result['steps']} steps a side, {result['wall_minutes']:.0f} minutes, load "
        f"{host['load_before']:.1f} before. Batch {BATCH}; {examples} examples of {tokens['shortest']} to "
        f"{tokens['longest']} tokens, mean {tokens['mean']:.1f}. {versions}. The losses of the first batch "
        f"agree with textbrewer's to {agreement['attar']:.1e} of each ({agreement['attar_as_run']:.1e} with "
        "the teacher in the precision that `main.distill.py` runs it in)."
    )
    return [text, "", *speed_table(result["sides"])]


def _say(message: str) -> None:
    with contextlib.suppress(BrokenPipeError):
        print(f"{time.strftime('%H:%M:%S')} {message}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
