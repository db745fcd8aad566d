"""What the columns of a table mean: ours by their names there, and the text and term of a row.

Ours are text, term (or keyword), start, end, label, channel, wordtype and annotator; dots go into
nested objects. Offsets count only where both columns are there and one of their cells is a number: the
days of a campaign are called start and end too.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import closing
from decimal import Decimal
from typing import Any, NamedTuple

from attar.errors import DataError
from attar.io.tables.rows import Problem, Table, as_offset, as_string, as_text
from attar.io.tables.usual_names import named
from attar.io.tables.written_values import written_value
from attar.suggest import did_you_mean

__all__ = [
    "OURS",
    "Columns",
    "Pair",
    "check_names",
    "missing_column",
    "pair_of",
    "read_pair",
    "shown_columns",
]

OURS = ("text", "term", "start", "end", "label", "channel", "wordtype", "annotator")

_LOG = logging.getLogger(__name__)
_OFFSETS = ("start", "end")
_NEVER_LEFT_OUT = ("text", "label")
_MOST_EMPTY = 10_000  # rows without offsets that are read to see whether the others have any


class Pair(NamedTuple):
    """A text and the term that is asked about, as a row has them.

    Attributes:
        text: The review; "" where there is none.
        term: The term or second sentence; "" where there is none.
        start: First offset in code points, or None.
        end: Offset one past the last, or None.
    """

    text: str
    term: str
    start: int | None
    end: int | None


class Columns(NamedTuple):
    """Which columns are ours.

    Attributes:
        flat: Our column names to those of the table.
        nested: Our column names to the keys that lead to them, one within the other.
    """

    flat: Mapping[str, str]
    nested: Mapping[str, Sequence[str]]

    @classmethod
    def of(cls, table: Table, chosen: Mapping[str, str], needed: Collection[str], setting: str) -> Columns:
        """Find our columns in a table.

        Args:
            table: The table. Where rows have columns of their own, any may still come.
            chosen: Ours to theirs; what is not chosen has our name, and "" says that it is not there.
            needed: Those of ours that must be there.
            setting: How the user chooses one, with ``{}`` for its name.

        Raises:
            DataError: A column is missing; the message names those that are there.
        """
        names = {ours: ours for ours in OURS}
        if "term" not in table.columns and "keyword" in table.columns:
            names["term"] = "keyword"
        names |= chosen
        for ours in needed:
            is_left_out = not names[ours] and ours not in _NEVER_LEFT_OUT
            if not is_left_out and not _is_there(names[ours], table):
                raise missing_column(table, ours, names[ours], setting)
        found = {
            ours: theirs
            for ours, theirs in names.items()
            if theirs and (not table.has_fixed_columns or _is_there(theirs, table))
        }
        places = [found[ours].split(".") for ours in _OFFSETS if ours in found]
        if len(places) == 1 or (len(places) == 2 and not _are_offsets(table, places, setting)):
            found = {ours: theirs for ours, theirs in found.items() if ours not in _OFFSETS}
        nested = {
            ours: theirs.split(".")
            for ours, theirs in found.items()
            if "." in theirs and theirs not in table.columns
        }
        return cls({ours: theirs for ours, theirs in found.items() if ours not in nested}, nested)

    @property
    def taken(self) -> frozenset[str]:
        """The outermost names of the columns that are ours."""
        return frozenset([*self.flat.values(), *(keys[0] for keys in self.nested.values())])

    def only(self, wanted: Collection[str]) -> Columns:
        """The same without those of ours that are not wanted."""
        flat = {ours: theirs for ours, theirs in self.flat.items() if ours in wanted}
        return Columns(flat, {ours: keys for ours, keys in self.nested.items() if ours in wanted})

    def name(self, ours: str) -> str:
        """The name of a column there, "" where it has none."""
        return self.flat.get(ours) or ".".join(self.nested.get(ours, ()))

    @property
    def cells_of(self) -> Callable[[Mapping[Any, Any]], Sequence[object]]:
        """What gives our cells of a row, in the order of ``OURS``; to be taken once for a table."""
        names = [self.flat.get(ours) for ours in OURS]  # None is the name of no column
        nested = [self.nested.get(ours) for ours in OURS]

        a, b, c, d, e, f, g, h = names

        def flat(values: Mapping[Any, Any]) -> Sequence[object]:
            get = values.get
            return get(a), get(b), get(c), get(d), get(e), get(f), get(g), get(h)

        def within(values: Mapping[Any, Any]) -> Sequence[object]:
            return [
                values.get(name) if keys is None else _value_at(values, keys)
                for name, keys in zip(names, nested, strict=True)
            ]

        return within if self.nested else flat

    def cells(self, values: Mapping[str, Any]) -> dict[str, object]:
        """Our cells of a row."""
        cells: dict[str, object] = {ours: values.get(theirs) for ours, theirs in self.flat.items()}
        for ours, keys in self.nested.items():
            cells[ours] = _value_at(values, keys)
        return cells


def check_names(columns: Mapping[str, str], setting: str) -> None:
    """Check that the columns that a user names are ours.

    Raises:
        DataError: One is not.
    """
    for name in sorted(columns.keys() - set(OURS)):
        raise DataError(f"{setting.format(name)}: ours are {', '.join(OURS)}{did_you_mean(name, OURS)}")


def read_pair(cells: Mapping[str, object]) -> Pair | Problem:
    """The text, the term and the offsets of our cells, or why they cannot be read.

    A term that is left out is the text at the offsets.
    """
    return pair_of(cells.get("text"), cells.get("term"), cells.get("start"), cells.get("end"))


def pair_of(text: object, term: object, start: object, end: object) -> Pair | Problem:
    """The same of four cells."""
    if type(text) is not str or type(term) is not str:
        try:
            text, term = as_string(text), as_string(term)
        except ValueError as error:
            message = f"the text or the term is {error}; write it as one string"
            return Problem("bad_row", message, [text, term, start, end])
    if written := written_value(text) or written_value(term):
        message = f"the text or the term is {written}, written as one string; write what is in it"
        return Problem("bad_row", message, [text, term, start, end])
    try:
        first, last = as_offset(start), as_offset(end)
    except ValueError as error:
        return Problem("bad_offsets", str(error), [text, term, start, end])
    is_place = first is not None and last is not None and 0 <= first < last <= len(text)
    if is_place and (not term or term.isspace()):
        term = text[first:last]
    return Pair(text, term, first, last)


def missing_column(table: Table, ours: str, theirs: str, setting: str) -> DataError:
    """The error for a column that is not there, with the one that may be meant."""
    message = f"{table.name}: no column {theirs!r} for {ours}; there are {shown_columns(table.columns)}"
    if not table.columns and table.format == "jsonl":
        return DataError(
            f"{message}: no line of it is a JSON object; if it is CSV, name it .csv, or score --format csv"
        )
    hint = did_you_mean(theirs, table.columns)
    if not hint and (usual := named(ours, table.columns)):
        hint = f"; did you mean {usual[0]!r}?"
    return DataError(f"{message}{hint}; name the right one in {setting.format(ours)}")


def shown_columns(names: Sequence[str]) -> str:
    """Names of columns as messages may show them."""
    # Without a header line the names are a review, and review text belongs in no message.
    short = [repr(name) for name in names if len(name) <= 20]
    long = [f"{len(names) - len(short)} with long names (is there a header line?)"]
    return ", ".join(short + (long if len(short) < len(names) else [])) or "none"


def _are_offsets(table: Table, places: Sequence[Sequence[str]], setting: str) -> bool:
    """Whether a cell of the columns start and end is a number, or none of them says anything.

    As a rule the first row tells. Only where every cell is something else is the whole table read.
    """
    names = [".".join(keys) for keys in places]
    if not all(
        keys[0] in table.columns or name in table.columns for keys, name in zip(places, names, strict=True)
    ):
        return True  # rows with columns of their own: they may come later
    other = ""
    with closing(table.rows()) as rows:  # type: ignore[type-var]
        for number, row in enumerate(rows):
            for keys, name in zip(places, names, strict=True):
                value = row.values[name] if name in row.values else _value_at(row.values, keys)
                if _is_number(value):
                    return True
                if as_text(value).strip():
                    other = other or f"{row.where}, column {name!r}"
            if not other and number >= _MOST_EMPTY:
                return True
    if other:
        _LOG.info(
            "%s: the columns %s and %s are not read as offsets, because no cell of theirs is a number (the "
            "first that is none: %s); terms are found in their text; to use other columns: %s",
            table.name, *names, other, " and ".join(map(setting.format, _OFFSETS)),
        )  # fmt: skip
    return not other


def _is_number(value: object) -> bool:
    """Whether a cell holds a number, even one that is no offset."""
    if isinstance(value, int | Decimal):
        return not isinstance(value, bool)
    try:
        return isinstance(value, float | str) and not math.isnan(float(value))
    except ValueError:
        return False


def _value_at(values: Any, keys: Sequence[str]) -> object:  # noqa: ANN401 - any cell
    """The value that keys lead to, one within the other, or None."""
    for key in keys:
        values = values.get(key) if isinstance(values, Mapping) else None
    return values


def _is_there(name: str, table: Table) -> bool:
    # What lies within an object may differ from row to row; its outermost name must be there.
    return name in table.columns or ("." in name and name.split(".", maxsplit=1)[0] in table.columns)
