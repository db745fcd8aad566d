"""Every string of the insight page and workbook, by its msgid, in English and Chinese.

They are in ``messages.json`` alone, so that gettext catalogs can take them over. Values stand in braces.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from importlib.resources import files
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

__all__ = ["LANGUAGES", "MESSAGES", "Language", "Warned", "language_of_locale", "message", "messages_of"]

Language = Literal["en", "zh"]
LANGUAGES: tuple[Language, ...] = ("en", "zh")


class Warned(NamedTuple):
    """A warning: its msgid and the values in it."""

    msgid: str
    values: Mapping[str, Any]


_TABLE: dict[str, dict[str, str]] = json.loads(
    files("attar.insight").joinpath("messages.json").read_text("utf-8")
)

MESSAGES: Mapping[Language, Mapping[str, str]] = MappingProxyType(
    {lang: MappingProxyType({msgid: said[lang] for msgid, said in _TABLE.items()}) for lang in LANGUAGES}
)
"""By language and msgid."""


def message(language: Language, msgid: str, **values: object) -> str:
    """A string with its values."""
    return MESSAGES[language][msgid].format(**values)


def messages_of(language: Language) -> dict[str, str]:
    """All strings of a language, for the page's script."""
    return dict(MESSAGES[language])


def language_of_locale() -> Language:
    """The language that the user's locale names, English where it names neither."""
    for name in ("LC_ALL", "LC_MESSAGES", "LANG"):
        if value := os.environ.get(name):
            return "zh" if value.lower().startswith("zh") else "en"
    return "en"
