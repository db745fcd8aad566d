"""Files written whole or not at all, and their hashes.

A reader never sees half a file: text goes to a neighbour first, which then takes the name
(``os.replace`` is atomic within one folder).
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from attar.io.json_text import parse_json

__all__ = [
    "atomic_write",
    "content_hash",
    "file_hash",
    "folder_hashes",
    "read_json",
    "remove_leftovers_of",
    "remove_unused",
    "same_rights",
    "write_beside",
    "write_json",
    "write_new",
]


@contextlib.contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Yield a temporary neighbour of ``path`` that takes its name only if the block succeeds.

    Neighbours that killed processes left when they wrote the same file are removed.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    remove_leftovers_of(path)
    draft, handle = _open_temporary(path)
    mode = draft.stat().st_mode & 0o777
    try:
        yield draft
        draft.chmod(mode)
        with draft.open("rb") as stream:
            os.fsync(stream.fileno())
        draft.replace(path)
    finally:
        os.close(handle)
        draft.unlink(missing_ok=True)


def _open_temporary(path: Path) -> tuple[Path, int]:
    """Make a temporary neighbour, and lock it for as long as the handle is open."""
    while True:
        draft = path.with_name(f"{_temporary_prefix(path)}{secrets.token_hex(4)}{path.suffix}")
        # Not by tempfile, whose files nobody else may read: the umask decides, as for every file.
        handle = os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666)
        with contextlib.suppress(OSError):  # a file system without locks
            fcntl.flock(handle, fcntl.LOCK_SH)
        if os.fstat(handle).st_nlink:
            return draft, handle
        os.close(handle)  # taken for a leftover before it was locked


def _temporary_prefix(path: Path) -> str:
    return f".{path.stem[:40]}.attar-"


def remove_leftovers_of(path: Path) -> None:
    """Remove the temporary neighbours of a file that killed processes left when they wrote it."""
    # By its whole name too: so ``attar.io.outputs`` tries whether it can be written.
    prefixes = {_temporary_prefix(path), f".{path.stem}.attar-"}
    names: list[str] = []
    with contextlib.suppress(OSError), os.scandir(path.parent) as entries:  # a folder that is not shown
        names = [entry.name for entry in entries]
    for name in names:
        before, number = name[: -8 - len(path.suffix)], name.removesuffix(path.suffix)[-8:]
        if before in prefixes and name.endswith(path.suffix) and not number.strip("0123456789abcdef"):
            remove_unused(path.with_name(name))


def remove_unused(path: Path) -> bool:
    """Remove a temporary file unless a process is writing it.

    Returns:
        Whether it was removed; False too where the file system has no locks to tell by.
    """
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        path.unlink(missing_ok=True)
    except OSError:
        return False
    finally:
        os.close(handle)
    return True


def same_rights(folder: Path, as_those_of: Path) -> None:
    """Give every file of a folder the rights of another; some libraries write theirs for one user alone."""
    mode = as_those_of.stat().st_mode & 0o777
    for path in folder.rglob("*"):
        if path.is_file() and not path.is_symlink() and path.stat().st_mode & 0o777 != mode:
            path.chmod(mode)


def write_json(path: Path, value: Any, *, indent: int | None = 2) -> None:  # noqa: ANN401 - JSON is any
    """Write ``value`` as UTF-8 JSON, whole or not at all."""
    with atomic_write(path) as draft:
        draft.write_text(json.dumps(value, ensure_ascii=False, indent=indent) + "\n", "utf-8")


def read_json(path: Path) -> Any:  # noqa: ANN401 - JSON is any
    """Read UTF-8 JSON with or without a byte order mark; the caller explains ``OSError``, ``ValueError``."""
    return parse_json(path.read_text("utf-8-sig"))


def write_new(path: Path, text: str) -> None:
    """Write a file that is not there yet, whole or not at all.

    Raises:
        FileExistsError: Something has the name; it stays as it is.
    """
    remove_leftovers_of(path)
    draft, handle = _open_temporary(path)
    try:
        with draft.open("w", encoding="utf-8", newline="\n") as stream:
            stream.write(text)
        os.fsync(handle)
        try:
            path.hardlink_to(draft)  # unlike a rename it never replaces
        except FileExistsError:
            raise
        except OSError:  # a file system without links
            if path.exists():
                raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path)) from None
            draft.replace(path)
    finally:
        os.close(handle)
        draft.unlink(missing_ok=True)


def write_beside(path: Path, text: str) -> Path:
    """Write what accompanies a result, unless a file of somebody else's has its name.

    Returns:
        Where the text is: ``path``, or ``NAME.attar.ENDING`` beside it where ``path`` holds another text.
    """
    if path.exists() and path.read_bytes() != text.encode():
        path = path.with_suffix(f".attar{path.suffix}")
    with atomic_write(path) as draft:
        draft.write_text(text, "utf-8")
    return path


def file_hash(path: Path) -> str:
    """SHA-256 of a file's bytes, in hex."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def folder_hashes(folder: Path, names: tuple[str, ...]) -> dict[str, str]:
    """SHA-256 of the named files of a folder that exist, by name."""
    return {name: file_hash(folder / name) for name in names if (folder / name).is_file()}


def content_hash(value: Any) -> str:  # noqa: ANN401 - JSON is any
    """SHA-256 of a JSON-able value, independent of the order of keys."""
    text = json.dumps(value, ensure_ascii=False, sort_keys=True, default=str)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
