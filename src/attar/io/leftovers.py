"""What killed processes left: drafts, results on their way out, parts of jobs and temporary files.

Nothing is listed that attar did not write: a folder by its stamp, its manifest or its name of attar's own,
a file by the name that ``attar.io.files.atomic_write`` gives.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from attar.io.folders import INCOMING
from attar.io.job_parts import is_left_job, own_files
from attar.io.stamps import STAMP_FOLDER, read_stamp

__all__ = ["Leftover", "leftovers"]

_TEMPORARY = re.compile(r"\..*\.attar-[0-9a-f]{8}(\..*)?|\.attar-[0-9a-f]{8}")
_INNER_DRAFT = re.compile(r"\..+\.draft")  # the same as INCOMING, as earlier versions called it
_INNER_FILES = {
    "config.json",
    "model.safetensors",
    "tokenizer.json",
    "attar.json",
    "model.onnx",
    "checks.json",
}
_INNER_FILES |= {"README.md", "generation_config.json"}
_JOB_ENDING = ".parts"
_OF_STAGES = {".draft": "an unfinished", ".replaced": "the earlier result of"}
_NOT_LOOKED_INTO = {".git", ".venv", "node_modules", "__pycache__"}


class Leftover(NamedTuple):
    """Something that a killed process left.

    Attributes:
        path: A file or a folder.
        what: What it is, and whose.
        belongs_to: The folder whose lock a process holds while it works on it.
        num_bytes: Its size, with all that is in it; of a job's folder, what the job wrote there.
        age_s: Seconds since anything in it was written.
        is_job: Whether it is the folder of a job, which has a lock of its own.
    """

    path: Path
    what: str
    belongs_to: Path
    num_bytes: int
    age_s: float
    is_job: bool = False


def leftovers(folder: Path) -> Iterator[Leftover]:
    """All that killed processes left in a folder, at whatever depth; links are not followed."""
    for base, folders, files in os.walk(folder):
        here = Path(base)
        found = {name: _of_folder(here / name) for name in sorted(folders)}
        folders[:] = [name for name in found if found[name] is None and name not in _NOT_LOOKED_INTO]
        yield from filter(None, found.values())
        for name in sorted(files):
            if _TEMPORARY.fullmatch(name) and not (here / name).is_symlink():
                yield _leftover(here / name, "a file that was being written", here)


def _of_folder(path: Path) -> Leftover | None:
    """What a folder is if it is a leftover."""
    name, parent = path.name, path.parent
    if path.is_symlink():
        return None
    if name.endswith(_JOB_ENDING) and is_left_job(path):
        what = f"what an unfinished job computed for {name.removesuffix(_JOB_ENDING)}"
        return _leftover(path, what, path, own_files(path))._replace(is_job=True)
    if path.suffix in _OF_STAGES and (found := _of_stage(path)):
        return found
    if name.endswith(".fetched") and parent.name == STAMP_FOLDER:
        of = name.removesuffix(".fetched")
        return _leftover(path, f"an unfinished fetch for {of}", parent.parent / of)
    if (name == INCOMING or _INNER_DRAFT.fullmatch(name)) and _holds_model_alone(path):
        of = name.removeprefix(".").removesuffix(".draft").removesuffix(".draft")
        belongs_to = parent if name == INCOMING else parent / of
        return _leftover(path, "a model that was being written", belongs_to)
    return None


def _of_stage(path: Path) -> Leftover | None:
    stamp = read_stamp(path)
    if stamp is not None:
        return _leftover(path, f"{_OF_STAGES[path.suffix]} {stamp['stage']!r}", path.with_suffix(""))
    if path.suffix == ".draft" and _has_not_begun(path):
        return _leftover(path, "a stage that had not begun", path.with_suffix(""))
    return None


def _has_not_begun(draft: Path) -> bool:
    """Whether a kill came before the first stamp of a draft was whole: its folder alone is there."""
    stamps = draft / STAMP_FOLDER
    if stamps.is_symlink() or not stamps.is_dir() or any(one != stamps for one in draft.iterdir()):
        return False
    return all(_TEMPORARY.fullmatch(one.name) for one in stamps.iterdir())


def _holds_model_alone(folder: Path) -> bool:
    """Whether all of a folder's files are those of a checkpoint or an artifact, whole or half-written."""
    return all(one.name in _INNER_FILES or _TEMPORARY.fullmatch(one.name) for one in folder.iterdir())


def _leftover(path: Path, what: str, belongs_to: Path, within: Sequence[Path] | None = None) -> Leftover:
    size, newest = 0, 0.0
    if within is None:
        within = () if path.is_file() else list(path.rglob("*"))
    for place in (path, *within):
        try:
            state = place.lstat()
        except FileNotFoundError:  # a process is at work there
            continue
        size += 0 if place.is_dir() else state.st_size
        newest = max(newest, state.st_mtime)
    return Leftover(path, what, belongs_to, size, max(0.0, time.time() - newest))
