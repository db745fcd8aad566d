"""Locks: one process at a time works on a folder."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from attar.errors import RunError
from attar.io.stamps import STAMP_FOLDER

__all__ = ["locked"]

_MOST_ATTEMPTS = 1000


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold a folder for one process at a time; the lock goes with the process, however it ends.

    Raises:
        RunError: Another process holds it, or a file stands in its place.
    """
    whole = folder.resolve()
    lock = whole.parent / STAMP_FOLDER / f"{whole.name}.lock"
    stream = _acquire(folder, lock)
    try:
        yield
    finally:
        lock.unlink(missing_ok=True)
        stream.close()
        with contextlib.suppress(OSError):  # others use it
            lock.parent.rmdir()


def _acquire(folder: Path, lock: Path) -> IO[str]:
    attempts = _MOST_ATTEMPTS
    while True:
        try:
            lock.parent.mkdir(parents=True, exist_ok=True)
            stream = lock.open("w")
        except FileNotFoundError:
            attempts -= 1
            if not attempts:
                raise  # nothing can be made there, as in /proc
            continue  # its folder was removed by a process that ended just now
        except (FileExistsError, NotADirectoryError) as error:
            raise RunError(
                f"{folder}: a file stands where the folder should go; choose another name"
            ) from error
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            stream.close()
            raise RunError(
                f"{folder}: another attar process is at work there; wait for it, or name another folder"
            ) from error
        with contextlib.suppress(FileNotFoundError):
            if os.fstat(stream.fileno()).st_ino == lock.stat().st_ino:
                return stream
        stream.close()  # the file of a process that ended just now
