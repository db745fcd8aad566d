"""Cells that name several terms: 持妆、遮瑕, or a JSON list."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from attar.io.tables.columns import Columns
from attar.io.tables.rows import Row, Table, as_string
from attar.io.tables.written_values import parse_written

__all__ = ["cell_parts", "likely_separator", "split_terms"]

_SEPARATORS = "、，,；;|/"
_BETWEEN = re.compile(rf"[^{_SEPARATORS}]([{_SEPARATORS}])\s*[^{_SEPARATORS}\s]")


def cell_parts(value: object, separator: str) -> list[str]:
    """The parts of a cell: the items of a list, as JSON or Python may write it, or what a separator parts.

    Blanks around a part and empty parts are left out; what comes twice is kept twice.

    Raises:
        ValueError: It has parts that are no strings.
    """
    if isinstance(value, str) and value.lstrip().startswith("["):
        found = parse_written(value.strip())
        value = found if isinstance(found, list) else value
    if isinstance(value, list | tuple):
        parts = [as_string(part) for part in value]
    else:
        parts = as_string(value).split(separator)
    return [stripped for part in parts if (stripped := part.strip())]


def likely_separator(cell: object) -> str:
    """What seems to part several terms in a cell, "" where nothing does."""
    if not isinstance(cell, str):
        return "、" if isinstance(cell, list | tuple) and len(cell) > 1 else ""
    if cell.lstrip().startswith("[") and "," in cell:
        return "、"
    found = _BETWEEN.search(cell)
    return found[1] if found else ""


def split_terms(table: Table, columns: Columns, separator: str) -> Table:
    """The table with a row for each term of a cell; offsets, which can be those of one, count for one alone.

    A cell that cannot be parted stays as it is. The rows of one cell have the same line.
    """
    name = columns.flat.get("term", "")
    if not name:
        return table
    places = [columns.flat[end] for end in ("start", "end") if end in columns.flat]

    def each(row: Row) -> Iterator[Mapping[str, Any]]:
        try:
            terms = dict.fromkeys(cell_parts(row.values.get(name), separator))
        except ValueError:
            terms = {}
        if len(terms) < 2:
            yield {**row.values, name: next(iter(terms), row.values.get(name))}
        for term in terms if len(terms) > 1 else ():
            yield {**row.values, name: term, **dict.fromkeys(places)}

    def rows() -> Iterator[Row]:
        for row in table.rows():
            if row.problem:
                yield row
            else:
                yield from (row._replace(values=values) for values in each(row))

    schema = table.schema
    if schema is not None and name in schema.names:
        import pyarrow as pa

        schema = schema.set(schema.get_field_index(name), pa.field(name, pa.string()))
    return replace(table, rows=rows, schema=schema)
