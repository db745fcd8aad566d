"""The parts about what attar loads: damaged folders, hostile artifacts, hostile pickles."""

from __future__ import annotations

import multiprocessing
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from attar.classic.weights import read_weights
from attar.errors import AttarError
from torturing.artifacts import HOSTILE_ARTIFACTS
from torturing.damage import KINDS, check_kind
from torturing.parts import Row, Torture
from torturing.pickles import hostile_pickles
from torturing.tiny import tiny_artifact, tiny_checkpoint

__all__ = ["artifacts", "damage", "pickles"]

_FLIPS, _FLIPS_SHOWN = 1_000, 60
"""Flipped bits a file, but all of a small one, such as attar.json; the second in a share."""
_SECONDS = 120
_REFUSED = 42
_MEMORY_BYTES = 24 << 30  # of address space, most of which ONNX Runtime and torch only reserve


def damage(torture: Torture) -> Iterator[Row]:
    """Every file of every kind of folder, cut, emptied, flipped, missing, another's."""
    checkpoint = tiny_checkpoint()
    artifact = tiny_artifact(checkpoint, torture.folder / "artifact")
    for done, (name, kind) in enumerate(KINDS.items()):
        pair = torture.folder / f"{name} 0", torture.folder / f"{name} 1"
        for number, folder in enumerate(pair):
            kind.make(folder, number, artifact, tiny_checkpoint())
        row, begin = Row(name), time.monotonic()
        until = begin + (torture.deadline - begin) / (len(KINDS) - done)
        found = check_kind(
            kind,
            pair,
            checkpoint,
            torture.folder / "damaged",
            num_flips=_FLIPS_SHOWN if torture.is_short else _FLIPS,
            rng=torture.rng,
            is_over=partial(_is_over, until),
        )
        row.outcomes, row.failures, row.is_cut = found.counts, found.failures, bool(found.unfinished)
        row.count = row.outcomes.total() + len(row.failures)
        yield row


def _is_over(until: float) -> bool:
    return time.monotonic() > until


def artifacts(torture: Torture) -> Iterator[Row]:
    """Each hostile artifact scored by the command line, in a process of its own."""
    good = tiny_artifact(tiny_checkpoint(), torture.folder / "good")
    rows = torture.folder / "rows.jsonl"
    rows.write_text('{"text": "香味很好", "term": "香味"}\n', "utf-8")
    row = Row("hostile artifacts, `attar score`")
    for what, change in HOSTILE_ARTIFACTS.items():
        if torture.is_over:
            row.is_cut = True
            break
        folder = torture.folder / "artifact"
        shutil.copytree(good, folder)
        change(folder)
        out = torture.folder / "scored.jsonl"
        score = [sys.executable, "-c", "from attar.cli import main; main()", "score"]
        line = _refused([*score, str(folder), "--in", str(rows), "--out", str(out)])
        if out.exists():
            line = "rows were scored"
        row.add("refused in words") if not line else row.fail(f"{what}: {line}")
        shutil.rmtree(folder)
        out.unlink(missing_ok=True)
    yield row


def pickles(torture: Torture) -> Iterator[Row]:
    """Each hostile pickle in the place of a checkpoint, read in a fork of its own."""
    row = Row("hostile pickles, read as weights")
    for what, content in hostile_pickles():
        if torture.is_over:
            row.is_cut = True
            break
        with tempfile.TemporaryDirectory(dir=torture.folder) as place:
            path = Path(place) / "gs1.pkl"
            path.write_bytes(content)
            process = multiprocessing.get_context("fork").Process(target=_read, args=(path,))
            process.start()
            process.join(_SECONDS)
            line = "" if process.exitcode == _REFUSED else f"exit code {process.exitcode}"
            if process.is_alive():
                process.kill()
                process.join()
                line = f"it took more than {_SECONDS} s"
            if left := [one.name for one in Path(place).iterdir() if one != path]:
                line = f"it ran: {left}"
        row.add("refused in words, nothing ran") if not line else row.fail(f"{what}: {line}")
    yield row


def _read(path: Path) -> None:
    """Read weights in the folder where they lie, and end as they were refused."""
    os.chdir(path.parent)
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES, _MEMORY_BYTES))
    try:
        read_weights(path)
    except AttarError as error:
        # Not sys.exit, which a pickle could have called too.
        os._exit(_REFUSED if len(str(error).splitlines()) == 1 else 1)


def _refused(command: list[str]) -> str:
    """Run a command that must refuse in one line; "" if it does, else what it did."""

    def bounded() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES, _MEMORY_BYTES))

    paths = os.pathsep.join(one for one in sys.path if one)
    try:
        done = subprocess.run(  # noqa: S603 - our own command
            command, capture_output=True, text=True, timeout=_SECONDS, check=False,
            preexec_fn=bounded, env=os.environ | {"PYTHONPATH": paths},
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return f"it took more than {_SECONDS} s"
    said = [line for line in done.stderr.splitlines() if line.startswith("attar: ")]
    if done.returncode == 2 and len(said) == 1 and "Traceback" not in done.stderr:
        return ""
    return f"exit code {done.returncode}, said {done.stderr[-300:]!r}"
