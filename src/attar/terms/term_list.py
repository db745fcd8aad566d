"""Lists of terms: what each is called, how else it is written, and to which category it belongs.

A file has either a line ``term,synonym,synonym...`` for each term, without a header, or a table with
the columns ``term`` and, if wanted, ``synonyms`` and ``category``, in any format that tables have.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from attar.errors import DataError
from attar.io.encodings import find_encoding
from attar.io.tables.delimited import delimited_cells
from attar.io.tables.rows import Cells, as_string
from attar.io.tables.table_files import TABLE_ENDINGS, open_tables, reading_notes, shown_facts, table_format
from attar.terms.finder import TermFinder, term_spelling
from attar.text.normalise import Step

__all__ = ["COLUMNS", "Term", "TermList", "read_term_list"]

COLUMNS = ("term", "synonyms", "category")
_LOG = logging.getLogger(__name__)
_SEPARATOR = re.compile(r"\s*[、，,;；|\n]\s*")


class Term(NamedTuple):
    """A term.

    Attributes:
        name: What it is called in the output.
        forms: How it is written in reviews, its name first.
        category: What it belongs to, "" where the list does not say.
        where: ``file:line``.
    """

    name: str
    forms: tuple[str, ...]
    category: str = ""
    where: str = ""


@dataclass(frozen=True, slots=True)
class TermList:
    """Terms that can be told apart: none twice, no form under two of them.

    Attributes:
        names: By each form the name of its term.
        categories: By name.
    """

    names: dict[str, str] = field(default_factory=dict)
    categories: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, terms: Iterable[Term]) -> TermList:
        """Collect terms.

        Raises:
            DataError: A term comes twice, or a form under two terms; both places are named.
        """
        made = cls()
        seen: dict[str, Term] = {}
        for term in terms:
            for form in term.forms:
                spelling = term_spelling(form)
                other = seen.setdefault(spelling, term)
                if other.name != term.name:
                    raise DataError(
                        f"{term.where}: {form!r} stands under {other.name!r} too ({other.where}); "
                        "a form belongs to one term: take it out of one of them"
                    )
                if other is not term and form == term.name:
                    raise DataError(
                        f"{term.where}: the term {form!r} stands in {other.where} too; write it once, "
                        "with all its synonyms"
                    )
                made.names.setdefault(form, term.name)
            made.categories[term.name] = term.category
        return made

    def finder(self, steps: Sequence[Step] = ()) -> TermFinder:
        """Finds the forms of these terms in texts.

        Args:
            steps: How terms and texts are normalised besides what is always done.
        """
        return TermFinder(self.names, steps)


def read_term_list(path: Path) -> TermList:
    """Read a list of terms.

    Raises:
        DataError: It cannot be read, holds no term, or one that cannot be told from another.
    """
    if path.suffix.lower() in TABLE_ENDINGS and _has_header(path):
        terms = _from_table(path)
    else:
        terms = _from_lines(path)
    made = TermList.of(terms)
    if not made.names:
        raise DataError(f"{path}: holds no terms; write one a line, with its synonyms behind commas")
    return made


def _has_header(path: Path) -> bool:
    """Whether the first row names columns; of Parquet and JSONL every table does."""
    if table_format(path) not in ("csv", "tsv"):
        return True
    _, cells = next(_cells(path), (0, ()))
    return str(cells[0]).strip().lower() == "term" if cells else False


def _cells(path: Path) -> Iterator[Cells]:
    return delimited_cells(path, "tsv" if path.suffix.lower() == ".tsv" else "csv")


def _from_lines(path: Path) -> Iterator[Term]:
    if encoding := find_encoding(path).shown:
        _LOG.info("%s", shown_facts(path, {"encoding": encoding}))
    for number, cells in _cells(path):
        forms = tuple(dict.fromkeys(form for cell in cells if (form := str(cell).strip())))
        where = f"{path}:{number}"
        if forms and not str(cells[0]).strip():
            raise DataError(f"{where}: the term itself is empty; write it before its synonyms")
        if forms:
            yield Term(forms[0], forms, "", where)


def _from_table(path: Path) -> Iterator[Term]:
    tables = open_tables(path, needed=[{"term"}])
    for line in reading_notes(tables):
        _LOG.info("%s", line)
    if any("term" not in table.columns for table in tables):
        raise DataError(f"{path}: no column 'term'; a list of terms has {', '.join(COLUMNS)}")
    for row in (row for table in tables for row in table.rows()):
        if row.problem:
            raise DataError(f"{row.where}: {row.problem.message}")
        name = _cell(row.values.get("term"), row.where).strip()
        synonyms = row.values.get("synonyms")
        others = synonyms if isinstance(synonyms, list) else _SEPARATOR.split(_cell(synonyms, row.where))
        forms = [form for one in others if (form := _cell(one, row.where).strip())]
        if not name and forms:
            raise DataError(f"{row.where}: the term itself is empty; write it before its synonyms")
        if name:
            category = _cell(row.values.get("category"), row.where).strip()
            yield Term(name, tuple(dict.fromkeys([name, *forms])), category, row.where)


def _cell(value: object, where: str) -> str:
    try:
        return as_string(value)
    except ValueError as error:
        raise DataError(f"{where}: found {error}; write terms as strings") from error
