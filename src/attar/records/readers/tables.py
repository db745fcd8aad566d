"""Tables as records: what the columns of JSONL, CSV, TSV, Excel and Parquet mean.

``columns`` maps ours to theirs (``{"term": "aspect"}``); dots go into nested objects. Without it:
text, term (or keyword), start, end, label, channel, wordtype, annotator. Every other column
becomes metadata, as a string. A second table may be joined: labels here, their reviews there.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from attar.errors import DataError
from attar.recipe.load import SourceRecipe
from attar.records.outcomes import Rejection
from attar.records.readers.table_rows import Row, Table, open_table
from attar.records.readers.values import as_label, as_meta, as_offset, as_text
from attar.records.record import Record

__all__ = ["read_table"]

_OURS = ("text", "term", "start", "end", "label", "channel", "wordtype", "annotator")
_NEEDED = ("text", "label")


class _Joined(NamedTuple):
    """The other table, in memory.

    Attributes:
        columns: Names of its columns.
        rows: Rows by their key.
        rejections: Rows that have none, because they cannot be read.
    """

    columns: list[str]
    rows: dict[str, Mapping[str, object]]
    rejections: list[Rejection]


def read_table(
    path: Path, form: str, source: SourceRecipe, joined: tuple[Path, str] | None = None, sheet: str = ""
) -> Iterator[Record | Rejection]:
    """Read a table.

    Args:
        path: A file.
        form: Of the file; see ``attar.records.readers.table_rows``.
        source: ``columns``, ``empty`` and ``join`` say what the cells mean; a column that
            ``constants`` fills need not be there.
        joined: File and form of the table that ``source.join`` names.
        sheet: Sheet of an Excel workbook, "" for the first.

    Yields:
        One Record or Rejection a row.

    Raises:
        DataError: A file cannot be read, a column is missing, or a key occurs twice in the joined
            table.
    """
    table = open_table(path, form, source, sheet)
    columns, rows = table.columns, table.rows
    if joined is not None:
        other = _load(*joined, source)
        yield from other.rejections
        rows = _join(path, table, other, source)
        columns = [*columns, *(name for name in other.columns if name not in columns)]
    if not columns:
        yield from (row for _, row in rows if isinstance(row, Rejection))
        return
    reader = _RowReader.of(path, columns, source)
    for where, row in rows:
        yield row if isinstance(row, Rejection) else reader.record(row, where)


def _load(path: Path, form: str, source: SourceRecipe) -> _Joined:
    assert source.join is not None
    key = source.join.on
    # The names are those of the table without a header; a joined one has to name its key itself.
    table = open_table(path, form, source.model_copy(update={"names": ()}))
    _check_key(path, key, table.columns)
    rows: dict[str, Mapping[str, object]] = {}
    rejections = []
    for where, row in table.rows:
        if isinstance(row, Rejection):
            rejections.append(row)
            continue
        value = as_text(row.get(key))
        if value in rows:
            raise DataError(
                f"{where}: the {key} of this row occurs before; "
                "a joined table has each key once, so join the other way round or remove a row"
            )
        rows[value] = row
    return _Joined(table.columns, rows, rejections)


def _join(path: Path, table: Table, other: _Joined, source: SourceRecipe) -> Iterator[Row]:
    assert source.join is not None
    key = source.join.on
    _check_key(path, key, table.columns)
    for where, row in table.rows:
        if isinstance(row, Rejection):
            yield where, row
            continue
        more = other.rows.get(as_text(row.get(key)))
        if more is None:
            message = f"no row with this {key} in {Path(source.join.path).name}, which is joined"
            yield where, Rejection("bad_row", message, where, list(row.values()))
        else:
            yield where, {**more, **row}


def _check_key(path: Path, key: str, columns: list[str]) -> None:
    if key not in columns:
        raise DataError(f"{path}: no column {key!r} to join on; there are {_shown(columns)}; see join.on")


class _RowReader(NamedTuple):
    """How a row of a table becomes a Record.

    Attributes:
        flat: Our column names to those of the table.
        nested: Our column names to the keys that lead to them, one within the other.
        taken: Columns that are no metadata.
        empty: Cells that say nothing.
    """

    flat: Mapping[str, str]
    nested: Mapping[str, list[str]]
    taken: frozenset[str]
    empty: frozenset[str]

    @classmethod
    def of(cls, path: Path, found: list[str], source: SourceRecipe) -> _RowReader:
        """Find the columns of a table.

        Raises:
            DataError: One is not there.
        """
        names = _resolve(path, found, source)
        nested = {ours: theirs.split(".") for ours, theirs in names.items() if theirs not in found}
        flat = {ours: theirs for ours, theirs in names.items() if theirs in found}
        taken = {*flat.values(), *(keys[0] for keys in nested.values())}
        return cls(flat, nested, frozenset(taken), frozenset(source.empty))

    def record(self, row: Mapping[str, object], where: str) -> Record | Rejection:
        """The Record of a row."""
        if self.empty:
            row = {key: None if self._is_empty(value) else value for key, value in row.items()}
        ours = {name: row.get(theirs) for name, theirs in self.flat.items()}
        for name, keys in self.nested.items():
            value = _within(row, keys)
            ours[name] = None if self._is_empty(value) else value
        taken = self.taken
        meta = as_meta({key: value for key, value in row.items() if key not in taken})
        for name in ("channel", "wordtype"):
            if value := as_text(ours.get(name)):
                meta[name] = value
        text, term, label = as_text(ours.get("text")), as_text(ours.get("term")), as_label(ours.get("label"))
        try:
            start, end = as_offset(ours.get("start")), as_offset(ours.get("end"))
        except ValueError as error:
            raw = [text, term, ours.get("start"), ours.get("end"), label]
            return Rejection("bad_offsets", str(error), where, raw)
        return Record(text, term, start, end, label, meta, where, as_text(ours.get("annotator")))

    def _is_empty(self, value: object) -> bool:
        return isinstance(value, str) and value.strip() in self.empty


def _within(row: Mapping[str, object], keys: list[str]) -> object:
    value: object = row
    for key in keys:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value


def _resolve(path: Path, found: list[str], source: SourceRecipe) -> dict[str, str]:
    """Our column names to those of the table, the ones that it has."""
    columns = source.columns
    unknown = sorted(set(columns) - set(_OURS))
    if unknown:
        near = difflib.get_close_matches(unknown[0], _OURS, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise DataError(f"data.columns.{unknown[0]}: ours are {', '.join(_OURS)}{hint}")
    names = {name: name for name in _OURS}
    if "term" not in found and "keyword" in found:
        names["term"] = "keyword"
    names |= columns
    for ours, theirs in names.items():
        is_needed = (ours in _NEEDED or ours in columns) and ours not in source.constants
        if is_needed and not _is_there(theirs, found):
            raise DataError(
                f"{path}: no column {theirs!r} for {ours}; there are {_shown(found)}; "
                f"name the right one in data.columns.{ours}"
            )
    return {ours: theirs for ours, theirs in names.items() if _is_there(theirs, found)}


def _is_there(name: str, found: Collection[str]) -> bool:
    # What lies within an object may differ from row to row; its outermost name must be there.
    return name in found or ("." in name and name.split(".", maxsplit=1)[0] in found)


def _shown(names: list[str]) -> str:
    # Without a header line the names are a review, and review text belongs in no message.
    short = [repr(name) for name in names if len(name) <= 20]
    long = [f"{len(names) - len(short)} with long names (is there a header line?)"]
    return ", ".join(short + (long if len(short) < len(names) else [])) or "none"
