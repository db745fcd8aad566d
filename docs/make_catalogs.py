"""Collect the strings that people read into the catalogs of ``attar.language``, and compile them.

    .venv/bin/python docs/make_catalogs.py

New strings are added to each ``attar.po`` without a translation: write it there and run this again. What no
code names any more is dropped. ``tests/language`` runs the same without writing, and asks for a translation
of every string.
"""  # noqa: INP001 - a script, not a package

from __future__ import annotations

import contextlib
import io
import sys
from collections.abc import Iterator
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_file
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po

from attar.language.translator import LANGUAGES
from attar.serving.page_strings import PAGE_FOLDER, strings_of_page

__all__ = ["LOCALES", "catalog_of", "collected", "compiled", "main", "updated"]

ROOT = Path(__file__).resolve().parents[1]
SOURCES = ROOT / "src" / "attar"
LOCALES = SOURCES / "language" / "locale"
TRANSLATED = tuple(language for language in LANGUAGES if language != "en")

# By the name of the function: which of its arguments are the string, its plural, its context.
_KEYWORDS = {
    "tr": None, "N_": None, "phrase": None, "_": None, "gettext": None, "plural": (1, 2), "ngettext": (1, 2),
    "context": ((1, "c"), 2),
}  # fmt: skip
_EXTRACTORS = {".py": "python", ".j2": "jinja2.ext:babel_extract"}
_OPTIONS = {"trimmed": "true", "encoding": "utf-8"}


class _Undated(Catalog):
    """A catalog whose head has no date, tool or person: the same strings give the same bytes."""

    @property
    def mime_headers(self) -> list[tuple[str, str]]:
        """The head, by name."""
        return [
            ("Language", str(self.locale)),
            ("MIME-Version", "1.0"),
            ("Content-Type", "text/plain; charset=utf-8"),
            ("Content-Transfer-Encoding", "8bit"),
            ("Plural-Forms", self.plural_forms),
        ]


def collected() -> Catalog:
    """Every string that the code, the templates and the service's page mark, with the files that have it."""
    catalog = Catalog(fuzzy=False)
    for path in sorted(SOURCES.rglob("*")):
        place = (path.relative_to(SOURCES).as_posix(), None)
        if path.parent == PAGE_FOLDER:
            for text in strings_of_page(path):
                catalog.add(text, None, [place])
        method = _EXTRACTORS.get(path.suffix)
        if method is None:
            continue
        with contextlib.redirect_stderr(io.StringIO()):  # Babel warns of every f-string inside a call
            found = list(extract_from_file(method, path, _KEYWORDS, ("Translators:",), _OPTIONS))
        for _, message, comments, context in found:
            catalog.add(message, None, [place], auto_comments=comments, context=context)
    return catalog


def catalog_of(language: str) -> Catalog:
    """The catalog of a language as it is on the disk, an empty one where there is none."""
    path = _po(language)
    if not path.is_file():
        return Catalog(locale=language)
    with path.open("rb") as source:
        return read_po(source, locale=language)


def updated(language: str) -> Catalog:
    """The catalog of a language with the strings of today; what is new has no translation yet."""
    old, new = catalog_of(language), collected()
    made = _Undated(locale=language, header_comment=_HEADER, fuzzy=False)
    for message in new:
        if message.id:
            known = old.get(message.id if isinstance(message.id, str) else message.id[0], message.context)
            said = known.string if known is not None and known.id == message.id else None
            made.add(message.id, said, message.locations, auto_comments=message.auto_comments,
                     context=message.context)  # fmt: skip
    return made


def compiled(catalog: Catalog) -> bytes:
    """What Python's gettext reads."""
    undated, target = _Undated(locale=catalog.locale, fuzzy=False), io.BytesIO()
    for message in catalog:
        if message.id:
            undated.add(message.id, message.string, context=message.context)
    write_mo(target, undated)
    return target.getvalue()


def written(catalog: Catalog) -> bytes:
    """The catalog as text."""
    target = io.BytesIO()
    write_po(target, catalog, width=110, sort_output=False, include_lineno=False)
    return target.getvalue()


def missing(catalog: Catalog) -> Iterator[str]:
    """The strings without a whole translation."""
    for message in catalog:
        said = message.string if isinstance(message.string, tuple | list) else (message.string,)
        if message.id and not all(said):
            yield str(message.id)


def main() -> None:
    """Write every catalog and its compiled form."""
    for language in TRANSLATED:
        catalog = updated(language)
        path = _po(language)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(written(catalog))
        path.with_suffix(".mo").write_bytes(compiled(catalog_of(language)))
        left = list(missing(catalog))
        for each in left:
            sys.stdout.write(f"{language}: no translation of {each}\n")
        sys.stdout.write(f"{path.relative_to(ROOT)}: {len(catalog)} strings, {len(left)} to translate\n")


_HEADER = "# The strings of attar; made by docs/make_catalogs.py, translated by hand."


def _po(language: str) -> Path:
    return LOCALES / language / "LC_MESSAGES" / "attar.po"


if __name__ == "__main__":
    main()
