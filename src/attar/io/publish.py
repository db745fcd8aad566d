"""A finished draft takes the name of its folder, and a kill at any moment of that is mended.

``OUT.draft`` and ``OUT`` exchange their names, the earlier result becomes ``OUT.replaced``, what attar did
not write in it moves along, and the rest of it goes. The new stamp has the hash of the old one, by which
the next command tells what a kill has left.
"""

from __future__ import annotations

import logging
from pathlib import Path

from attar.errors import RunError
from attar.io.files import file_hash
from attar.io.folders import carry_over, exchange, has_files, remove_folder, sync_files, sync_folder
from attar.io.stamps import beside, is_own_file, read_stamp, stamp_path, write_stamp

__all__ = ["mend", "publish"]

_LOG = logging.getLogger(__name__)


def publish(draft: Path, folder: Path) -> None:
    """Give a whole draft the folder's name; what was there before goes, but for others' files.

    Raises:
        RunError: The folder holds what no stage wrote.
    """
    replaced = beside(folder, "replaced")
    sync_files(draft)
    if folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()
    if not folder.exists():
        draft.rename(folder)
    else:
        stamp = read_stamp(draft)
        if stamp is None or not stamp_path(folder).is_file():
            raise RunError(
                f"{folder} was written to while the stage ran; its result is whole, in {draft}: move away "
                "what is in the folder and run the same command again"
            )
        write_stamp(draft, stamp | {"replaces": file_hash(stamp_path(folder))})
        if exchange(draft, folder):
            draft.rename(replaced)
        else:
            folder.rename(replaced)
            draft.rename(folder)
    sync_folder(folder.parent)
    mend(folder)


def mend(folder: Path) -> None:
    """Finish what a kill left of the moment in which a new result takes the place of the old one.

    Raises:
        RunError: ``NAME.replaced`` is there and is nothing that this folder replaced.
    """
    draft, replaced = beside(folder, "draft"), beside(folder, "replaced")
    if _replaces(folder, draft):  # exchanged, but the old one has not got its new name
        draft.rename(replaced)
    if not has_files(replaced):
        if replaced.is_dir():
            remove_folder(replaced)
        return
    if not folder.exists() and read_stamp(replaced) is not None:
        whole = _replaces(draft, replaced)
        (draft if whole else replaced).rename(folder)
        if not whole:
            return
    stamp = read_stamp(replaced)
    if stamp is None or not _replaces(folder, replaced):
        raise RunError(f"{replaced} is in the way: the earlier result goes there; move it")
    moved = carry_over(replaced, folder, lambda name: is_own_file(replaced, name, stamp))
    remove_folder(replaced)
    if moved:
        _LOG.info("%s: not written by attar, so moved along: %s", folder, ", ".join(moved))


def _replaces(new: Path, old: Path) -> bool:
    """Whether a result was made to take the place of another."""
    stamp = read_stamp(new)
    if stamp is None or not stamp.get("replaces") or not stamp_path(old).is_file():
        return False
    return bool(stamp["replaces"] == file_hash(stamp_path(old)))
