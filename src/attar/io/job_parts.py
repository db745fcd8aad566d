"""``OUT.parts`` on the disk: its files, its manifest and its lock, for ``attar score`` and ``clean``.

``job.lock`` is held by the process that works there, ``manifest.json`` says which job it is, ``*.probs`` are
what the model said, ``rows.unfinished`` and its like what will take its place outside when it is whole, and
``*.tmp`` a file of the folder itself that is being written.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from attar.errors import RunError
from attar.io.files import read_json

__all__ = [
    "DRAFTS",
    "JOB_FORMAT",
    "MANIFEST_NAME",
    "empty_job",
    "foreign_file",
    "is_held",
    "is_left_job",
    "job_lock",
    "own_files",
    "read_manifest",
    "remove_job",
]

JOB_FORMAT = "attar-score-parts-2"
MANIFEST_NAME, LOCK_NAME = "manifest.json", "job.lock"
DRAFTS = ("rows", "rejected", "refused")
"""What is written there and will take its place outside; each as ``NAME.unfinished``."""
_OWN = re.compile(rf"job\.lock|(manifest\.json|\d{{12}}\.probs)(\.tmp)?|({'|'.join(DRAFTS)})\.unfinished")
# Before, drafts had the names of the files that they became.
_OLD_FORMAT, _OLD_DRAFT = "attar-score-parts-1", re.compile(r".+\.unfinished")
_PATIENCE_S, _PAUSE_S = 0.2, 0.01  # attar clean looks at a lock for a moment


def read_manifest(folder: Path) -> dict[str, Any] | None:
    """What the manifest of a folder says; None if there is none of attar's."""
    try:
        value = read_json(folder / MANIFEST_NAME)
    except (OSError, ValueError):
        return None
    is_ours = isinstance(value, dict) and value.get("format") in (JOB_FORMAT, _OLD_FORMAT)
    return value if is_ours else None


def own_files(folder: Path) -> list[Path]:
    """The files of a folder that a job wrote there."""
    is_old = (read_manifest(folder) or {}).get("format") == _OLD_FORMAT
    return [
        one
        for one in sorted(folder.iterdir())
        if (_OWN.fullmatch(one.name) or (is_old and _OLD_DRAFT.fullmatch(one.name)))
        and one.is_file()
        and not one.is_symlink()
    ]


def foreign_file(folder: Path) -> str | None:
    """The name of something in the folder that no job wrote there; None for nothing."""
    own = {one.name for one in own_files(folder)}
    return next((one.name for one in sorted(folder.iterdir()) if one.name not in own), None)


def is_left_job(folder: Path) -> bool:
    """Whether a folder is one of a job, and no process holds it.

    A job that was killed before it wrote its manifest leaves the lock, and nothing of anybody else's.
    """
    if folder.is_symlink() or not (folder / LOCK_NAME).is_file():
        return False
    if read_manifest(folder) is None and foreign_file(folder) is not None:
        return False
    return not is_held(folder)


def is_held(folder: Path) -> bool:
    """Whether a process is at work in the folder of a job, or its lock cannot be asked for."""
    try:
        with (folder / LOCK_NAME).open("rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    return False


@contextlib.contextmanager
def job_lock(folder: Path) -> Iterator[None]:
    """Hold the folder of a job, which is made if it is not there; the lock goes with the process.

    Raises:
        RunError: Another process holds it.
        OSError: The disk.
    """
    deadline = time.monotonic() + _PATIENCE_S
    while True:
        folder.mkdir(parents=True, exist_ok=True)
        try:
            lock = (folder / LOCK_NAME).open("w")
        except FileNotFoundError:  # the folder was removed just now
            if time.monotonic() > deadline:
                raise
            continue
        except OSError:
            with contextlib.suppress(OSError):  # if it is empty, it is of no use
                folder.rmdir()
            raise
        with lock:
            if not _acquired(lock):
                if time.monotonic() > deadline:
                    raise RunError(
                        f"{folder}: another attar score is at work there; wait for it, or name another --out"
                    )
                time.sleep(_PAUSE_S)
                continue
            with contextlib.suppress(FileNotFoundError):  # it was removed by who held it before
                if os.fstat(lock.fileno()).st_ino == (folder / LOCK_NAME).stat().st_ino:
                    yield
                    return


def _acquired(lock: IO[str]) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def empty_job(folder: Path) -> None:
    """Remove what a job wrote in its folder, which the caller holds, but for the manifest and the lock."""
    for one in own_files(folder):
        if one.name not in (MANIFEST_NAME, LOCK_NAME):
            one.unlink(missing_ok=True)


def remove_job(folder: Path) -> None:
    """Remove the folder of a job, which the caller holds, unless something of somebody else's is in it."""
    empty_job(folder)
    for name in (MANIFEST_NAME, LOCK_NAME):
        (folder / name).unlink(missing_ok=True)
    with contextlib.suppress(OSError):
        folder.rmdir()
