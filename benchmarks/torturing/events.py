"""The changes that a process makes within a folder, one by one, and its death at any of them.

Python tells of most by its audit hook before they happen. What libraries do by themselves is told of by
wrappers: PyTorch's and safetensors' files and the parts of a job, of which a killed process leaves a
beginning, and the exchange of two names.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

__all__ = ["Events"]

_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT
# Where in an event's arguments the path is, and where the handle of the folder that it is relative to.
_AUDITED = {
    "os.rename": (0, 2),
    "os.remove": (0, 1),
    "os.mkdir": (0, 2),
    "os.rmdir": (0, 1),
    "os.truncate": (0, None),
}


class Events:
    """Counts changes within a folder.

    Args:
        folder: Absolute.
        kill_at: The process is killed at this one, from 1; 0 lets it live.
        share: Of a file that is being saved at that one, how much is there afterwards.

    Attributes:
        seen: Each change with the path within the folder.
    """

    def __init__(self, folder: str, kill_at: int, share: float) -> None:
        self.seen: list[str] = []
        self._prefix, self._kill_at, self._share = folder.rstrip("/") + "/", kill_at, share
        self._on = False

    def start(self) -> None:
        """Count from now on; of a process that is for this alone, for nothing undoes it."""
        sys.addaudithook(self._audited)
        self._wrap("torch", "save", 1)
        self._wrap("transformers.modeling_utils", "safe_save_file", 1)
        self._wrap("attar.io.publish", "exchange", 0, is_file=False)
        self._wrap_parts()
        self._on = True

    def stop(self) -> None:
        """Count no more."""
        self._on = False

    def _audited(self, name: str, arguments: tuple[Any, ...]) -> None:
        if not self._on:
            return
        if name == "open":
            path, _, flags = arguments
            if isinstance(path, str) and flags & _WRITING:
                self._count(f"open {path}", path)
        elif name in _AUDITED:
            at, folder = _AUDITED[name]
            path = os.fspath(arguments[at])
            if folder is not None and isinstance(arguments[folder], int) and arguments[folder] >= 0:
                path = os.path.join(os.readlink(f"/proc/self/fd/{arguments[folder]}"), path)  # noqa: PTH115, PTH118
            if isinstance(path, str):
                self._count(name, path)

    def _count(self, name: str, path: str) -> bool:
        """Note a change; kill where it is the one. Whether a file was to be saved then, its writer kills."""
        if not path.startswith(self._prefix):
            return False
        self.seen.append(f"{name.partition(' ')[0]} {path.removeprefix(self._prefix)}")
        is_the_one = len(self.seen) == self._kill_at
        if is_the_one and not name.startswith("save"):
            _kill()
        return is_the_one

    def _wrap(self, module: str, name: str, at: int, *, is_file: bool = True) -> None:
        """Count the calls of a function, if its module was imported."""
        found = sys.modules.get(module)
        if found is None:
            return
        real: Callable[..., Any] = getattr(found, name)

        def call(*arguments: Any, **more: Any) -> Any:  # noqa: ANN401
            path = str(arguments[at])
            if self._count("save" if is_file else name, path):
                real(*arguments, **more)
                os.truncate(path, int(self._share * os.stat(path).st_size))  # noqa: PTH116
                _kill()
            return real(*arguments, **more)

        setattr(found, name, call)

    def _wrap_parts(self) -> None:
        """Count the writes of a job's parts; one that is killed within leaves the beginning of a draft."""
        from attar.scoring import cached_probs, job_folder

        real = job_folder.write_whole

        def write(path: Path, content: bytes) -> None:
            if self._on and self._count("save", str(path)):
                path.with_name(f"{path.name}.tmp").write_bytes(content[: int(self._share * len(content))])
                _kill()
            real(path, content)

        for module in (cached_probs, job_folder):
            vars(module)["write_whole"] = write


def _kill() -> NoReturn:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError
