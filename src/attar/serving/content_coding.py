"""Compressed bodies: the Content-Encoding of a request, undone within the limit on its length.

Taken are gzip and deflate, alone or one over the other (RFC 9110, section 8.4); whatever else a client
names is refused before the body is read.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable

from attar.serving.limits import Limits, Problem, too_long

__all__ = ["ACCEPTED_CODINGS", "content_codings", "decompress"]

ACCEPTED_CODINGS = "gzip, deflate"

_NAMES = {"gzip": "gzip", "x-gzip": "gzip", "deflate": "deflate"}
_WBITS = {"gzip": 31, "zlib": 15, "raw": -15}
_MAX_CODINGS = 2
# A gzip file may be several in a row; each costs a copy of the rest.
_MAX_MEMBERS = 64


def content_codings(headers: Iterable[str]) -> tuple[str, ...]:
    """The codings that Content-Encoding headers name, in the order in which they were applied.

    Raises:
        Problem: 415, one is not taken, or there are too many.
    """
    names = [name.strip().lower() for header in headers for name in header.split(",")]
    names = [name for name in names if name not in ("", "identity")]
    if not all(name in _NAMES for name in names) or len(names) > _MAX_CODINGS:
        raise Problem(
            415,
            "unsupported_encoding",
            f"this Content-Encoding is not taken; send the body as gzip or deflate (at most {_MAX_CODINGS} "
            "codings), or as it is",
        )
    return tuple(_NAMES[name] for name in names)


def decompress(body: bytes, codings: tuple[str, ...], limits: Limits) -> bytes:
    """Undo the codings of a body, the last one first; the limit counts what comes out.

    Raises:
        Problem: 413 if it is too long, 400 if it is damaged or was packed in another way.
    """
    for coding in reversed(codings):
        body = _decompressed(body, coding, limits)
    return body


def _decompressed(packed: bytes, coding: str, limits: Limits) -> bytes:
    out = bytearray()
    rest = packed
    members = 0
    while rest:
        members += 1
        unpacker = zlib.decompressobj(_WBITS[_format_of(rest, coding)])
        try:
            out += unpacker.decompress(rest, limits.max_body_bytes + 1 - len(out))
        except zlib.error:
            raise _damaged(coding, "is damaged or was not packed so") from None
        if len(out) > limits.max_body_bytes:
            raise too_long(limits)
        if not unpacker.eof:
            raise _damaged(coding, "is cut off")
        rest = unpacker.unused_data
        if rest and (coding == "deflate" or members == _MAX_MEMBERS):
            raise _damaged(coding, "has more bytes behind its end")
    return bytes(out)


def _format_of(packed: bytes, coding: str) -> str:
    if coding == "gzip":
        return "gzip"
    # Deflate means zlib's format, but many clients leave its two bytes of header out.
    is_zlib = len(packed) > 1 and packed[0] & 15 == 8 and int.from_bytes(packed[:2], "big") % 31 == 0
    return "zlib" if is_zlib else "raw"


def _damaged(coding: str, what: str) -> Problem:
    return Problem(400, "invalid_encoding", f"Content-Encoding says {coding}, but the body {what}")
