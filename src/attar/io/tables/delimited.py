r"""CSV, TSV and other tables with a delimiter between their cells, read and written.

Quotes follow one rule: a cell that begins with a quote ends with one, and a quote within it is
written twice. Anything else is an error, because a stray quote would swallow rows up to the next
one; files that were written without quoting are read with ``quoted=False``.

A row ends with ``\n`` or ``\r\n``, in a file without any ``\n`` with ``\r``; any other ``\r`` belongs to
its cell, with quotes around that or without.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Literal, TextIO

from attar.errors import DataError
from attar.io.encodings import Encoding, find_encoding
from attar.io.lines import count_lines, numbered_lines
from attar.io.tables.jsonl import json_line
from attar.io.tables.limits import LIMIT_VARIABLE, max_part_bytes
from attar.io.tables.rows import Cells, Table, as_text, table_with_header

__all__ = ["cell_of", "delimited_cells", "open_delimited", "write_delimited", "write_delimited_rows"]

# Stands for a carriage return without quotes, at which csv would stop; half of a pair is in no file.
_RETURN = "\udc0d"
_SEP_LINE = re.compile(r"sep=(.)[\r\n]*", re.IGNORECASE)  # how Excel says what separates two cells
_OTHERS = ";|\t,"
_BYTES_PER_CHAR = 8  # while a cell is put together, with room for its growth
_LONGEST_CHARS = 2**31 - 1  # of a cell; a C long


def open_delimited(
    path: Path,
    file_format: Literal["csv", "tsv"],
    *,
    delimiter: str | None = None,
    quoted: bool = True,
    names: Sequence[str] = (),
    encoding: str | Encoding | None = None,
) -> Table:
    """Open a table with a delimiter.

    Args:
        path: A file.
        file_format: Decides the delimiter if none is given.
        delimiter: What separates two cells; of several characters, quotes are text. None goes by the
            format, or by a first line ``sep=;`` or a header that has none of it, but another one.
        quoted: Whether a quote at the start of a cell begins a quoted one.
        names: Names of the columns of a table without a header.
        encoding: See ``find_encoding``.

    Raises:
        DataError: The file is not of its encoding, a quote is not as above, or a column name occurs twice;
            while the rows are read, too.
    """
    found = find_encoding(path, encoding)
    usual = "\t" if file_format == "tsv" else ","
    unusual = "" if delimiter or names else _other_delimiter(path, usual, found)
    delimiter = delimiter or unusual or usual
    read = partial(_quoted if quoted and len(delimiter) == 1 else _plain, path, delimiter, found)
    count = partial(_count_rows, path, found, has_header=not names)
    table = table_with_header(path, file_format, read, names, count)
    if not (found.shown or unusual):
        return table
    return replace(table, encoding=found.shown, delimiter="tab" if unusual == "\t" else unusual)


def delimited_cells(path: Path, file_format: Literal["csv", "tsv"]) -> Iterator[Cells]:
    """The rows of a file without a header, of any number of cells.

    Yields:
        (line, cells).

    Raises:
        DataError: As ``open_delimited``.
    """
    return _quoted(path, "\t" if file_format == "tsv" else ",", find_encoding(path))


def write_delimited(
    path: Path, rows: Iterable[Mapping[str, object]], columns: Iterable[str], delimiter: str
) -> None:
    """Write a UTF-8 file of rows; see ``write_delimited_rows``."""
    with path.open("w", encoding="utf-8", errors="backslashreplace", newline="") as stream:
        write_delimited_rows(stream, rows, columns, delimiter)


def write_delimited_rows(
    stream: TextIO, rows: Iterable[Mapping[str, object]], columns: Iterable[str], delimiter: str
) -> None:
    r"""Write rows below a header; a cell with the delimiter, a quote, ``\r`` or ``\n`` is quoted.

    Args:
        stream: Must leave the ends of lines as they are.
        rows: By column.
        columns: In order.
        delimiter: Stands between two cells.
    """
    names = list(columns)
    table = csv.writer(stream, delimiter=delimiter, lineterminator="\n")
    # Before Python 3.13 a lone carriage return does not make the writer quote a cell.
    careful = csv.writer(stream, delimiter=delimiter, lineterminator="\n", quoting=csv.QUOTE_ALL)
    for cells in ([names], ([cell_of(row.get(name)) for name in names] for row in rows)):
        for row in cells:
            writer = careful if any(cell and "\r" in cell for cell in row) else table
            writer.writerow(row)


def cell_of(value: object) -> str | None:
    """A value as the text of a cell; what has parts is JSON."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, dict | list | tuple):
        return json_line(value)
    return str(value) if isinstance(value, int | float) else as_text(value)


def _other_delimiter(path: Path, usual: str, encoding: Encoding) -> str:
    """What separates the cells where the header says that it is not the usual; "" where that may be."""
    for number, line in numbered_lines(path, encoding):
        if number == 1 and (said := _SEP_LINE.fullmatch(line)):
            return said[1].replace(usual, "")
        if line.strip():
            others = [each for each in _OTHERS if each in line]
            return others[0] if usual not in line and len(others) == 1 else ""
    return ""


def _count_rows(path: Path, encoding: Encoding, *, has_header: bool) -> int:
    """About how many rows there are: a cell may hold line ends."""
    return max(0, count_lines(path, encoding) - has_header)


def _quoted(path: Path, delimiter: str, encoding: Encoding) -> Iterator[Cells]:
    # A quote that nothing ends takes all that follows; a packed file may unfold to terabytes of it.
    csv.field_size_limit(min(max_part_bytes() // _BYTES_PER_CHAR, _LONGEST_CHARS))
    lines = _Lines(path, encoding)
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    first = 1
    try:
        for row in reader:
            if lines.has_returns:
                row = [cell.replace(_RETURN, "\r") for cell in row]  # noqa: PLW2901
            yield first, row
            first = reader.line_num + 1
    except csv.Error as error:
        if "field limit" in str(error):
            raise DataError(
                f"{path}:{first}: a cell of more than {csv.field_size_limit():,} characters: a quote without "
                f"an end, or no table of reviews; if it is to be trusted, set {LIMIT_VARIABLE} (1 where it "
                "is not set)"
            ) from error
        raise DataError(
            f"{path}:{reader.line_num}: {error}; write a quote inside a field twice, "
            "or set quoted = false (attar score: --no-quotes) where quotes are text"
        ) from error


def _plain(path: Path, delimiter: str, encoding: Encoding) -> Iterator[Cells]:
    for number, line in enumerate(_Lines(path, encoding), 1):
        whole = line.rstrip("\r\n").replace(_RETURN, "\r")
        if whole:
            yield number, whole.split(delimiter)


class _Lines:
    """The lines of a file with their ends.

    Attributes:
        has_returns: Whether one so far has a carriage return within it; ``_RETURN`` stands for it.
    """

    def __init__(self, path: Path, encoding: Encoding) -> None:
        self.has_returns = False
        self._path = path
        self._encoding = encoding

    def __iter__(self) -> Iterator[str]:
        for number, line in numbered_lines(self._path, self._encoding):
            if number == 1 and _SEP_LINE.fullmatch(line):
                yield "\n"
                continue
            if "\r" not in line:
                yield line
                continue
            whole = line.rstrip("\r\n")
            if "\r" not in whole:
                yield line
            else:
                self.has_returns = True
                yield whole.replace("\r", _RETURN) + line[len(whole) :]
