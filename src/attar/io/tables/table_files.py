"""Tables of any format by their paths: a file, a sheet of a workbook, or a folder; read and written."""

from __future__ import annotations

import difflib
import itertools
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from attar.errors import DataError
from attar.io.compressed import packing_of, unpacked_name
from attar.io.encodings import Encoding, of_several_files
from attar.io.files import atomic_write
from attar.io.tables.delimited import open_delimited, write_delimited
from attar.io.tables.excel import ALL_SHEETS, open_sheets, workbook_path
from attar.io.tables.jsonl import open_jsonl, write_jsonl
from attar.io.tables.parquet import open_parquet, write_parquet
from attar.io.tables.rows import Table, TableFormat

__all__ = [
    "TABLE_ENDINGS",
    "TableOptions",
    "column_types",
    "data_files",
    "input_format",
    "is_data",
    "open_file",
    "open_one_of",
    "open_tables",
    "reading_facts",
    "reading_notes",
    "save_as",
    "shown_facts",
    "table_ending",
    "table_files",
    "table_format",
    "type_of",
    "write_table",
]

TABLE_ENDINGS: dict[str, TableFormat] = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".csv": "csv",
    ".tsv": "tsv",
    ".xlsx": "excel",
    ".xlsm": "excel",
    ".parquet": "parquet",
}
_OTHER_WORKBOOKS = (".xls", ".xlsb", ".ods", ".et", ".numbers")
_TEXT_FORMATS: tuple[TableFormat, ...] = ("jsonl", "csv", "tsv")
_INT64 = range(-(2**63), 2**63)
_NOT_DATA = (".", "~$")  # hidden files, and the locks of open Office files


@dataclass(frozen=True, slots=True)
class TableOptions:
    """How a table is written, as far as its ending does not say it.

    Attributes:
        sheet: Of an Excel workbook; "" for the first visible one that has the columns, ``*`` for all.
        names: Names of the columns of a table without a header.
        delimiter: What separates two cells; None decides by the format.
        quoted: Whether a quote at the start of a cell begins a quoted one; else quotes are text.
        needed: The columns that tell a sheet of rows from another: of each collection at least one.
        encoding: Of a file of text; None finds it.
    """

    sheet: str = ""
    names: Sequence[str] = ()
    delimiter: str | None = None
    quoted: bool = True
    needed: Sequence[Collection[str]] = ()
    encoding: str | Encoding | None = None


_PLAIN = TableOptions()


def table_format(path: Path) -> TableFormat:
    """The format that a file's ending names.

    Raises:
        DataError: None that we know.
    """
    found = TABLE_ENDINGS.get(table_ending(path))
    if found is None:
        known = ", ".join(TABLE_ENDINGS)
        more = "; .gz and .zst are for .jsonl, .csv and .tsv" if packing_of(path) else save_as(path)
        raise DataError(f"{path}: cannot tell its format by {path.suffix!r}; expected {known}{more}")
    return found


def input_format(path: Path) -> TableFormat:
    """The format of a file that is named by itself to be read: ``.json`` may be rows, too.

    Raises:
        DataError: None that we know.
    """
    return "jsonl" if path.suffix.lower() == ".json" else table_format(path)


def save_as(path: Path) -> str:
    """What to do with a workbook that is not read, as the end of a message; "" for another file."""
    is_workbook = path.suffix.lower() in _OTHER_WORKBOOKS
    return "; open it in Excel, WPS or LibreOffice and save it as .xlsx" if is_workbook else ""


def table_ending(path: Path) -> str:
    """The ending of a table's name, without that of a packing around text: ``.csv`` of ``rows.csv.gz``."""
    inner = unpacked_name(path).suffix.lower()
    is_text = TABLE_ENDINGS.get(inner) in ("jsonl", "csv", "tsv")
    return inner if is_text or not packing_of(path) else packing_of(path)


def open_file(path: Path, file_format: TableFormat, options: TableOptions = _PLAIN) -> list[Table]:
    """Open a file as a table, or a workbook as one for each of its sheets that are read.

    Raises:
        DataError: It cannot be read, is empty, or not of this format; a quote is never closed or a
            column name occurs twice. While the rows are read, too.
    """
    try:
        if not path.stat().st_size:
            raise DataError(f"{path}: the file is empty; expected rows with a text column")
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); check the path") from error
    match file_format:
        case "jsonl":
            return [open_jsonl(path, options.encoding)]
        case "parquet":
            return [open_parquet(path)]
        case "excel":
            return open_sheets(path, options.sheet, options.names, options.needed)
        case _:
            opened = open_delimited(
                path,
                file_format,
                delimiter=options.delimiter,
                quoted=options.quoted,
                names=options.names,
                encoding=options.encoding,
            )
            return [opened]


def open_tables(
    path: Path,
    *,
    quoted: bool = True,
    needed: Sequence[Collection[str]] = (),
    encoding: str | None = None,
) -> list[Table]:
    """Open a table, ``workbook.xlsx#sheet``, or every table of a folder in the order of their names.

    Args:
        path: What is read; ``workbook.xlsx#*`` are all sheets of a workbook.
        quoted: See ``TableOptions``.
        needed: See ``TableOptions``.
        encoding: Of the files of text among them that are not UTF-8; None finds that of each.

    Raises:
        DataError: As ``open_file``; nothing is there, or an ending is none of a table's.
    """
    whole, sheet = workbook_path(path)
    options, tables = TableOptions(sheet=sheet, quoted=quoted, needed=needed), list[Table]()
    for file in table_files(whole):
        tables += open_one_of(file, input_format(file), options, encoding)
    return tables


def open_one_of(
    path: Path, file_format: TableFormat, options: TableOptions, encoding: str | None
) -> list[Table]:
    """Open one of several files, of which the user says one encoding for all that are not UTF-8.

    Raises:
        DataError: As ``open_file``.
    """
    if encoding is not None and file_format in _TEXT_FORMATS:
        options = replace(options, encoding=of_several_files(path, encoding))
    return open_file(path, file_format, options)


def reading_facts(tables: Sequence[Table]) -> dict[str, object]:
    """What was decided when a file was opened and might have been otherwise: sheets, encoding."""
    facts: dict[str, object] = {}
    if titles := [table.sheet for table in tables if table.sheet]:
        facts |= {"sheets": titles, "sheets_left_out": list(tables[0].sheets_left_out)}
    if tables and tables[0].encoding:
        facts["encoding"] = tables[0].encoding
    return facts


def reading_notes(tables: Iterable[Table]) -> list[str]:
    """``shown_facts`` of the files of some tables, those that have something to say."""
    files = itertools.groupby(tables, key=lambda table: table.path)
    return [line for path, parts in files if (line := shown_facts(path, reading_facts(list(parts))))]


def shown_facts(path: Path | str, facts: Mapping[str, Any]) -> str:
    """The same as a line for people, "" where there is nothing that they might have expected otherwise."""
    said = []
    if left_out := facts.get("sheets_left_out"):
        read, name = ", ".join(facts["sheets"]), workbook_path(Path(path))[0].name
        said.append(
            f"read from sheet {read}; left out: {', '.join(left_out)} "
            f"({name}#SHEET chooses one, {name}#{ALL_SHEETS} all that have the columns)"
        )
    if encoding := facts.get("encoding"):
        said.append(f"not UTF-8, read as {encoding}")
    return f"{path}: {'; '.join(said)}" if said else ""


def table_files(path: Path) -> list[Path]:
    """``data_files`` that are tables, packed ones too."""
    return data_files(path, TABLE_ENDINGS, table_ending)


def is_data(path: Path) -> bool:
    """Whether a name is none of a hidden file's, or of a lock of an open Office file."""
    return not path.name.startswith(_NOT_DATA)


def data_files(
    path: Path, endings: Collection[str], ending_of: Callable[[Path], str] = lambda path: path.suffix.lower()
) -> list[Path]:
    """The files of a path, sorted by name: itself, or those of a folder.

    Of a folder the files with a known ending; not those of its folders, hidden ones, and locks.

    Raises:
        DataError: Nothing is there, or a folder without a file of a known ending.
    """
    if path.is_file():
        return [path]
    if not path.is_dir():
        if path.exists():  # rows are read more than once, which no pipe allows
            raise DataError(f"{path}: a device or a pipe; attar score reads one as standard input: --in -")
        if path.is_symlink():
            raise DataError(f"{path}: a link that leads nowhere, or in a circle; name the file itself")
        raise DataError(f"{path}: no such file or folder{_neighbours(path)}")
    files = sorted(
        file for file in path.iterdir() if file.is_file() and is_data(file) and ending_of(file) in endings
    )
    if not files:
        there = ", ".join(sorted(p.name for p in path.iterdir())[:10]) or "nothing"
        known = ", ".join(endings)
        raise DataError(f"{path}: no file to read in this folder (known: {known}); there is {there}")
    return files


def _neighbours(path: Path) -> str:
    if not path.parent.is_dir():
        return f"; nor is there a folder {path.parent}"
    names = sorted(p.name for p in path.parent.iterdir() if not p.name.startswith("."))
    near = difflib.get_close_matches(path.name, names, n=3)
    return f"; beside it: {', '.join(near or names[:5])}" if names else f"; {path.parent} is empty"


def write_table(
    path: Path, chunks: Iterable[Sequence[Mapping[str, object]]], types: Mapping[str, Any]
) -> None:
    """Write JSONL, CSV, TSV or Parquet.

    Args:
        path: Where to.
        chunks: The rows.
        types: Columns in order, with their Arrow types or the names of these. JSONL needs none.

    Raises:
        DataError: The ending is none of these.
    """
    rows = (row for chunk in chunks for row in chunk)
    match table_format(path):
        case "jsonl":
            with write_jsonl(path) as write:
                for row in rows:
                    write(row)
        case "csv" | "tsv" as table_ending:
            with atomic_write(path) as draft:
                write_delimited(draft, rows, types, "\t" if table_ending == "tsv" else ",")
        case "parquet":
            with atomic_write(path) as draft:
                write_parquet(draft, chunks, types)
        case "excel":
            raise DataError(f"{path}: a workbook has sheets; see attar.workbook.sheets")


def column_types(tables: Iterable[Table]) -> dict[str, Any]:
    """Arrow type, or its name, of every column of some tables, in order.

    Columns with several types are text. Where a format has no types, the rows are read once.
    """
    types: dict[str, Any] = {}
    for table in tables:
        for name, found in _types(table).items():
            types[name] = found if types.get(name, found) == found else "string"
    return types


def _types(table: Table) -> dict[str, Any]:
    if table.schema is not None:
        return {field.name: field.type for field in table.schema}
    if table.format in ("csv", "tsv"):
        return dict.fromkeys(table.columns, "string")
    kinds: dict[str, set[type]] = {name: set() for name in table.columns if table.has_fixed_columns}
    for row in table.rows():
        for name, value in row.values.items():
            is_long = type(value) is int and value not in _INT64
            kinds.setdefault(name, set()).add(str if is_long else type(value))
    return {name: type_of(found - {type(None)}) for name, found in kinds.items()}


def type_of(kinds: set[type]) -> str:
    """The name of the Arrow type of a column whose values are of these types; of several it is text."""
    if kinds in ({bool}, {int}):
        return "bool" if kinds == {bool} else "int64"
    if kinds == {datetime}:
        return "timestamp[us]"
    return "double" if kinds and kinds <= {int, float} else "string"
