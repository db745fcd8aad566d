r"""One distillation, by textbrewer and by attar, step by step in one interleaved run.

    python benchmarks/distill_speed.py --out runs/distill_speed
    python benchmarks/distill_speed.py --out runs/distill_speed --results docs/results.md --rounds 8

The README's distillation: BERT-base teaches the 4x312 student logits at temperature 8 and the layers
of L4t_hidden_mse and L4_hidden_smmd, batch 24, at most 70 tokens. Weights are random, texts are made
of the project's corpus and have 12 to 70 tokens with mean 38. Each side trains in a process of its
own and takes turns of ``--steps`` steps; there are just as many examples as all turns read. Before
that the losses of the first batch are compared. Sides are listed by --help. textbrewer must be
installed: `pip install textbrewer==0.2.1.post1`.

    python benchmarks/distill_speed.py --out runs/distill_score --to-score 0.6 0.7 \
        --data runs/quickstart/data --teacher runs/quickstart/teacher --epochs 12 --steps 26

measures instead how much CPU time each side needs until its student has these macro-F1 on dev:
prepared data, their trained teacher (made as wide as BERT-base, see ``distilling.files``), one
start for all sides, the same batch size and the same matches (attar's defaults have none).
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TextIO

import numpy as np
from distilling.figures import TITLES, score_figures, score_table, speed_table, step_figures
from distilling.files import BATCH, make_files, make_trained
from peers.document import chosen_sides, command_line, machine_line, publish, say
from peers.traffic import read_examples
from peers.turns import BENCHMARKS, environment

from attar.bench.processes import SideProcess
from attar.bench.timing import take_turns
from attar.errors import AttarError
from attar.io.files import read_json, write_json
from attar.models.precision import computes_in_bf16
from attar.system_info import package_versions, system_info

_TOLERANCE = 1e-4
_PACKAGES = ("attar", "numpy", "textbrewer", "torch", "transformers")


def parser() -> argparse.ArgumentParser:
    """The command line."""
    sides = "\n".join(f"  {name:15} {title}" for name, title in TITLES.items())
    options = command_line(__doc__, f"sides:\n{sides}")
    options.add_argument("--out", type=Path, required=True, help="files, caches, log and distill_speed.json")
    options.add_argument("--sides", default=",".join(TITLES), help="comma-separated names; all by default")
    options.add_argument("--rounds", type=int, default=8, help="interleaved turns of every side")
    options.add_argument("--steps", type=int, default=4, help="optimiser steps of a turn")
    options.add_argument("--threads", type=int, default=1, help="of each side's computation")
    options.add_argument("--to-score", type=float, nargs="+", help="macro-F1 on dev, a fraction; one or more")
    options.add_argument("--data", type=Path, help="with --to-score: a folder of attar prepare")
    options.add_argument("--teacher", type=Path, help="with --to-score: a BERT trained on it")
    options.add_argument("--epochs", type=int, default=12, help="with --to-score: of each side's training")
    return options


def main() -> None:
    """Compare."""
    args = parser().parse_args()
    args.out = args.out.resolve()  # the sides have another working folder
    args.out.mkdir(parents=True, exist_ok=True)
    try:
        with (args.out / "sides.log").open("w", encoding="utf-8") as log:
            measure = _time_to_score if args.to_score else _time_steps
            measure(chosen_sides(args.sides, TITLES), args, log)
    except AttarError as error:
        sys.exit(f"distill_speed: {error}")


def _time_steps(sides: Sequence[str], args: argparse.Namespace, log: TextIO) -> None:
    begin, load = time.perf_counter(), os.getloadavg()[0]
    num_examples = args.rounds * args.steps * BATCH
    tokens = _files(args.out / "files", num_examples)
    agreement = _agreement(args, log)
    figures = step_figures(_timed_steps(sides, args, log), args.steps)
    result = _circumstances(args, begin, load) | {
        "command": _command(args, f"--rounds {args.rounds}"),
        "rounds": args.rounds,
        "tokens": tokens,
        "agreement": agreement,
        "sides": figures,
    }
    write_json(args.out / "distill_speed.json", result)
    versions = ", ".join(f"{name} {version}" for name, version in result["versions"].items())
    head = _head(result, f"{args.rounds} interleaved rounds of {args.steps} steps a side")
    text = (
        f"{head} {num_examples} examples. {versions}. The losses of the first batch agree with textbrewer's "
        f"to {agreement['attar']:.1e} of each ({agreement['attar_as_run']:.1e} with the teacher in the "
        "precision that `main.distill.py` runs it in)."
    )
    lines = [text, "", *speed_table(figures)]
    publish(args.results, "distill-speed", "Distillation: steps against textbrewer", lines)


def _time_to_score(sides: Sequence[str], args: argparse.Namespace, log: TextIO) -> None:
    if args.data is None or args.teacher is None:
        raise AttarError("--to-score needs --data and --teacher: a prepared folder and a BERT trained on it")
    begin, load = time.perf_counter(), os.getloadavg()[0]
    files = args.out / "files"
    tokens = make_trained(files, args.data, args.teacher, seed=20)
    num_laps = args.epochs * (len(read_examples(files / "train.json")) // BATCH // args.steps)
    figures = score_figures(_laps_to_score(sides, num_laps, args, log), args.to_score)
    targets = " ".join(f"{one:g}" for one in args.to_score)
    inputs = " ".join(f"--{name} {_short(getattr(args, name))}" for name in ("data", "teacher"))
    result = _circumstances(args, begin, load) | {
        "command": _command(args, f"--to-score {targets} {inputs} --epochs {args.epochs}"),
        "epochs": args.epochs,
        "targets": args.to_score,
        "tokens": tokens,
        "sides": figures,
    }
    write_json(args.out / "distill_score.json", result)
    head = _head(result, f"sides in turns of {args.steps} steps, {args.epochs} epochs at most")
    text = (
        f"{head} The teacher has BERT-base's size; every side's student starts from the same weights. "
        "Time counts from the start, caches included, to the first lap with that macro-F1 on dev, scoring "
        "left out."
    )
    lines = [text, "", *score_table(figures, args.to_score)]
    publish(args.results, "distill-score", "Distillation: time to the same score", lines)


def _laps_to_score(
    sides: Sequence[str], num_laps: int, args: argparse.Namespace, log: TextIO
) -> dict[str, list[dict[str, Any]]]:
    """Laps of every side, until its student has the highest of the scores."""
    _forget_caches(args)
    started: dict[str, SideProcess] = {}

    def lap(name: str) -> dict[str, Any]:
        if name not in started:  # one set-up after the other
            started[name] = _training(name, args, log, args.epochs)
        reply = started[name].ask("lap")
        if scored(reply):
            started[name].close()
        return reply

    def scored(reply: dict[str, Any]) -> bool:
        return bool(reply["score"] >= max(args.to_score))

    def standing(number: int, laps: Mapping[str, Sequence[dict[str, Any]]]) -> None:
        scores = ", ".join(f"{name} {100 * rounds[-1]['score']:.1f}" for name, rounds in laps.items())
        say(f"lap {number} of {num_laps}: {scores}")

    turns = {name: partial(lap, name) for name in sides}
    laps = take_turns(turns, num_laps, done=scored, after_round=standing)
    for process in started.values():
        process.close()
    return laps


def _timed_steps(
    sides: Sequence[str], args: argparse.Namespace, log: TextIO
) -> dict[str, list[dict[str, Any]]]:
    _forget_caches(args)
    processes = {}
    for name in sides:
        processes[name] = _training(name, args, log)
        say(f"warm: {name}, {processes[name].ask('lap')['setup_cpu_s']:.0f} CPU s before its first step")
    laps = take_turns(
        {name: partial(process.ask, "lap") for name, process in processes.items()},
        args.rounds,
        after_round=lambda i, _: say(f"round {i} of {args.rounds}"),
    )
    for process in processes.values():
        process.close()
    return laps


def _forget_caches(args: argparse.Namespace) -> None:
    """Filling them is part of what is timed."""
    shutil.rmtree(args.out / "sides", ignore_errors=True)


def _circumstances(args: argparse.Namespace, begin: float, load: float) -> dict[str, Any]:
    return {
        "machine": system_info() | {"computes_in_bf16": computes_in_bf16(), "load_before": load},
        "versions": package_versions(_PACKAGES),
        "steps": args.steps,
        "threads": args.threads,
        "wall_minutes": (time.perf_counter() - begin) / 60,
    }


def _command(args: argparse.Namespace, flags: str) -> str:
    """How to do it again, without what is only of this machine."""
    sides = "" if args.sides == ",".join(TITLES) else f" --sides {args.sides}"
    counts = f"--steps {args.steps} --threads {args.threads}"
    return f"python benchmarks/distill_speed.py --out {_short(args.out)} {flags} {counts}{sides}"


def _short(path: Path) -> str:
    return "/".join(path.resolve().parts[-2:])


def _files(folder: Path, num_examples: int) -> dict[str, float]:
    """What all sides read, unless an earlier run with as many examples left it there."""
    stamp = folder / "made.json"
    if not stamp.is_file() or read_json(stamp)["examples"] != num_examples:
        say(f"making {num_examples} examples and the teacher in {folder}")
        write_json(stamp, {"examples": num_examples, "tokens": make_files(folder, num_examples)})
    tokens: dict[str, float] = read_json(stamp)["tokens"]
    return tokens


def _agreement(args: argparse.Namespace, log: TextIO) -> dict[str, float]:
    """The largest relative difference of a loss on the first batch from textbrewer's.

    Raises:
        AttarError: The two sides do not compute the same.
    """
    process = _process("distilling.agreement", "agreement", args, log)
    losses = {name: np.array(values) for name, values in process.ask("losses").items()}
    process.close()
    theirs = losses.pop("textbrewer")
    found = {name: float(np.abs(values / theirs - 1).max()) for name, values in losses.items()}
    if found["attar"] > _TOLERANCE:
        raise AttarError(
            f"a loss of the first batch differs from textbrewer's by {found['attar']:.2g} of it, "
            f"expected at most {_TOLERANCE:g}: nothing is timed"
        )
    say(f"the first batch's losses agree to {found['attar']:.1e}")
    return found


def _training(name: str, args: argparse.Namespace, log: TextIO, *epochs: int) -> SideProcess:
    """A side's process; see ``distilling.worker``."""
    numbers = map(str, (args.threads, args.steps, *epochs))
    return _process("distilling.worker", name, args, log, name, *numbers)


def _process(module: str, name: str, args: argparse.Namespace, log: TextIO, *arguments: str) -> SideProcess:
    """One of our modules in a process, with the original's command lines on its path."""
    folders = str(args.out / "files"), str(args.out / "sides" / name)
    base = environment(args.threads)
    path = os.pathsep.join((base["PYTHONPATH"], str(BENCHMARKS.parent / "classic")))
    command = [sys.executable, "-m", module, *folders, *arguments]
    return SideProcess(name, command, env=base | {"PYTHONPATH": path}, cwd=BENCHMARKS, log=log)


def _head(result: dict[str, Any], rounds: str) -> str:
    tokens, host = result["tokens"], result["machine"]
    return (
        f"`{result['command']}` on {machine_line(host, result['threads'])}, "
        f"{'with' if host['computes_in_bf16'] else 'without'} native bf16: {rounds}, "
        f"{result['wall_minutes']:.0f} minutes, load {host['load_before']:.1f} before. Batch {BATCH}, "
        f"{tokens['shortest']} to {tokens['longest']} tokens, mean {tokens['mean']:.1f}."
    )


if __name__ == "__main__":
    main()
