"""Characters that nobody sees: zero-width spaces, byte order marks, soft hyphens, variation selectors.

They come along where a term is copied from a web page or an app. ``repair`` looks past them as it looks
past whitespace, and messages name them, because a reader cannot find them by eye.
"""

from __future__ import annotations

import re
import unicodedata

from attar.text.normalise import Normalised, substitute

__all__ = ["INVISIBLE", "invisible_note", "is_blank", "without_invisible"]

# Unicode's Default_Ignorable_Code_Point: what a font without a picture for it shows as nothing.
INVISIBLE = (
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164"
    "\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
)
_ANY = re.compile(f"[{INVISIBLE}]")
_RUN = re.compile(f"[{INVISIBLE}]+")
_SEEN = re.compile(rf"[^\s{INVISIBLE}]")


def is_blank(text: str) -> bool:
    """Whether there is nothing to see in a text."""
    return _SEEN.search(text) is None


def without_invisible(text: str) -> Normalised:
    """The text without the characters that nobody sees, and the way back."""
    return Normalised(text) if text.isascii() else substitute(text, _RUN, "")


def invisible_note(text: str, term: str) -> str:
    """What a message adds where a term is not found: the first unseen character of either, or ""."""
    for name, value in (("term", term), ("text", text)):
        found = _ANY.search(value)
        if found:
            code = f"U+{ord(found[0]):04X}"
            called = unicodedata.name(found[0], "no name")
            return f"; {code} ({called}), which nobody sees, is at offset {found.start()} of the {name}"
    return ""
