"""Uploaded files: held in a folder of this process, bounded in number, size and time, and then removed.

The folder is made at the first upload, in the place for temporary files, and readable by nobody else. A
file is known by an id that cannot be guessed. Whatever ends the service in an orderly way removes the
folder; what a killed service left is removed by the next one that takes an upload.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import shutil
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Literal

from attar.serving.limits import Problem

__all__ = ["DEFAULT_FILE_LIMITS", "FileLimits", "FileStore", "HeldFile", "State"]

_PREFIX = "attar-files-"
_LOCK = "lock"
_RETRY_S = 30

State = Literal["uploading", "uploaded", "waiting", "running", "done", "failed"]


@dataclass(frozen=True, slots=True)
class FileLimits:
    """Limits of uploaded files.

    Attributes:
        max_file_bytes: Longest file; 413 above it.
        max_files: Files held at once; 503 above it.
        max_file_rows: Rows of a file.
        max_row_chars: Characters of one row, all of its cells together.
        max_file_mentions: Occurrences of terms in a file.
        max_result_bytes: Size of what is written.
        upload_s: Seconds for a file to arrive; 408 above it.
        kept_s: Seconds that a file is kept after it was uploaded, or scored.
    """

    max_file_bytes: int = 64 << 20
    max_files: int = 16
    max_file_rows: int = 100_000
    max_row_chars: int = 20_000
    max_file_mentions: int = 200_000
    max_result_bytes: int = 512 << 20
    upload_s: float = 600.0
    kept_s: float = 900.0

    def __post_init__(self) -> None:
        assert min(asdict(self).values()) > 0, "a limit of 0 refuses every file"


DEFAULT_FILE_LIMITS = FileLimits()


@dataclass(slots=True, eq=False)
class HeldFile:
    """An uploaded file and what became of it.

    Attributes:
        id: Names it in requests.
        name: What the client calls it, as a file may be called.
        folder: Holds nothing else.
        ending: Of its format, ``.csv``; the name ends with it.
        columns: Names of its columns.
        state: How far it is.
        num_done: Rows scored so far.
        num_rows: Of the file; None while that is not known.
        facts: What is said of it when it is done.
        problem: Why it could not be scored, "" where it could.
        is_cancelled: Nobody wants it any more.
    """

    id: str
    name: str
    folder: Path
    ending: str
    columns: tuple[str, ...] = ()
    state: State = "uploading"
    num_done: int = 0
    num_rows: int | None = None
    facts: dict[str, object] = field(default_factory=dict)
    problem: str = ""
    is_cancelled: bool = False
    result: Path | None = None
    rejected: Path | None = None
    since: float = 0.0

    @property
    def path(self) -> Path:
        """The file as it was uploaded."""
        return self.folder / self.name


class FileStore:
    """Holds files, and does work on one after the other in a thread of its own.

    Args:
        limits: How many, and for how long.
        clock: Seconds that only grow.
    """

    def __init__(self, limits: FileLimits, clock: Callable[[], float] = time.monotonic) -> None:
        self.limits, self._clock = limits, clock
        self._held: dict[str, HeldFile] = {}
        self._waiting: deque[tuple[HeldFile, Callable[[], None]]] = deque()
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._folder: Path | None = None
        self._lock: IO[str] | None = None
        self._is_closed = False

    @property
    def num_held(self) -> int:
        """Files that are held now."""
        return len(self._held)

    @property
    def num_waiting(self) -> int:
        """Files that wait for their turn."""
        return len(self._waiting)

    def add(self, name: str, ending: str) -> HeldFile:
        """Make a place for a file.

        Raises:
            Problem: 503, there are too many.
            OSError: No folder can be made.
        """
        with self._changed:
            self._remove_old()
            if len(self._held) >= self.limits.max_files:
                raise Problem(
                    503, "too_many_files", "too many files are held; try again later", retry_after_s=_RETRY_S
                )
            one = secrets.token_urlsafe(16)
            folder = self._home() / secrets.token_hex(8)
            folder.mkdir(mode=0o700)
            held = self._held[one] = HeldFile(one, name, folder, ending, since=self._clock())
            self._start()
        return held

    def get(self, one: str) -> HeldFile:
        """The file of an id.

        Raises:
            Problem: 404, there is none.
        """
        with self._changed:
            self._remove_old()
            found = self._held.get(one)
        if found is None:
            raise Problem(
                404, "no_such_file", "no such file; files are removed a while after they are scored"
            )
        return found

    def set_state(self, held: HeldFile, state: State) -> None:
        """Say how far a file is; the time for which it is kept begins again."""
        with self._changed:
            held.state, held.since = state, self._clock()
            self._changed.notify()

    def submit(self, held: HeldFile, work: Callable[[], None]) -> None:
        """Do some work on a file when those before it are done; it must raise nothing.

        Raises:
            Problem: 409, the file is at work already, or done.
        """
        with self._changed:
            if held.state not in ("uploaded", "failed") or held.is_cancelled:
                raise Problem(409, "file_busy", f"this file is {held.state}; upload it again")
            held.state, held.num_done, held.num_rows, held.problem = "waiting", 0, None, ""
            self._waiting.append((held, work))
            self._start()
            self._changed.notify()

    def place_of(self, held: HeldFile) -> int:
        """How many files are before this one."""
        with self._changed:
            waiting = [one for one, _ in self._waiting]
            running = sum(one.state == "running" for one in self._held.values())
            return waiting.index(held) + running if held in waiting else 0

    def remove(self, held: HeldFile) -> None:
        """Forget a file; what is at work on it stops."""
        with self._changed:
            self._remove(held)

    def close(self) -> None:
        """Stop the work, and remove all files."""
        with self._changed:
            self._is_closed = True
            for held in list(self._held.values()):
                self._remove(held)
            self._changed.notify_all()
            thread, self._thread = self._thread, None
        if thread is not None:
            thread.join()
        with self._changed:
            if self._folder is not None:
                shutil.rmtree(self._folder, ignore_errors=True)
            if self._lock is not None:
                self._lock.close()
            self._folder = self._lock = None
            self._is_closed = False

    def _start(self) -> None:
        if self._thread is None and not self._is_closed:
            self._thread = threading.Thread(target=self._run, name="attar-files", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._waiting and not self._is_closed:
                    self._remove_old()
                    # A file's time begins again with each step: it is looked at more often than it ends.
                    self._changed.wait(min(30.0, self.limits.kept_s / 2))
                if self._is_closed:
                    return
                held, work = self._waiting.popleft()
                held.state = "running"
            work()
            with self._changed:
                held.since = self._clock()
                if held.is_cancelled:
                    shutil.rmtree(held.folder, ignore_errors=True)

    def _remove_old(self) -> None:
        oldest = self._clock() - self.limits.kept_s
        resting = ("uploaded", "done", "failed")
        for held in [one for one in self._held.values() if one.state in resting and one.since < oldest]:
            self._remove(held)

    def _remove(self, held: HeldFile) -> None:
        self._held.pop(held.id, None)
        held.is_cancelled = True
        self._waiting = deque(one for one in self._waiting if one[0] is not held)
        if held.state not in ("uploading", "running"):  # else whoever writes into it removes it
            shutil.rmtree(held.folder, ignore_errors=True)

    def _home(self) -> Path:
        """The folder of this process; others know by its lock that it is in use."""
        if self._folder is None:
            _remove_those_of_killed_services(Path(tempfile.gettempdir()))
            folder = Path(tempfile.mkdtemp(prefix=_PREFIX))
            self._lock = (folder / f".{_LOCK}").open("w")
            fcntl.flock(self._lock, fcntl.LOCK_EX)
            # It takes its name when it is held: a lock that is free says that its process has ended.
            (folder / f".{_LOCK}").replace(folder / _LOCK)
            self._folder = folder
        return self._folder


def _remove_those_of_killed_services(place: Path) -> None:
    for folder in place.glob(f"{_PREFIX}*"):
        # Another's, a link, or one that is being made: not ours to remove.
        with contextlib.suppress(OSError):
            if folder.is_symlink() or folder.stat().st_uid != os.getuid():
                continue
            with (folder / _LOCK).open("r+") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder)
