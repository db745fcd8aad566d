"""What is in a folder, as something that can be compared: after a kill, a full disk, a wrong command."""

from __future__ import annotations

import hashlib
import json
import os
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path

__all__ = ["difference", "hidden", "snapshot"]

Snapshot = Mapping[str, str]
"""By the path within the folder what is there."""

_TIMES = ("tensorboard",)
"""Folders whose files tell of a training's course, a new one after each resume."""

_OF_TIME = ("seconds", "crc32")  # keys of a line of metrics.jsonl; the second is a checksum of the others


def snapshot(place: Path, *, whole: bool = False) -> Snapshot:
    """What is at a place: nothing, a file, or a folder with all that is in it.

    What says when and how fast is left out, unless it is to be ``whole``: the stamps' content, TensorBoard's
    files, and the seconds in metrics.jsonl.
    """
    return dict(_entries(place, Path(), whole))


def _entries(place: Path, within: Path, whole: bool) -> Iterator[tuple[str, str]]:
    path = place / within
    try:
        state = path.lstat()
    except FileNotFoundError:
        return
    name = within.as_posix()
    if stat.S_ISLNK(state.st_mode):
        yield name, f"link to {os.readlink(path)}"  # noqa: PTH115
    elif stat.S_ISREG(state.st_mode):
        yield name, _content(path, whole)
    elif stat.S_ISDIR(state.st_mode):
        yield name, "folder"
        if whole or path.name not in _TIMES:
            for inner in sorted(one.name for one in path.iterdir()):
                yield from _entries(place, within / inner, whole)
    else:
        yield name, f"special {stat.S_IFMT(state.st_mode)}"


def _content(path: Path, whole: bool) -> str:
    content = path.read_bytes()
    if not whole and path.parent.name == ".attar":
        return "a stamp"
    if not whole and path.name == "metrics.jsonl":
        lines = [json.loads(line) for line in content.splitlines()]
        kept = [{name: value for name, value in line.items() if name not in _OF_TIME} for line in lines]
        content = json.dumps(kept).encode()
    return hashlib.sha256(content).hexdigest()


def difference(found: Snapshot, expected: Snapshot) -> str:
    """The first three names whose content is not what was expected; "" for none."""
    names = [name for name in sorted({*found, *expected}) if found.get(name) != expected.get(name)]
    shown = [
        f"{name} {'is more' if name not in expected else 'is missing' if name not in found else 'differs'}"
        for name in names[:3]
    ]
    return ", ".join(shown) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def hidden(folder: Path) -> list[Path]:
    """Everything in a folder whose name begins with a dot, ``.attar`` and what is in it aside."""
    found = []
    for base, folders, files in os.walk(folder):
        found += [Path(base) / name for name in (*folders, *files) if name[0] == "." and name != ".attar"]
        folders[:] = [name for name in folders if name[0] != "."]
    return sorted(found)
