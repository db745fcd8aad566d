"""Files of text that are packed: ``.gz`` and ``.zst`` around another ending, read and written as streams.

What a packed file unfolds to is never in memory at once. One that is damaged or ends too early is an
error that names it, and so is one that unfolds without ever ending a line.
"""

from __future__ import annotations

import contextlib
import gzip
import io
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, BinaryIO, cast

from attar.errors import DataError, require

__all__ = ["PACKINGS", "open_bytes", "packed", "packing_of", "unpacked_name"]

PACKINGS = (".gz", ".zst")
_ZSTD_BLOCK_BYTES = 4096  # packed; they may unfold to some 70 MB at once
_MAX_LINE_BYTES = 256 << 20  # a packed kilobyte may stand for a gigabyte without one end of a line


def packing_of(path: Path) -> str:
    """The packing that a file's ending names, "" for none."""
    ending = path.suffix.lower()
    return ending if ending in PACKINGS else ""


def unpacked_name(path: Path) -> Path:
    """The path without the ending of its packing: ``rows.csv`` of ``rows.csv.gz``."""
    return path.with_suffix("") if packing_of(path) else path


def open_bytes(path: Path) -> BinaryIO:
    """Open a file to read its bytes, unpacked where its ending names a packing.

    Raises:
        OSError: It cannot be opened.
        MissingPackageError: It is a ``.zst`` and zstandard is not installed.
    """
    packing = packing_of(path)
    if not packing:
        return path.open("rb")
    raw = path.open("rb")
    try:
        unpacked: IO[bytes]
        if packing == ".gz":
            unpacked = cast("IO[bytes]", gzip.GzipFile(fileobj=raw, mode="rb"))
        else:
            unpacked = cast("IO[bytes]", _Frames(raw))
    except BaseException:
        raw.close()
        raise
    return cast("BinaryIO", io.BufferedReader(_Unpacked(path, raw, unpacked), 1 << 18))


@contextlib.contextmanager
def packed(stream: BinaryIO, packing: str) -> Iterator[BinaryIO]:
    """Yield a stream whose bytes are packed into another, which stays open.

    The packed bytes depend on what is written alone, not on the time or a name.

    Args:
        stream: Gets the packed bytes.
        packing: One of ``PACKINGS``, "" for none.

    Raises:
        MissingPackageError: It is ``.zst`` and zstandard is not installed.
    """
    match packing:
        case ".gz":
            with gzip.GzipFile(filename="", fileobj=stream, mode="wb", compresslevel=6, mtime=0) as packer:
                yield cast("BinaryIO", packer)
        case ".zst":
            with _zstandard().ZstdCompressor().stream_writer(stream, closefd=False) as packer:
                yield packer
        case _:
            yield stream


def _zstandard() -> Any:  # noqa: ANN401 - a module of an optional package
    return require("zstandard", "zstd")


class _Frames:
    """The bytes of a ``.zst``; zstandard's own reader takes the end of the file for that of its frame."""

    def __init__(self, raw: BinaryIO) -> None:
        self._raw, self._decompressor = raw, _zstandard().ZstdDecompressor()
        self._frame: Any = None
        self._ready = memoryview(b"")

    def read(self, size: int) -> bytes:
        """Up to so many bytes, none at the end.

        Raises:
            EOFError: The file ends within a frame.
        """
        while not self._ready:
            block = self._raw.read(_ZSTD_BLOCK_BYTES)
            if not block:
                if self._frame is not None:
                    raise EOFError
                return b""
            self._ready = memoryview(self._unpacked(block))
        given, self._ready = bytes(self._ready[:size]), self._ready[size:]
        return given

    def _unpacked(self, block: bytes) -> bytes:
        found = []
        while block:
            if self._frame is None:
                self._frame = self._decompressor.decompressobj()
            found.append(self._frame.decompress(block))
            block = b""
            if self._frame.eof:
                block, self._frame = self._frame.unused_data, None
        return b"".join(found)

    def close(self) -> None:
        """Nothing: the file is closed by who opened it."""


class _Unpacked(io.RawIOBase):
    """The bytes of a packed file; what its packing says of damage becomes an error of ours."""

    def __init__(self, path: Path, raw: BinaryIO, unpacked: IO[bytes]) -> None:
        super().__init__()
        self._path, self._raw, self._unpacked, self._since_line = path, raw, unpacked, 0

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: Any) -> int:  # noqa: ANN401 - as the base class has it
        """Read into a buffer."""
        try:
            block = self._unpacked.read(len(buffer))
        except Exception as error:
            # zlib's, gzip's and zstandard's own errors share no class; a bug of ours would show as well.
            if (
                not isinstance(error, OSError | EOFError | zlib.error)
                and "zst" not in str(type(error)).lower()
            ):
                raise
            raise DataError(
                f"{self._path}: damaged, or it ends too early; pack it again ({type(error).__name__})"
            ) from error
        cut = block.rfind(b"\n")
        self._since_line = self._since_line + len(block) if cut < 0 else len(block) - cut
        if self._since_line > _MAX_LINE_BYTES:
            raise DataError(
                f"{self._path}: unfolds to over {_MAX_LINE_BYTES >> 20} MB without an end of a line: no rows"
            )
        buffer[: len(block)] = block
        return len(block)

    def close(self) -> None:
        """Close the file, too."""
        if not self.closed:
            self._unpacked.close()
            self._raw.close()
        super().close()
