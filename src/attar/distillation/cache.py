"""Arrays cached on disk, each under a key of all that it depends on.

A file is a ``.npy``, followed by the SHA-256 of its key and its bytes. It is written atomically, so
an interrupted pass resumes after the last one; one that is damaged, or was written under another key,
does not pass the checksum and is never used.
"""

from __future__ import annotations

import hashlib
import logging
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from attar.io.files import atomic_write

__all__ = ["CACHE_FOLDER", "read_array", "write_array"]

CACHE_FOLDER = "teacher-answers"
"""Of a run; not renamed, so that runs of earlier versions resume with what they have cached."""

_LOG = logging.getLogger(__name__)
_BLOCK = 1 << 20
_DIGEST_BYTES = 32


def write_array(path: Path, key: str, array: NDArray[Any]) -> None:
    """Write an array atomically, with the checksum that ``read_array`` checks."""
    with atomic_write(path) as draft:
        with draft.open("wb") as stream:
            np.save(stream, array)
        digest = _digest(draft, key, draft.stat().st_size)
        with draft.open("ab") as stream:
            stream.write(digest)


def read_array(path: Path, key: str, shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[Any] | None:
    """Read an array that ``write_array`` wrote under this key, of this shape and type, as a memory map.

    Returns:
        The array; None if it is not there, or is damaged or another one, which is logged.
    """
    if not path.is_file():
        return None
    array = None
    try:
        size = path.stat().st_size - _DIGEST_BYTES
        with path.open("rb") as stream:
            stream.seek(max(size, 0))
            digest = stream.read()
        if size > 0 and _digest(path, key, size) == digest:
            array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        _LOG.warning("%s cannot be read (%s)", path, error)
    if array is None or array.shape != shape or array.dtype != dtype:
        _LOG.warning("%s is damaged, or of another teacher or other examples; it is computed again", path)
        return None
    return np.asarray(array)


def _digest(path: Path, key: str, size: int) -> bytes:
    """SHA-256 of a key and of the first ``size`` bytes of a file."""
    digest = hashlib.sha256(key.encode())
    with path.open("rb") as stream:
        while size > 0 and (block := stream.read(min(size, _BLOCK))):
            digest.update(block)
            size -= len(block)
    return digest.digest()
