"""The sides' processes: started, asked for lap after lap, ended; see ``distilling.worker``."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TextIO

from peers.turns import environment

from attar.errors import AttarError

__all__ = ["Worker", "module", "side_environment"]

_BENCHMARKS = Path(__file__).resolve().parents[1]


class Worker:
    """One side's process.

    Args:
        name: The side.
        files: What it reads.
        out: Gets a folder for the side.
        threads: Of its computation.
        steps: Optimiser steps of a lap.
        log: Gets what it says.
        epochs: Of its training, which is scored after every lap then; None for an endless one.
    """

    def __init__(
        self,
        name: str,
        files: Path,
        out: Path,
        *,
        threads: int,
        steps: int,
        log: TextIO,
        epochs: int | None = None,
    ) -> None:
        self._name = name
        command = [
            *module("distilling.worker"), name,
            str(files), str(out / "sides" / name), str(threads), str(steps),
        ]  # fmt: skip
        self._process = subprocess.Popen(  # noqa: S603 - our own worker
            command if epochs is None else [*command, str(epochs)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True,
            env=side_environment(threads), cwd=_BENCHMARKS,
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


def module(name: str) -> list[str]:
    """The command that runs a module of the benchmarks, from their folder."""
    return [sys.executable, "-m", name]


def side_environment(threads: int) -> dict[str, str]:
    """The environment of a side, with the original's command lines on its path."""
    made = environment(threads)
    return made | {"PYTHONPATH": os.pathsep.join((made["PYTHONPATH"], str(_BENCHMARKS.parent / "classic")))}
