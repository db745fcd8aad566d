"""How large a pickled checkpoint may be: looked at before torch reads it.

A pickle that runs no code can still fill the memory: a program of a gigabyte of numbers, or a few
kilobytes of zip that unfold into terabytes. The program of a state_dict, which only names tensors, is
small: some 50 kB for a BERT.
"""

from __future__ import annotations

import os
import pickletools
import zipfile
from pathlib import Path
from typing import IO

from attar.errors import CheckpointError
from attar.io.limits import limit_bytes

__all__ = ["LIMIT_VARIABLE", "check_bounds"]

LIMIT_VARIABLE = "ATTAR_MAX_WEIGHTS_GB"
"""Environment variable that raises the limit on the whole file, in GB (10^9 bytes)."""
_DEFAULT_GB = 8.0
_MAX_PROGRAM_BYTES = 32 << 20
_MAX_OPCODES = 1_000_000
_NUM_PROGRAMS = 5  # of the format before PyTorch 1.6: magic number, version, system, state_dict, keys
_ZIP = b"PK\x03\x04"


def check_bounds(path: Path) -> None:
    """Check that a file of ``torch.save`` unfolds into no more than a checkpoint needs.

    Raises:
        CheckpointError: It is larger, or its pickled part is.
        OSError: It cannot be read.
        RecipeError: ATTAR_MAX_WEIGHTS_GB is no number above 0.
    """
    most = limit_bytes(LIMIT_VARIABLE, _DEFAULT_GB)
    with path.open("rb") as stream:
        size = os.fstat(stream.fileno()).st_size
        if stream.read(len(_ZIP)) == _ZIP:
            size = max(size, _check_zip(path, stream))
        else:
            stream.seek(0)
            _check_programs(path, stream, _NUM_PROGRAMS)
    if size > most:
        raise CheckpointError(
            f"{path}: {size / 1e9:,.1f} GB unfolded, more than the {most / 1e9:g} GB that weights may have; "
            f"if it is to be trusted, set {LIMIT_VARIABLE}"
        )


def _check_zip(path: Path, stream: IO[bytes]) -> int:
    """Check the pickled part of today's format; what the whole unfolds into, in bytes."""
    try:
        with zipfile.ZipFile(stream) as archive:
            entries = archive.infolist()
            for entry in entries:
                if entry.filename.endswith(".pkl"):
                    if entry.file_size > _MAX_PROGRAM_BYTES:
                        raise _too_large(path)
                    with archive.open(entry) as program:
                        _check_programs(path, program, 1)
    except (zipfile.BadZipFile, EOFError, RuntimeError, ValueError):
        return 0  # torch says what is wrong with it
    return sum(entry.file_size for entry in entries)


def _check_programs(path: Path, stream: IO[bytes], count: int) -> None:
    """Walk over pickled programs one after another, without running them."""
    bounded = _Bounded(stream)
    try:
        for _ in range(count):
            for _ in pickletools.genops(bounded):  # type: ignore[arg-type]
                bounded.opcodes += 1
                if bounded.opcodes > _MAX_OPCODES:
                    raise _TooLargeError
    except _TooLargeError:
        raise _too_large(path) from None
    except Exception:  # noqa: BLE001 - damaged, or no pickle: torch says so
        return


def _too_large(path: Path) -> CheckpointError:
    return CheckpointError(
        f"{path}: its pickled part is larger than any checkpoint's (over {_MAX_PROGRAM_BYTES >> 20} MB or "
        f"{_MAX_OPCODES:,} steps); nothing in it was run. Expected a state_dict alone"
    )


class _TooLargeError(Exception):
    pass


class _Bounded:
    """A stream that refuses to give more than a program may have."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._left = _MAX_PROGRAM_BYTES
        self.opcodes = 0

    def read(self, size: int) -> bytes:
        self._take(size)
        return self._stream.read(size)

    def readline(self) -> bytes:
        line = self._stream.readline(self._left + 1)
        self._take(len(line))
        return line

    def _take(self, size: int) -> None:
        self._left -= size
        if size < 0 or self._left < 0:
            raise _TooLargeError
