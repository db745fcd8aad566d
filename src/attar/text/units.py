"""Offsets of other programs, in UTF-16 units or bytes, as code points."""

from __future__ import annotations

import re

__all__ = ["of_characters", "of_utf8", "of_utf16"]

_TWO_UNITS = re.compile("[\U00010000-\U0010ffff]")


def of_characters(text: str, offset: int) -> int | None:
    """The offset itself; None beyond the text."""
    return offset if 0 <= offset <= len(text) else None


def of_utf16(text: str, offset: int) -> int | None:
    """The character before which there are so many UTF-16 units; None within one, or beyond the text."""
    before = 0
    for before, pair in enumerate(_TWO_UNITS.finditer(text), 1):
        first = pair.start() + before - 1
        if offset <= first:
            return of_characters(text, offset - before + 1)
        if offset == first + 1:
            return None
    return of_characters(text, offset - before)


def of_utf8(text: str, offset: int) -> int | None:
    """The character before which there are so many bytes; None within one, or beyond the text."""
    raw = text.encode("utf-8", "surrogatepass")
    is_within = not 0 <= offset <= len(raw) or (offset < len(raw) and 0x80 <= raw[offset] < 0xC0)
    return None if is_within else len(raw[:offset].decode("utf-8", "surrogatepass"))
