"""Whether a file can be written, asked before the work that it is for.

What ``atomic_write`` would only find at the end: a folder in the way, a missing permission, a name that
is too long. Nothing is left behind.
"""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterable
from pathlib import Path

from attar.errors import DataError, may_hold_secret
from attar.io.files import remove_leftovers_of
from attar.io.tables.excel import workbook_path

__all__ = ["check_output"]

_OTHER = "name another file to write"


def check_output(path: Path, inputs: Iterable[Path] = ()) -> None:
    """Check that a file can be written, and that it is none of those that are read.

    Args:
        path: The file; its folders may still be missing.
        inputs: Files and folders that are read; a file in a folder would be read the next time, or spoil
            what a stage wrote there.

    Raises:
        DataError: It cannot be written, or it is read.
    """
    if may_hold_secret(path):
        raise DataError(f"{path}: an address with something secret in it, and misspelt, or no file; {_OTHER}")
    if "\0" in str(path):
        raise DataError(f"{str(path)!r}: a name holds no NUL character; {_OTHER}")
    try:
        _check_place(path)
    except OSError as error:
        raise DataError(f"{path}: cannot be written ({error.strerror}); {_OTHER}") from error
    written = path.resolve()
    for read in inputs:
        source = workbook_path(read)[0].resolve()
        if written == source or (written.exists() and source.exists() and written.samefile(source)):
            raise DataError(f"{path} is one of the files that are read; {_OTHER}")
        if source.is_dir() and source in written.parents:
            raise DataError(f"{path} is in the folder that is read; {_OTHER} elsewhere")


def _check_place(path: Path) -> None:
    """Make and remove a file as ``atomic_write`` does, in the last folder that is there."""
    if path.is_dir():
        raise DataError(f"{path}: this is a folder, not a file; {_OTHER}")
    if os.path.lexists(path) and path.exists() and not path.is_file():
        raise DataError(f"{path}: this is a device or a pipe, not a file; {_OTHER}")
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        path.lstat()  # a path that is too long as a whole, or a loop of links
    folder = path.parent
    missing = [path.name]
    while not os.path.lexists(folder):
        missing.append(folder.name)
        folder = folder.parent
    if not folder.is_dir():
        raise DataError(f"{path}: {folder} is a file, where a folder is needed; {_OTHER}")
    for name in missing:
        remove_leftovers_of(folder / name)
        # As long as the longest name that will be made there.
        probe = folder / f".{Path(name).stem}.attar-{secrets.token_hex(4)}{Path(name).suffix}"
        os.close(os.open(probe, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        probe.unlink(missing_ok=True)  # another process may take it for a leftover
