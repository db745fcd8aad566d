"""Strings for people in their language, from one gettext catalog a language.

A string is written in English where it is used, as ``tr("... {name} ...", name=value)``; English needs no
catalog. ``locale/zh/LC_MESSAGES/attar.po`` has the Chinese, and beside it stands the compiled ``attar.mo``,
which Python's own gettext reads. ``docs/make_catalogs.py`` collects the strings and compiles.

Pages and workbooks are in the language of the user's locale; lines that programs may read stay English
unless a language is asked for.
"""

from __future__ import annotations

import gettext
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from typing import Any, Literal, get_args

from attar.errors import RecipeError, require

__all__ = [
    "ENGLISH",
    "LANGUAGES",
    "N_",
    "TAGS",
    "Language",
    "Phrase",
    "Translator",
    "asked_language",
    "language_of_locale",
    "page_environment",
    "page_language",
    "phrase",
    "translator",
]  # fmt: skip

Language = Literal["en", "zh"]
LANGUAGES: tuple[Language, ...] = get_args(Language)
TAGS: dict[Language, str] = {"en": "en", "zh": "zh-CN"}
"""What the ``lang`` of a page says."""

_DOMAIN = "attar"


def N_(text: str) -> str:  # noqa: N802 - gettext's name for it
    """Mark a string that is translated where it is used; gives it as it is."""
    return text


@lru_cache
def _catalog(language: Language) -> gettext.NullTranslations:
    if language == "en":
        return gettext.NullTranslations()
    place = files("attar.language").joinpath("locale", language, "LC_MESSAGES", f"{_DOMAIN}.mo")
    with place.open("rb") as compiled:
        return gettext.GNUTranslations(compiled)


class Translator:
    """The strings of one language; a string that its catalog lacks stays English.

    Args:
        language: Which.
    """

    def __init__(self, language: Language) -> None:
        self.language = language
        self.catalog = _catalog(language)

    def __call__(self, text: str, /, **values: object) -> str:
        """A string in this language, its ``{names}`` filled in; a whole number has its thousands parted."""
        return _filled(self.catalog.gettext(text), values) if text else text

    def plural(self, one: str, many: str, num: int, /, **values: object) -> str:
        """The same of a number, which both strings may call ``{num}``."""
        return _filled(self.catalog.ngettext(one, many, num), {"num": num, **values})

    def context(self, context: str, text: str, /, **values: object) -> str:
        """The same of a string that means one thing here and another elsewhere."""
        return _filled(self.catalog.pgettext(context, text), values)


ENGLISH = Translator("en")
"""What code without a reader speaks."""


@dataclass(frozen=True, slots=True)
class Phrase:
    """A string and its values, said later, in a language that is not known yet.

    Attributes:
        text: The string in English.
        values: By name: strings, numbers, phrases, and lists of these, which are said with commas.
    """

    text: str
    values: Mapping[str, Any]

    def said(self, tr: Translator) -> str:
        """The string in a language."""
        return tr(self.text, **{name: _said(value, tr) for name, value in self.values.items()})


def phrase(text: str, /, **values: object) -> Phrase:
    """Mark a string that is said later."""
    return Phrase(text, values)


def _said(value: object, tr: Translator) -> object:
    if isinstance(value, Phrase):
        return value.said(tr)
    if isinstance(value, list):
        return tr(", ").join(str(_said(each, tr)) for each in value)
    return value


@lru_cache
def translator(language: Language) -> Translator:
    """The strings of a language."""
    return Translator(language)


def page_environment(package: str, language: Language) -> Any:  # noqa: ANN401 - of an optional package
    """The Jinja environment of the pages that a package carries, with the strings of a language.

    ``_``, ``ngettext`` and ``{% trans %}``; ``language_tag`` for the page's ``lang``, and ``space``, which
    stands between two sentences.

    Raises:
        MissingPackageError: The package jinja2 is not installed.
    """
    jinja2 = require("jinja2", "data")
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader(package, ""),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=["jinja2.ext.i18n"],
    )
    environment.install_gettext_translations(_catalog(language), newstyle=True)
    environment.globals["language_tag"] = TAGS[language]
    environment.globals["space"] = "" if language == "zh" else " "
    return environment


def language_of_locale() -> Language:
    """The language that the user's locale names, English where it names neither."""
    for name in ("LC_ALL", "LC_MESSAGES", "LANG"):
        if value := os.environ.get(name):
            return "zh" if value.lower().startswith("zh") else "en"
    return "en"


def page_language(asked: str | None) -> Language:
    """The language of pages and workbooks: the one asked for, else the locale's.

    Raises:
        RecipeError: There is no such language.
    """
    return language_of_locale() if asked is None else _known(asked)


def asked_language(asked: str | None) -> Language:
    """The language of lines that programs may read, too: English unless another is asked for.

    Raises:
        RecipeError: There is no such language.
    """
    return "en" if asked is None else _known(asked)


def _known(asked: str) -> Language:
    found = next((each for each in LANGUAGES if each == asked), None)
    if found is None:
        raise RecipeError(f"--lang {asked}: expected {' or '.join(LANGUAGES)}")
    return found


def _filled(text: str, values: dict[str, object]) -> str:
    shown = {name: f"{value:,}" if type(value) is int else value for name, value in values.items()}
    return text.format(**shown) if values else text
