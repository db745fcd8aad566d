"""A row for each mention of a known term: reviews in which nobody marked anything, before they are scored."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

from attar.io.tables.columns import Columns, read_pair
from attar.io.tables.rows import Problem, Row, Table
from attar.terms.term_list import TermList
from attar.text.invisible import is_blank

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
    text_at = Columns.of(table, {"text": text}, ("text",), "--{}").only(("text",))
    names = {name: f"input_{name}" for name in _ADDED if name in table.columns}

    def rows() -> Iterator[Row]:
        without[table.name] = 0
        for row in table.rows():
            # A file that was scored before has the moved ones already.
            kept = {names.get(k, k): v for k, v in row.values.items() if names.get(k) not in row.values}
            moved = row._replace(values=kept)
            pair = Problem("", "", []) if row.problem else read_pair(text_at.cells(row.values))
            if isinstance(pair, Problem) or is_blank(pair.text) or not _encodable(pair.text):
                yield moved
                continue
            found = finder.find(pair.text)
            without[table.name] += not found
            for start, end, term in found:
                mention = {"term": term, "found": pair.text[start:end], "category": terms.categories[term]}
                yield moved._replace(values={**kept, **mention, "start": start, "end": end})

    schema = table.schema
    if schema is not None:
        import pyarrow as pa

        kept = [one for one in schema if names.get(one.name) not in schema.names]
        ours = [pa.field(name, pa.int64() if name in ("start", "end") else pa.string()) for name in _ADDED]
        schema = pa.schema([*(one.with_name(names.get(one.name, one.name)) for one in kept), *ours])
    there = tuple(dict.fromkeys([*(names.get(name, name) for name in table.columns), *_ADDED]))
    flat = {"text": text_at.flat["text"]} if "text" in text_at.flat else {}
    # A text that is nested, or called like one of ours, keeps its way there.
    flat = {ours: names.get(theirs, theirs) for ours, theirs in flat.items()}
    placed = Columns({**flat, "term": "found", "start": "start", "end": "end"}, text_at.nested)
    return replace(table, columns=there, rows=rows, schema=schema), placed


def _encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
