"""Stamps: what a folder was made from, and which of its files attar wrote.

A stamp is ``.attar/stamp.json`` within the folder, so that it goes wherever the folder goes. Earlier
versions kept it beside the folder, as ``.attar/NAME.json``; such a stamp is read if the folder is the one
that it describes and not a new one of the same name. ``attar.stage_cache`` decides what follows.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from attar.io.files import file_hash, read_json, write_json

__all__ = [
    "STAMP_FOLDER",
    "STATE_FOLDER",
    "UNFINISHED",
    "adopt_earlier_stamp",
    "beside",
    "drop_state",
    "earlier_stamp",
    "has_results",
    "is_own_file",
    "is_resumable",
    "is_whole",
    "output_hashes",
    "read_stamp",
    "stamp_path",
    "stamp_sizes",
    "write_draft_stamp",
    "write_stamp",
]

STATE_FOLDER = "state"
"""What a training resumes from; a finished stage has none."""

STAMP_FOLDER = ".attar"
UNFINISHED = "unfinished.json"
"""A second stamp in a draft, in sight: folders whose name begins with a dot are easily lost in a copy."""

_STAMP = "stamp.json"
# What only accompanies a result; earlier versions made folders of these names too.
_RESUMED = ("teacher-answers", STATE_FOLDER, "pieces")
_NOT_HASHED = (*_RESUMED, "tensorboard", STAMP_FOLDER)
# What a stage of an earlier version, which worked in its folder itself, leaves when it is killed.
_LEFT_UNFINISHED = {*_NOT_HASHED, "metrics.jsonl", "rejected.jsonl", "repaired.jsonl"}


def stamp_path(folder: Path) -> Path:
    """Where the stamp of a folder is."""
    return folder / STAMP_FOLDER / _STAMP


def read_stamp(folder: Path) -> dict[str, Any] | None:
    """The stamp within a folder, of a draft either of its two; None if there is none, or it is damaged."""
    found = _read(stamp_path(folder))
    return found if found is not None else _read(folder / UNFINISHED)


def earlier_stamp(folder: Path) -> dict[str, Any] | None:
    """The stamp that an earlier version left beside a folder; None if there is none or it is another's.

    A folder is the stamp's own if a file that the stamp lists is there unchanged, or, where the stage
    did not finish, if anything is there that an unfinished stage leaves.
    """
    stamp = _read(_beside(folder, ".json"))
    if stamp is None or not folder.is_dir():
        return None
    there = {path.name for path in folder.iterdir()}
    if stamp["outputs"] is None:
        own = bool(there & _LEFT_UNFINISHED)
    else:
        own = any(_is_same(folder / name, was) for name, was in stamp["outputs"].items())
    return stamp if own or not there else None


def adopt_earlier_stamp(folder: Path, stamp: Mapping[str, Any]) -> None:
    """Put a stamp that stood beside a folder into it."""
    write_stamp(folder, stamp)
    for ending in (".json", ".lock"):
        _beside(folder, ending).unlink(missing_ok=True)


def write_stamp(folder: Path, stamp: Mapping[str, Any]) -> None:
    """Write a folder's stamp, whole or not at all."""
    write_json(stamp_path(folder), stamp)


def write_draft_stamp(draft: Path, stamp: Mapping[str, Any]) -> None:
    """Write both stamps of a draft; either is enough to resume it."""
    write_stamp(draft, stamp)
    write_json(draft / UNFINISHED, stamp)


def beside(folder: Path, kind: str) -> Path:
    """The neighbour of a folder that holds its ``draft``, or what was ``replaced``."""
    return folder.with_name(f"{folder.name}.{kind}")


def drop_state(folder: Path) -> None:
    """Remove what a training that is over would have resumed from.

    Not in the draft of a stage: a kill before the draft is stamped as whole would cost the whole training.
    There the stage does it after that.
    """
    if not (folder / UNFINISHED).exists():
        shutil.rmtree(folder / STATE_FOLDER, ignore_errors=True)


def has_results(draft: Path) -> bool:
    """Whether a draft holds more than its stamps."""
    return any(path.name not in (STAMP_FOLDER, UNFINISHED) for path in draft.iterdir())


def is_resumable(draft: Path) -> bool:
    """Whether a draft holds what took long to compute: states of a training, cached logits, token ids."""
    return any((draft / name).is_dir() for name in _RESUMED)


def output_hashes(folder: Path) -> dict[str, str]:
    """SHA-256 by name of every file of a folder that is a result."""
    names = [name for name in stamp_sizes(folder) if name.partition("/")[0] not in _NOT_HASHED]
    return {name: file_hash(folder / name) for name in names}


def stamp_sizes(folder: Path) -> dict[str, int]:
    """Bytes by name of every file of a folder; stamps, also of folders in it, and states aside."""
    sizes = {}
    for base, folders, files in os.walk(folder):
        within = Path(base).relative_to(folder)
        folders[:] = [
            name for name in folders if name != STAMP_FOLDER and (within / name) != Path(STATE_FOLDER)
        ]
        for name in files:
            path = folder / within / name
            if path.is_file() and (within, name) != (Path(), UNFINISHED):
                sizes[(within / name).as_posix()] = path.stat().st_size
    return dict(sorted(sizes.items()))


def is_whole(folder: Path, stamp: Mapping[str, Any] | None, same: Collection[str]) -> bool:
    """Whether a stage with one of these fingerprints finished here and its files are as it left them."""
    if stamp is None or stamp["fingerprint"] not in same or stamp["outputs"] is None:
        return False
    return all(_is_same(folder / name, was) for name, was in stamp["outputs"].items())


def is_own_file(folder: Path, name: str, stamp: Mapping[str, Any]) -> bool:
    """Whether a stage wrote a file of its folder and nobody changed it since."""
    path = folder / name
    if name in (stamp["outputs"] or {}):
        return _is_same(path, stamp["outputs"][name])
    if "sizes" in stamp:
        return bool(path.is_file() and stamp["sizes"].get(name) == path.stat().st_size)
    return name.partition("/")[0] in _NOT_HASHED  # an earlier version did not list these


def _beside(folder: Path, ending: str) -> Path:
    whole = folder.resolve()
    return whole.parent / STAMP_FOLDER / f"{whole.name}{ending}"


def _is_same(path: Path, was: str) -> bool:
    return path.is_file() and file_hash(path) == was


def _read(path: Path) -> dict[str, Any] | None:
    try:
        value = read_json(path)
    except (OSError, ValueError):
        return None
    if not isinstance(value, dict) or not {"stage", "fingerprint", "outputs"} <= value.keys():
        return None
    outputs = value["outputs"]
    return value if outputs is None or isinstance(outputs, dict) else None
