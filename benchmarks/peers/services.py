"""Services in processes of their own, for benchmarks/service.py and benchmarks/service_faults.py."""

from __future__ import annotations

import contextlib
import io
import os
import signal
import subprocess
import tarfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

__all__ = ["Service", "attar_serve", "cpu_s", "resident_bytes", "running", "tree_of"]

_ROOT = Path(__file__).resolve().parents[2]
_READY_S = 300


class Service(NamedTuple):
    """A service that answers."""

    port: int
    process: subprocess.Popen[str]
    log: Path


def attar_serve(python: str, artifact: Path, *options: str) -> list[str]:
    """The command of ``attar serve`` on a free port."""
    start = "from attar.cli import main; main()"
    return [python, "-c", start, "serve", str(artifact), "--port", "0", *options]


@contextlib.contextmanager
def running(command: Sequence[str], log: Path, tree: Path = _ROOT) -> Iterator[Service]:
    """A service, from when it is ready; ended by SIGTERM.

    Args:
        command: Prints the address.
        log: Gets its stderr.
        tree: Of the attar that it imports.
    """
    paths = [str(tree / "src"), str(_ROOT / "benchmarks")]
    with log.open("w", encoding="utf-8") as file:
        process = subprocess.Popen(  # noqa: S603 - our own services
            command,
            stdout=subprocess.PIPE,
            stderr=file,
            text=True,
            env=os.environ | {"PYTHONPATH": ":".join(paths)},
        )
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            if not line:
                raise RuntimeError(f"{command[-1]} did not start; see {log}")
            port = int(line.rpartition(":")[2].split(",")[0])
            _wait_until_ready(port)
            yield Service(port, process, log)
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
                code = process.wait(_READY_S)
                if code not in (0, -signal.SIGTERM):  # other services do not drain
                    raise RuntimeError(f"{command[-1]} ended with {code}; see {log}")


def tree_of(commit: str, folder: Path) -> Path:
    """The sources of a commit of this repository, put into a folder once."""
    tree = folder / f"tree-{commit}"
    if not (tree / "src" / "attar").is_dir():
        tree.mkdir(parents=True, exist_ok=True)
        packed = subprocess.run(  # noqa: S603 - the caller's own commit
            ["git", "-C", str(_ROOT), "archive", "--", commit, "src"],  # noqa: S607
            capture_output=True,
            check=True,
        ).stdout
        with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
            archive.extractall(tree, filter="data")
    return tree


def cpu_s(pid: int) -> float:
    """Seconds of CPU that a process has had."""
    ticks = Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()[11:13]
    return sum(map(int, ticks)) / os.sysconf("SC_CLK_TCK")


def resident_bytes(pid: int) -> int:
    """Memory that a process has now."""
    pages = Path(f"/proc/{pid}/statm").read_text("ascii").split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


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
