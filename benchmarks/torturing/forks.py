"""Commands of attar in forks of a process that has imported everything: quick, and killed to the moment.

``Forks`` starts ``python -m torturing.fork_server``, whose memory is of no thread and no model, and asks
it for one command after the other.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

__all__ = ["Done", "Forks", "Kill"]

_LIMIT_S = 300
_FOLDER = Path(__file__).resolve().parents[1]


@dataclass(frozen=True, slots=True)
class Kill:
    """When a command gets ``kill -9`` or another signal: at a moment, or before a change of files.

    Attributes:
        after_s: Seconds after its start.
        number: The signal's, at a moment; the command may then end by itself.
        at_event: Number of a change within the folder, from 1.
        share: Of a file that was being saved then, how much is there.
    """

    after_s: float | None = None
    at_event: int | None = None
    share: float = 0.5
    number: int = signal.SIGKILL


@dataclass(frozen=True, slots=True)
class Done:
    """How a command ended.

    Attributes:
        code: Its exit code; minus a signal's number; None where it never ended.
        said: What it wrote to stdout and stderr.
        seconds: It took.
        events: Every change that it made within the folder, where one was to be watched.
    """

    code: int | None
    said: str
    seconds: float
    events: tuple[str, ...] = ()

    @property
    def was_killed(self) -> bool:
        """Whether ``kill -9`` came before its end."""
        return self.code == -9

    def fault(self, *codes: int) -> str:
        """What is wrong with the end of a command that should give one of some codes; "" for nothing.

        An error is one line, and never a trace or a bug; but what the command line cannot even read is told
        with its usage.
        """
        lines = [line for line in self.said.splitlines() if line.startswith("attar: ")]
        if self.code is None:
            return f"it did not end in {_LIMIT_S} s"
        if self.code not in codes or "Traceback" in self.said or "a bug of attar" in self.said:
            return f"exit code {self.code}, said {self.said[-400:]!r}"
        if self.code and len(lines) != 1 and not self.said.startswith("Usage: "):
            return f"it said {len(lines)} lines of error: {self.said[-400:]!r}"
        return ""


class Forks:
    """A server of forks; a context manager.

    Args:
        with_models: Whether commands that train and export are among those to come: what they import takes
            seconds.
    """

    def __init__(self, *, with_models: bool = True) -> None:
        self.with_models = with_models

    def __enter__(self) -> Forks:
        self._folder = tempfile.TemporaryDirectory(prefix="attar-forks-")
        paths = os.pathsep.join([str(_FOLDER), *(str(Path(one).resolve()) for one in sys.path if one)])
        quiet = {"OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false", "HF_HUB_OFFLINE": "1"}
        self._server = subprocess.Popen(  # noqa: S603 - our own command
            [sys.executable, "-m", "torturing.fork_server", *(["--models"] if self.with_models else [])],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env=os.environ | quiet | {"PYTHONPATH": paths},
        )  # fmt: skip
        self._read()  # that it is ready
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        self._server.stdin.close()
        self._server.wait()
        self._server.stdout.close()
        self._folder.cleanup()

    def attar(
        self,
        arguments: Sequence[str | Path],
        cwd: Path,
        *,
        kill: Kill | None = None,
        watch: Path | None = None,
        is_room_checked: bool = True,
    ) -> Done:
        """Run a command line.

        Args:
            arguments: After ``attar``.
            cwd: Where.
            kill: When to kill it.
            watch: The folder whose changes are counted; needed for ``Kill.at_event``.
            is_room_checked: Whether a stage asks for room before it begins; else it finds out late that
                there is none, as where another process fills the disk meanwhile.
        """
        argv = ["attar", *(str(one) for one in arguments)]
        what = {"call": "attar.cli:main", "argv": argv, "is_room_checked": is_room_checked}
        return self._ask(what, cwd, kill, watch)

    def call(self, function: str, *arguments: str | Path | int, cwd: Path) -> None:
        """Call ``module:function`` in a fork, to make something that needs imports which take seconds.

        Raises:
            RuntimeError: It failed.
        """
        values = [str(one) if isinstance(one, Path) else one for one in arguments]
        done = self._ask({"call": function, "argv": ["attar"], "arguments": values}, cwd, None, None)
        if done.code:
            raise RuntimeError(f"{function}: {done.said[-1000:]}")

    def _ask(self, what: Mapping[str, object], cwd: Path, kill: Kill | None, watch: Path | None) -> Done:
        assert self._server.stdin is not None
        log = Path(self._folder.name) / "said"
        events = Path(self._folder.name) / "events"
        events.unlink(missing_ok=True)
        asked = {
            **what,
            "cwd": str(cwd), "log": str(log), "limit_s": _LIMIT_S,
            "kill_after_s": kill.after_s if kill else None,
            "signal": int(kill.number) if kill else int(signal.SIGKILL),
            "kill_at_event": kill.at_event if kill else None,
            "share": kill.share if kill else None,
            "watch": str(watch) if watch else None, "events": str(events),
        }  # fmt: skip
        self._server.stdin.write(json.dumps(asked) + "\n")
        self._server.stdin.flush()
        ended = self._read()
        said = log.read_text("utf-8", "replace")
        seen = tuple(json.loads(events.read_text("utf-8"))) if events.exists() else ()
        return Done(ended["code"], said, ended["seconds"], seen)

    def _read(self) -> Any:  # noqa: ANN401 - JSON is any
        assert self._server.stdout is not None
        line = self._server.stdout.readline()
        if not line:
            raise RuntimeError("the server of forks is gone")
        return json.loads(line)
