"""A row for each mention of a known term: reviews in which nobody marked anything, before they are scored."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

from attar.io.tables.columns import Columns, read_pair
from attar.io.tables.rows import Problem, Row, Table
from attar.scoring.spans import set_aside
from attar.terms.term_list import TermList
from attar.text.invisible import is_blank
from attar.text.normalise import is_unicode

__all__ = ["rows_of_terms"]

_ADDED = ("term", "found", "category", "start", "end")


def rows_of_terms(table: Table, text: str, terms: TermList, without: Counter[str]) -> tuple[Table, Columns]:
    """The table with a row for each mention, and its columns.

    ``term`` is the name of the term in the list, ``found`` what stands in the text, ``category`` that of the
    term, ``start`` and ``end`` are its place. Columns of the table that are called like these become
    ``input_term`` and so on. The rows of one review have the same line.

    Args:
        table: Reviews.
        text: Name of the column with their text; in nested rows with dots.
        terms: What is looked for.
        without: Gets the number of reviews without a term, by the table's name, whenever it is read.

    Raises:
        DataError: There is no such column.
    """
    finder = terms.finder()
    names = {name: f"input_{name}" for name in _ADDED if name in table.columns}
    apart = set_aside(table, names)
    found_text = Columns.of(apart, {"text": names.get(text, text)}, ("text",), "--{}").only(("text",))

    def rows() -> Iterator[Row]:
        without[table.name] = 0
        for row in apart.rows():
            pair = row.problem or read_pair(found_text.cells(row.values))
            if isinstance(pair, Problem) or is_blank(pair.text) or not is_unicode(pair.text):
                yield row
                continue
            found = finder.each(pair.text)
            first = next(found, None)
            without[table.name] += first is None
            for start, end, term in () if first is None else itertools.chain((first,), found):
                mention = {"term": term, "found": pair.text[start:end], "category": terms.categories[term]}
                yield row._replace(values={**row.values, **mention, "start": start, "end": end})

    schema = apart.schema
    if schema is not None:
        import pyarrow as pa

        for name in _ADDED:
            schema = schema.append(pa.field(name, pa.int64() if name in ("start", "end") else pa.string()))
    placed = {**found_text.flat, "term": "found", "start": "start", "end": "end"}
    made = replace(apart, columns=(*apart.columns, *_ADDED), rows=rows, schema=schema)
    return made, Columns(placed, found_text.nested)
