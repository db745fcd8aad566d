"""Verbs in processes of their own: what they said, how they ended and how much memory they took.

A fork is quick, and its memory begins where this process's ends. A new process is slow and has what a
user's has, which is what growth is measured by.
"""

from __future__ import annotations

import contextlib
import importlib
import multiprocessing
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Ended", "forked", "forked_verb", "import_verbs", "new_process"]

_ESCAPED = 70  # no exit code of attar's
_BUSY = 10  # times as long a machine may take that has other work


@dataclass(frozen=True, slots=True)
class Ended:
    """How a process ended.

    Attributes:
        code: Its exit code; None where the watchdog ended it.
        said: What it wrote to stdout and stderr.
        peak_bytes: Of its memory; of a fork, what came on top of this process's.
        cpu_s: What it computed.
    """

    code: int | None
    said: str
    peak_bytes: int
    cpu_s: float

    @property
    def broken(self) -> str:
        """What is wrong with it as the end of a verb that may refuse, "" if nothing is."""
        if self.code is None:
            return "was still at work when the watchdog came"
        lines = [line for line in self.said.splitlines() if line.startswith("attar: ")]
        if self.code not in (0, 2, 3) or "Traceback" in self.said or "a bug of attar" in self.said:
            return f"exit code {self.code}, said {self.said[-300:]!r}"
        if self.code and len(lines) != 1:
            return f"said {len(lines)} lines: {self.said[-300:]!r}"
        return ""


def import_verbs() -> None:
    """Import what the verbs do within themselves, so that no fork has to."""
    for name in (
        "attar.pipeline", "attar.records.prepare", "attar.scoring.stage", "attar.compare.stage",
        "attar.terms.stage", "attar.evaluation.stage", "attar.serving.server", "attar.training.stage",
        "attar.distillation.stage", "attar.export.stage", "openpyxl", "pyarrow.parquet", "pymongo",
    ):  # fmt: skip
        importlib.import_module(name)


def forked_verb(
    arguments: Sequence[str | Path],
    folder: Path,
    *,
    seconds: float = 120,
    more_bytes: int | None = None,
    environment: Mapping[str, str] | None = None,
    before: Callable[[], object] = lambda: None,
) -> Ended:
    """Run a verb of the command line in a fork.

    Args:
        arguments: After ``attar``.
        folder: Where it runs.
        seconds: Of the processor, after which the watchdog ends it; or ten times as many by the clock.
        more_bytes: Address space that it may take beyond this process's.
        environment: More variables.
        before: Called in the fork, before the verb.
    """

    def work() -> None:
        from attar.cli import main

        os.environ.update(environment or {})
        before()
        sys.argv = ["attar", *map(str, arguments)]
        main()

    return forked(work, folder, seconds=seconds, more_bytes=more_bytes)


def forked(
    work: Callable[[], object], folder: Path, *, seconds: float = 120, more_bytes: int | None = None
) -> Ended:
    """Do something in a fork; an exception of its own that escapes ends as no verb does."""
    answer = folder.with_name(f"{folder.name}.answer")
    process = multiprocessing.get_context("fork").Process(
        target=_in_fork, args=(work, folder, answer, more_bytes), daemon=True
    )
    process.start()
    end = time.monotonic() + _BUSY * seconds
    while process.is_alive() and time.monotonic() < end and _cpu_s(process.pid) < seconds:
        process.join(1.0)
    code = process.exitcode
    if process.is_alive():
        process.kill()
        process.join()
        code = None
    said, _, facts = answer.read_text("utf-8", "replace").rpartition("\0")
    answer.unlink()
    if code is None or code < 0 or not facts:
        return Ended(code, said or facts, 0, 0.0)
    peak, cpu = facts.split()
    return Ended(code, said, int(peak), float(cpu))


def _in_fork(work: Callable[[], object], folder: Path, answer: Path, more_bytes: int | None) -> None:
    os.chdir(folder)
    out = os.open(answer, os.O_CREAT | os.O_WRONLY | os.O_TRUNC | os.O_APPEND, 0o600)
    os.dup2(out, 1)
    os.dup2(out, 2)
    sys.stdout = os.fdopen(1, "w", encoding="utf-8", buffering=1)
    sys.stderr = os.fdopen(2, "w", encoding="utf-8", buffering=1)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    if more_bytes is not None:
        limit = _status("VmSize") + more_bytes
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")  # the peak starts over
    before, code = _status("VmRSS"), 0
    try:
        work()
    except SystemExit as left:
        code = left.code if isinstance(left.code, int) else int(left.code is not None)
    except BaseException as error:  # noqa: BLE001 - to be seen by who asked
        sys.stderr.write(f"Traceback: {type(error).__name__}: {error}\n")
        code = _ESCAPED
    sys.stdout.flush()
    used = resource.getrusage(resource.RUSAGE_SELF)
    facts = f"\0{max(_status('VmHWM') - before, 0)} {used.ru_utime + used.ru_stime}"
    sys.stderr.write(facts)
    sys.stderr.flush()
    os._exit(code)


_WRAPPED = """
import resource, sys
from pathlib import Path
facts, sys.argv = Path(sys.argv[1]), ["attar", *sys.argv[2:]]
from attar.cli import main
try:
    main()
finally:
    lines = Path("/proc/self/status").read_text().splitlines()
    peak = next(line.split()[1] for line in lines if line.startswith("VmHWM"))
    used = resource.getrusage(resource.RUSAGE_SELF)
    facts.write_text(f"{int(peak) * 1024} {used.ru_utime + used.ru_stime}")
"""


def new_process(
    arguments: Sequence[str | Path],
    folder: Path,
    *,
    seconds: float = 1800,
    environment: Mapping[str, str] | None = None,
) -> Ended:
    """Run a verb as a user does; its own peak of memory, and what it computed."""
    facts = folder / "facts"
    paths = os.pathsep.join(str(Path(one).resolve()) for one in sys.path if one)
    begin = time.monotonic()
    try:
        done = subprocess.run(  # noqa: S603 - our own command
            [sys.executable, "-c", _WRAPPED, str(facts), *map(str, arguments)],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, encoding="utf-8", errors="replace",
            timeout=seconds, check=False, cwd=folder,
            env=os.environ | {"PYTHONPATH": paths} | dict(environment or {}),
        )  # fmt: skip
    except subprocess.TimeoutExpired as late:
        return Ended(None, str(late.output or "")[-1000:], 0, time.monotonic() - begin)
    peak, cpu = facts.read_text().split() if facts.is_file() else ("0", "0")
    facts.unlink(missing_ok=True)
    return Ended(done.returncode, done.stdout, int(peak), float(cpu))


def _cpu_s(number: int | None) -> float:
    """What a process has computed so far, 0 once it is gone."""
    try:
        fields = Path(f"/proc/{number}/stat").read_text("utf-8").rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _status(name: str) -> int:
    """A figure of this process, in bytes."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024
    return 0
