"""Folders that take the place of others in one step, and places that must not be written to.

Linux exchanges two names at once (``renameat2`` with ``RENAME_EXCHANGE``), so at every moment a whole
folder has the name. Where kernel or file system cannot, the old folder goes aside before the new one
comes in; ``attar.stage_cache`` mends what a kill between the two leaves.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from attar.errors import RunError, may_hold_secret

__all__ = [
    "INCOMING",
    "carry_over",
    "check_no_secret",
    "check_out",
    "check_room",
    "check_writable",
    "exchange",
    "has_files",
    "is_writable",
    "remove_folder",
    "replacing_files",
    "sync_files",
    "sync_folder",
]

INCOMING = "incoming.draft"
"""The folder within a checkpoint or an artifact in which its next files are written."""

_AT_FDCWD = -100
_RENAME_EXCHANGE = 2
_LONGEST_NAME = 240  # bytes: endings are added to it
_LEAST_ROOM = 1 << 20  # bytes


def exchange(one: Path, other: Path) -> bool:
    """Exchange the names of two folders of one file system in a single step.

    Returns:
        Whether that was done; False where kernel, C library or file system cannot, with nothing changed.
    """
    renameat2 = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if renameat2 is None:
        return False
    names = (os.fsencode(one.absolute()), os.fsencode(other.absolute()))
    return bool(renameat2(_AT_FDCWD, names[0], _AT_FDCWD, names[1], _RENAME_EXCHANGE) == 0)


def sync_files(folder: Path) -> None:
    """Put every file of a folder on disk: after a power cut a name must not lead to half a file."""
    for path in folder.rglob("*"):
        if path.is_file() and not path.is_symlink():
            sync_folder(path)


def sync_folder(folder: Path) -> None:
    """Put what was renamed in a folder, or what a file holds, on disk."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError:  # some network file systems cannot; what they promise is all there is
        pass
    finally:
        os.close(handle)


def _existing_parent(path: Path) -> Path:
    """The nearest place above a path, or the path itself, that exists."""
    return next(place for place in (path, *path.parents) if os.path.lexists(place))


def check_no_secret(folder: Path) -> None:
    """Refuse an address in the place of a folder's name, which everybody could read.

    Raises:
        RunError: It has something secret in it.
    """
    if may_hold_secret(folder):
        raise RunError(f"{folder}: an address with something secret in it, not a folder; choose another name")


def check_out(folder: Path, reads: Sequence[Path]) -> Path:
    """The folder with its links resolved, if a command that reads these inputs may write it.

    Whether the place can be written to is the question of ``check_writable``.

    Raises:
        RunError: It may not: a file is in its place, it is, holds or lies in an input, or it cannot be
            replaced as a whole.
    """
    check_no_secret(folder)
    try:
        whole = folder.resolve()
        there = _existing_parent(whole)
        kind = "folder" if there.is_dir() else "file"
        here = Path.cwd()
    except (OSError, ValueError, RuntimeError) as error:  # Python 3.11 and 3.12: RuntimeError for a loop
        raise RunError(f"{folder}: no name for a folder ({error}); choose another") from error
    if kind == "file":
        raise RunError(f"{folder}: a file stands where the folder should go; choose another name")
    if not whole.name or any(len(os.fsencode(part)) > _LONGEST_NAME for part in whole.parts):
        raise RunError(f"{folder}: a name must have 1 to {_LONGEST_NAME} bytes; choose another")
    touched = _overlap(whole, reads)
    if touched is not None:
        how, path = touched
        raise RunError(f"{folder} {how} {path}, which this command reads; name another folder with --out")
    if os.path.ismount(whole) or here.is_relative_to(whole):
        what = "a mount point" if os.path.ismount(whole) else "the folder that you are in, or above it,"
        raise RunError(f"{folder} is {what} and cannot be replaced as a whole; name a folder in it")
    return whole


def _parent_to_write(folder: Path) -> Path:
    there = _existing_parent(folder)
    return there if there != folder else folder.parent


def is_writable(folder: Path) -> bool:
    """Whether a folder can be made, or replaced by another, where it is."""
    return os.access(_parent_to_write(folder), os.W_OK | os.X_OK)


def check_writable(folder: Path) -> None:
    """Check that a folder can be made, or replaced by another, where it is.

    Raises:
        RunError: The folder above it cannot be written to.
    """
    if not is_writable(folder):
        parent = _parent_to_write(folder)
        raise RunError(f"{folder}: {parent} cannot be written to; choose another place, or check its owner")


def check_room(folder: Path, size: int) -> None:
    """Check that a folder of some size can be written beside another of the same size.

    Raises:
        RunError: Too little is free there.
    """
    needed, parent = max(_LEAST_ROOM, size), _existing_parent(folder)
    free = shutil.disk_usage(parent).free
    if free < needed:
        raise RunError(
            f"{folder}: {free / 1e6:.1f} MB free there, at least {needed / 1e6:.1f} MB are needed (the "
            "earlier result stands until the new one is whole); free some, or name a place on another disk"
        )


def has_files(place: Path) -> bool:
    """Whether a place is a file, or a folder with files or links in it, at whatever depth."""
    if not place.is_dir() or place.is_symlink():
        return os.path.lexists(place)
    return any(
        files or any((Path(base) / name).is_symlink() for name in folders)
        for base, folders, files in os.walk(place)
    )


@contextlib.contextmanager
def replacing_files(folder: Path, names: Sequence[str], seal: str) -> Iterator[Path]:
    """Yield a new folder whose files take their places in another one once the block succeeds.

    Args:
        folder: Made if it is not there.
        names: The files that belong there; one that the block did not write goes.
        seal: The one of them without which the others are nothing: it goes first and comes last.
    """
    is_new, draft = not folder.exists(), folder / INCOMING
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    try:
        yield draft
        (folder / seal).unlink(missing_ok=True)
        for name in sorted(names, key=lambda name: name == seal):
            if (draft / name).exists():
                (draft / name).replace(folder / name)
            else:
                (folder / name).unlink(missing_ok=True)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
        if is_new:
            with contextlib.suppress(OSError):  # it is not empty: all went well
                folder.rmdir()


def remove_folder(folder: Path) -> None:
    """Remove a folder, its stamp last: what a kill leaves of it is known for what it is."""
    for path in folder.iterdir():
        if path.is_symlink() or not path.is_dir():
            path.unlink()
        elif path.name != ".attar":
            shutil.rmtree(path)
    shutil.rmtree(folder)


def _overlap(out: Path, reads: Iterable[Path]) -> tuple[str, Path] | None:
    """Whether a folder to be written is, holds or lies in something that is read.

    Links are followed, and places are compared by device and inode, not by name.

    Returns:
        "is", "holds" or "lies in" and the first such input; None where there is none.
    """
    above_out = list(_identities(out))
    for path in reads:
        if not _exists(path):
            continue
        above_input = list(_identities(path))
        if _exists(out) and above_input[0] == above_out[0]:
            return "is", path
        if _exists(out) and above_out[0] in above_input:
            return "holds", path
        if above_input[0] in above_out:
            return "lies in", path
    return None


def _identities(path: Path) -> Iterator[tuple[int, int]]:
    """Device and inode of a place and of all above it, as far as they exist, from the inside out."""
    whole = Path(os.path.realpath(path))
    for place in (whole, *whole.parents):
        if _exists(place):
            state = place.stat()
            yield state.st_dev, state.st_ino


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):  # no name that a file could have
        return False


def carry_over(old: Path, new: Path, is_own: Callable[[str], bool]) -> list[str]:
    """Empty a folder: what is attar's own is removed, all else moves to the same place in another.

    It may be stopped at any moment and called again. The top folder ``.attar`` stays.

    Args:
        old: The folder.
        new: Where the rest goes; a file that is in the way of another is not replaced: the one that
            comes is given a name with ``.kept`` in it.
        is_own: Tells by a file's name, relative to ``old``, whether it may be removed.

    Returns:
        Names in ``new`` of what was moved.
    """
    moved = []
    for base, folders, files in os.walk(old, topdown=True):
        within = Path(base).relative_to(old)
        if within == Path() and ".attar" in folders:
            folders.remove(".attar")
        folders.sort()
        links = [name for name in folders if (Path(base) / name).is_symlink()]
        for name in sorted([*files, *links]):
            place = (within / name).as_posix()
            if name in files and is_own(place):
                (old / place).unlink()
                continue
            target = _free(new / within, name)
            target.parent.mkdir(parents=True, exist_ok=True)
            (old / place).rename(target)
            moved.append(target.relative_to(new).as_posix())
    return moved


def _free(folder: Path, name: str) -> Path:
    """A name in a folder that nothing has: the wanted one, or one with ``.kept`` before its ending."""
    while os.path.lexists(folder) and not folder.is_dir():  # a file where the old one had a folder
        folder = folder.with_name(f"{folder.name}.kept")
    path, number = folder / name, 1
    while os.path.lexists(path):
        kept = ".kept" if number == 1 else f".kept-{number}"
        path, number = folder / f"{Path(name).stem}{kept}{Path(name).suffix}", number + 1
    return path
