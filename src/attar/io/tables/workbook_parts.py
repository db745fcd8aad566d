"""The parts of an Excel workbook: unfolded within limits, its strings and the rows of its sheets.

A workbook is a zip file of XML parts, and a few kilobytes of it may stand for gigabytes. Openpyxl
says what the parts mean; how much of them is taken is decided here, before it is in memory.
"""

from __future__ import annotations

import itertools
import re
import warnings
import weakref
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import ParseError
from zipfile import BadZipFile, ZipFile

from attar.errors import DataError, require
from attar.io.tables.limits import LIMIT_VARIABLE, is_limit_set, max_part_bytes
from attar.io.tables.merged_cells import MergedCells, merged_cells
from attar.io.tables.rows import CellError, Cells

__all__ = ["MAX_SHEET_COLUMNS", "MAX_SHEET_ROWS", "open_workbook_parts", "openpyxl_package", "sheet_cells"]

MAX_SHEET_ROWS = 1_048_576  # Excel's own limits
MAX_SHEET_COLUMNS = 16_384
_STREAMED = 4  # times the limit: only the shared strings are held in memory
_MAX_RATIO = 200  # unfolded to folded; text is folded to a tenth, the emptiest sheets to a fiftieth
_ANY_RATIO_BYTES = 16 << 20
_MAX_ROW_ELEMENTS = 1 << 18  # cells, their values and the runs of their rich text
_BATCH_ROWS = 64
_BLOCK_BYTES = 1 << 18
_ESCAPED_ESCAPE = b"x005F_"
_ESCAPE = re.compile("_x([0-9A-Fa-f]{4})_")
_SURROGATE = re.compile("[\ud800-\udfff]")
# What the parsers of zip and XML say of a damaged file.
_UNREADABLE = (
    ParseError, BadZipFile, LookupError, ValueError, TypeError, AttributeError, OSError, EOFError,
    OverflowError, RuntimeError, zlib.error,
)  # fmt: skip


def openpyxl_package() -> Any:  # noqa: ANN401 - a module of an optional package
    """Openpyxl; the base install does without.

    Raises:
        MissingPackageError: It is not installed.
    """
    return require("openpyxl", "excel")


def open_workbook_parts(path: Path) -> Any:  # noqa: ANN401 - a class of an optional package
    """Open a workbook as openpyxl's, read-only: its strings are read, its sheets are not.

    Raises:
        DataError: It is none, it is damaged, or it unfolds to more than is taken.
    """
    openpyxl = openpyxl_package()
    try:
        with warnings.catch_warnings():
            # Styles that are not there are nothing that a reader of cells needs.
            warnings.simplefilter("ignore", UserWarning)
            _check_sizes(path)
            book = openpyxl.load_workbook(path, read_only=True, data_only=True)
            weakref.finalize(book, book._archive.close)
            _mend_strings(book)
            return book
    except (*_UNREADABLE, openpyxl.utils.exceptions.InvalidFileException) as error:
        raise DataError(f"{path}: not an Excel workbook that can be read; save it as .xlsx again") from error


def sheet_cells(path: Path, sheet: Any) -> Iterator[Cells]:  # noqa: ANN401 - openpyxl's
    """The rows of a sheet, from its start.

    A row of a merged range has the value of the merged cell. Such a value is not enough to make a
    row: one that holds nothing of its own is left out, like an empty one.

    Args:
        path: Its workbook, for messages.
        sheet: One of those of ``open_workbook_parts``.

    Yields:
        (row number from 1, cells), without the empty cells at a row's end.

    Raises:
        DataError: It is damaged, or beyond Excel's limits.
    """
    try:
        with sheet.parent._archive.open(sheet._worksheet_path) as part:
            merged = merged_cells(path, part)
        with sheet.parent._archive.open(sheet._worksheet_path) as part:
            numbered = _parsed(path, sheet, part)
            while True:
                with warnings.catch_warnings():
                    # Of a number that is no date, though its cell says so.
                    warnings.simplefilter("ignore", UserWarning)
                    batch = list(itertools.islice(numbered, _BATCH_ROWS))
                if not batch:
                    return
                for number, cells in batch:
                    row = _row(path, number, cells, merged)
                    if row:
                        yield number, row
    except _UNREADABLE as error:
        raise DataError(f"{path}: the sheet cannot be read to its end; save it as .xlsx again") from error


def _check_sizes(path: Path) -> None:
    # A part is never read beyond the size that the archive says, so that can be trusted.
    limit, is_set = max_part_bytes(), is_limit_set()
    with ZipFile(path) as archive:
        parts = archive.infolist()
    for part in parts:
        is_strings = part.filename.lower().endswith("sharedstrings.xml")
        most = limit if is_strings else _STREAMED * limit
        is_bomb = not is_set and part.file_size > max(_ANY_RATIO_BYTES, _MAX_RATIO * part.compress_size)
        if part.file_size > most or is_bomb:
            raise DataError(
                f"{path}: {part.filename} unfolds from {part.compress_size:,} to {part.file_size:,} bytes, "
                "more than a workbook of reviews does; save it as .xlsx again, in parts, or as .csv; if it "
                f"is to be trusted, set {LIMIT_VARIABLE} (1 where it is not set)"
            )


def _mend_strings(book: Any) -> None:  # noqa: ANN401 - openpyxl's
    """Read the shared strings again where openpyxl drops the escape of an escape (``_x005F_``)."""
    strings: list[str] = next((page._shared_strings for page in book.worksheets), [])
    parts = [name for name in book._archive.namelist() if name.lower().endswith("sharedstrings.xml")]
    if not strings or not parts or not _holds(book._archive, parts[0], _ESCAPED_ESCAPE):
        return
    from openpyxl.cell.text import Text
    from openpyxl.xml.constants import SHEET_MAIN_NS
    from openpyxl.xml.functions import iterparse

    number, tag = 0, f"{{{SHEET_MAIN_NS}}}si"
    with book._archive.open(parts[0]) as stream:
        for _, node in iterparse(stream):
            if node.tag == tag:
                strings[number] = Text.from_tree(node).content
                number += 1
                node.clear()


def _holds(archive: ZipFile, part: str, wanted: bytes) -> bool:
    rest = b""
    with archive.open(part) as stream:
        while block := stream.read(_BLOCK_BYTES):
            if wanted in rest + block:
                return True
            rest = block[-len(wanted) :]
    return False


def _parsed(path: Path, sheet: Any, part: Any) -> Iterator[tuple[int, list[dict[str, Any]]]]:  # noqa: ANN401
    """(row number, its cells as openpyxl parses them).

    Not by ``iter_rows``, which makes every row up to the number of the next, be that a billion.
    """
    from openpyxl.worksheet._reader import DATA_TAG, ROW_TAG, WorkSheetParser
    from openpyxl.xml.functions import iterparse

    book = sheet.parent
    parser = WorkSheetParser(
        part,
        sheet._shared_strings,
        data_only=True,
        epoch=book.epoch,
        date_formats=book._date_formats,
        timedelta_formats=book._timedelta_formats,
    )
    num_elements = 0
    for _, element in iterparse(part):
        num_elements += 1
        if element.tag == ROW_TAG:
            yield parser.parse_row(element)
            parser.row_dimensions.clear()
            element.clear()
            num_elements = 0
        elif element.tag == DATA_TAG:
            return
        elif num_elements > _MAX_ROW_ELEMENTS:
            raise DataError(
                f"{path}: the row after {parser.row_counter} has more than {_MAX_ROW_ELEMENTS:,} parts; "
                "it is no table of reviews, or it is damaged; save it as .xlsx again"
            )


def _row(path: Path, number: int, cells: list[dict[str, Any]], merged: MergedCells) -> list[object]:
    row: list[object] = []
    for cell in cells:
        value, column = cell["value"], cell["column"]
        if number > MAX_SHEET_ROWS or column > MAX_SHEET_COLUMNS:
            raise DataError(
                f"{path}: a cell in row {number}, column {column}, but a sheet has "
                f"{MAX_SHEET_ROWS:,} rows and {MAX_SHEET_COLUMNS:,} columns; save it as .xlsx again"
            )
        if value is None:
            continue
        if isinstance(value, str):
            if cell["data_type"] == "e":
                value = CellError(value)
            elif "_x" in value:
                value = _unescaped(value)
        if column == len(row) + 1:
            row.append(value)
        else:
            row += [None] * (column - len(row))
            row[column - 1] = value
    return merged.fill(number, row)


def _unescaped(text: str) -> str:
    """A text whose ``_xHHHH_`` are the UTF-16 units that they stand for; ``_x005F_`` is a plain ``_``."""
    found = _ESCAPE.sub(lambda match: chr(int(match[1], 16)), text)
    if _SURROGATE.search(found):
        return found.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")
    return found
