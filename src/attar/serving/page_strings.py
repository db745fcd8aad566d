"""The strings of the service's page, as its files mark them, and what they are in other languages.

The English string is its own key: ``t("...")``, ``tn("one", "many")`` and ``N_("...")`` in the scripts,
``data-msg`` and its kin in the markup. ``docs/make_catalogs.py`` collects them into the catalogs of
``attar.language`` as it does those of the code.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from attar.language.translator import Language, translator

__all__ = ["PAGE_FOLDER", "messages_of_page", "strings_of_page"]

PAGE_FOLDER = Path(__file__).with_name("page_files")

_TEXT = r'"([^"\\]+)"'
_PLURALS = re.compile(rf"\btn\(\s*{_TEXT},\s*{_TEXT}")
_MARKED = {
    ".js": re.compile(rf"\b(?:t|N_)\(\s*{_TEXT}"),
    ".html": re.compile(rf"\bdata-msg(?:-label|-placeholder)?={_TEXT}"),
}


def strings_of_page(path: Path) -> Iterator[str | tuple[str, str]]:
    """The strings that one of its files marks; those of a number with the form of one and of any other."""
    marked = _MARKED.get(path.suffix)
    if marked is not None:
        text = path.read_text("utf-8")
        yield from marked.findall(text)
        yield from _PLURALS.findall(text)


def messages_of_page(language: Language) -> Mapping[str, str]:
    """Every string of the page in a language, by the English."""
    tr, found = translator(language), dict[str, str]()
    for path in sorted(PAGE_FOLDER.iterdir()):
        for text in strings_of_page(path):
            if isinstance(text, str):
                found[text] = tr.catalog.gettext(text)
            else:
                found |= {form: tr.catalog.ngettext(*text, num) for num, form in enumerate(text, 1)}
    return found
