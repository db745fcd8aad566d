"""Run folders: one folder a stage, stamped with what it was made from.

The stamp holds the stage's inputs (its settings and the hashes of what it read) and, once it is
finished, the hashes of what it wrote. A finished stage with the same inputs and whole files is up to
date; an interrupted one with the same inputs resumes; one made from other inputs is rebuilt. Stamps
stand beside the folders, in ``.attar/``, so that an artifact holds nothing but the artifact.

Under torchrun the first process writes the folders and stamps for all; the others compute along
with it where a stage is shared work, and wait for its stamp.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import shutil
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from attar.errors import RecipeError, RunError
from attar.io.files import content_hash, file_hash, read_json, write_json

__all__ = ["fingerprint", "is_finished", "is_first_process", "locked", "run_stage"]

_LOG = logging.getLogger(__name__)
_STAMPS = ".attar"
# What only accompanies a result; earlier versions made folders of these names too.
_NOT_HASHED = ("tensorboard", "teacher-answers", "state", "pieces")
_POLL_SECONDS = 0.2


def run_stage(
    folder: Path,
    name: str,
    inputs: Mapping[str, Any],
    work: Callable[[], object],
    *,
    earlier: Mapping[str, Any] | None = None,
    shared: bool = False,
    in_place: bool = False,
) -> bool:
    """Do a stage's work unless its folder already holds the result.

    Args:
        folder: Belongs to the stage alone; emptied if it was made from other inputs.
        name: The verb, for messages.
        inputs: Everything that the result depends on, as JSON.
        work: Writes the result into the folder.
        earlier: The same inputs as an earlier version of attar wrote them; a folder made from these is
            as good, and its stamp is brought up to date.
        shared: Whether all processes of a torchrun launch do the work together.
        in_place: Whether the work replaces the stage's earlier result itself, whole or not at all; that
            result then stays until it does, and for good if it fails.

    Returns:
        Whether the work was done (False: it was up to date).

    Raises:
        RunError: The folder holds files that no stage of attar wrote, or another process is at work
            in it.
    """
    stamp = _stamp_of(folder)
    now, then = (content_hash({"stage": name, "inputs": each}) for each in (inputs, earlier or inputs))
    draft = {"stage": name, "fingerprint": now, "inputs": inputs, "outputs": None}
    same = {now, then}
    if not is_first_process():
        return _follow(folder, same, work if shared else None)
    with locked(folder):
        before = _read_stamp(stamp)
        _check_own(folder, before)
        if before is not None and _is_done(folder, same):
            _LOG.info("%s: up to date: %s", name, folder)
            if before["fingerprint"] != now:
                write_json(stamp, before | {"fingerprint": now, "inputs": inputs})
            return False
        kept = before if before is not None and in_place and before["stage"] == name else None
        if before is not None and before["fingerprint"] in same:
            _LOG.info("%s: resuming in %s", name, folder)
        elif before is not None:
            _LOG.info("%s: inputs changed, rebuilding %s", name, folder)
            if kept is None:
                _empty(folder)
        _run(folder, work, draft, kept)
        return True


def _run(
    folder: Path, work: Callable[[], object], draft: Mapping[str, Any], kept: Mapping[str, Any] | None
) -> None:
    """Do the work between two stamps; if it fails, the stamp of what is kept comes back."""
    stamp, started = _stamp_of(folder), time.monotonic()
    write_json(stamp, draft)
    try:
        work()
    except BaseException:
        if kept is not None:
            write_json(stamp, kept)
        raise
    seconds = round(time.monotonic() - started, 1)
    write_json(stamp, {**draft, "outputs": _outputs(folder), "seconds": seconds})
    _LOG.info("%s: done in %.0f s -> %s", draft["stage"], seconds, folder)


def _check_own(folder: Path, stamp: Mapping[str, Any] | None) -> None:
    foreign = [path.name for path in folder.iterdir()]
    if stamp is None and foreign:
        raise RunError(
            f"{folder} is not empty ({', '.join(sorted(foreign)[:5])}) and was not written by attar; "
            "name another folder with --out"
        )


def is_finished(folder: Path) -> bool:
    """Whether a stage finished in a folder, whatever it was made from."""
    stamp = _read_stamp(_stamp_of(folder))
    return stamp is not None and stamp["outputs"] is not None


def is_first_process() -> bool:
    """Whether this process is the only one, or the first of a torchrun launch."""
    return os.environ.get("RANK", "0") == "0"


def _follow(folder: Path, same: Collection[str], work: Callable[[], object] | None) -> bool:
    """What the other processes of a launch do: what is shared, then wait for the first one's stamp."""
    up_to_date = _is_done(folder, same)
    if not up_to_date and work is not None:
        work()
    while not _is_done(folder, same):
        time.sleep(_POLL_SECONDS)
    return not up_to_date


def fingerprint(path: Path) -> str:
    """Hash of what a stage reads: a file's bytes, a finished stage's outputs, or a folder's files.

    Raises:
        RecipeError: There is nothing at ``path``.
        RunError: A stage in it did not finish.
    """
    if path.is_file():
        return file_hash(path)
    if not path.is_dir():
        raise RecipeError(f"{path} does not exist")
    stamp = _read_stamp(_stamp_of(path))
    if stamp is not None:
        if stamp["outputs"] is None:
            raise RunError(f"{path}: the stage {stamp['stage']!r} did not finish; run it again to resume")
        there = [name for name in stamp["outputs"] if (path / name).is_file()]
        return content_hash({name: file_hash(path / name) for name in there})
    return content_hash(_outputs(path))


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold a folder for one process at a time; the lock goes with the process, however it ends.

    Raises:
        RunError: Another process holds it, or a file stands in its place.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        raise RunError(f"{folder}: a file stands where the folder should go; choose another name") from error
    lock = _stamp_of(folder).with_suffix(".lock")
    lock.parent.mkdir(exist_ok=True)
    with lock.open("w") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise RunError(
                f"{folder}: another attar process is at work there; wait for it, or name another folder"
            ) from error
        yield


def _stamp_of(folder: Path) -> Path:
    whole = folder.resolve()
    return whole.parent / _STAMPS / f"{whole.name}.json"


def _read_stamp(stamp: Path) -> dict[str, Any] | None:
    try:
        value = read_json(stamp)
    except (OSError, ValueError):
        return None
    return value if isinstance(value, dict) and "fingerprint" in value and "outputs" in value else None


def _outputs(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    names = [path.relative_to(folder) for path in files]
    return {name.as_posix(): file_hash(folder / name) for name in names if name.parts[0] not in _NOT_HASHED}


def _is_done(folder: Path, same: Collection[str]) -> bool:
    """Whether a stage with one of these fingerprints finished here and its files are as it left them."""
    stamp = _read_stamp(_stamp_of(folder))
    if stamp is None or stamp["fingerprint"] not in same or stamp["outputs"] is None:
        return False
    files = {folder / name: was for name, was in stamp["outputs"].items()}
    return all(path.is_file() and file_hash(path) == was for path, was in files.items())


def _empty(folder: Path) -> None:
    for path in folder.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
