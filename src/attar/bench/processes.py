"""A side in a process of its own: requests and replies are lines of JSON on its stdin and stdout.

``SideProcess`` is the caller's end, ``Requests`` the process's. Imports little, so that a process
whose start is timed does not pay for the stopwatch.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TextIO

from attar.errors import AttarError

__all__ = ["Lap", "Memory", "Requests", "SideProcess", "memory"]


class Lap(NamedTuple):
    """What one call took: wall time, and CPU time of all threads of its process."""

    wall_s: float
    cpu_s: float


class Memory(NamedTuple):
    """Resident bytes of a process: now, and at their peak."""

    resident_bytes: int
    peak_bytes: int


class SideProcess:
    """A process that serves requests; it ends when it is closed.

    Args:
        name: What messages call it.
        command: Starts it.
        env: Its environment.
        cwd: Its working folder.
        log: Gets its stderr.
    """

    def __init__(
        self, name: str, command: Sequence[str], *, env: Mapping[str, str], cwd: Path, log: TextIO
    ) -> None:
        self.name = name
        self._process = subprocess.Popen(  # noqa: S603 - the caller's own program
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            env=dict(env),
            cwd=cwd,
        )

    def ask(self, do: str, **request: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
        """Send a request and wait for the reply.

        Raises:
            AttarError: The process has ended.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps({"do": do, **request}) + "\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            raise AttarError(f"side {self.name}: its process ended; see sides.log in the output folder")
        reply: dict[str, Any] = json.loads(line)
        return reply

    def run(self, count: int) -> Lap:
        """Let it answer the next ``count`` of its examples; see ``attar.bench.timing.Timed``."""
        return Lap(**self.ask("run", count=count))

    def close(self) -> None:
        """End the process, if it has not ended."""
        if self._process.returncode is None:
            self._process.communicate()


class Requests:
    """The requests of a ``SideProcess``, one after the other, until its stdin ends.

    From here on what libraries print goes to stderr: stdout belongs to the replies.
    """

    def __init__(self) -> None:
        self._replies = os.fdopen(os.dup(1), "w", encoding="utf-8")
        os.dup2(2, 1)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        while (request := self.next()) is not None:
            yield request

    def next(self) -> dict[str, Any] | None:
        """Wait for a request; None when there will be no more."""
        line = sys.stdin.readline()
        return json.loads(line) if line else None

    def reply(self, value: Mapping[str, Any]) -> None:
        """Answer the last request."""
        self._replies.write(json.dumps(value) + "\n")
        self._replies.flush()


def memory() -> Memory:
    """Memory of this process; without /proc, its peak as both."""
    try:
        status = Path("/proc/self/status").read_text("ascii")
    except OSError:
        import resource

        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        peak *= 1 if sys.platform == "darwin" else 1024
        return Memory(peak, peak)
    # Not ru_maxrss: Linux lets a new process inherit that of the one that started it.
    sizes = {line.split(":")[0]: line.split()[1] for line in status.splitlines() if line.endswith("kB")}
    return Memory(int(sizes["VmRSS"]) * 1024, int(sizes["VmHWM"]) * 1024)
