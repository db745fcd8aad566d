"""The rows of a workbook's sheets, parsed as a stream; ``workbook_package`` opens the workbook."""

from __future__ import annotations

import itertools
import re
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import XMLPullParser

from attar.errors import DataError
from attar.io.tables.limits import LIMIT_VARIABLE
from attar.io.tables.merged_cells import MergedCells, merged_cells
from attar.io.tables.rows import CellError, Cells
from attar.io.tables.workbook_package import UNREADABLE, Sheet, max_sheet_bytes

__all__ = ["MAX_SHEET_COLUMNS", "MAX_SHEET_ROWS", "sheet_cells"]

MAX_SHEET_ROWS = 1_048_576  # Excel's own limits
MAX_SHEET_COLUMNS = 16_384
_MAX_ROW_PARTS = 1 << 18  # cells, their values and the runs of their rich text
_MAX_ROW_BYTES = 32 << 20
_BATCH_ROWS = 64
_BLOCK_BYTES = 1 << 17
_ESCAPE = re.compile("_x([0-9A-Fa-f]{4})_")
_SURROGATE = re.compile("[\ud800-\udfff]")


def sheet_cells(path: Path, sheet: Sheet) -> Iterator[Cells]:
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
    num_chars, most_chars = 0, max_sheet_bytes()
    try:
        with sheet.book.archive.open(sheet.part) as part:
            merged = merged_cells(path, part)
        with sheet.book.archive.open(sheet.part) as part:
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
                        num_chars += sum(len(value) for value in row if isinstance(value, str))
                        yield number, row
                if num_chars > most_chars:
                    raise DataError(
                        f"{path}: its cells hold more than {most_chars:,} characters, of which many are one "
                        f"text used again and again; save it in parts, or raise {LIMIT_VARIABLE}"
                    )
    except UNREADABLE as error:
        raise DataError(f"{path}: the sheet cannot be read to its end; save it as .xlsx again") from error


def _parsed(path: Path, sheet: Sheet, part: Any) -> Iterator[tuple[int, list[dict[str, Any]]]]:  # noqa: ANN401
    """(row number, its cells as openpyxl parses them).

    Not by ``iter_rows``, which makes every row up to the number of the next, be that a billion.
    """
    from openpyxl.worksheet._reader import DATA_TAG, ROW_TAG, WorkSheetParser

    book = sheet.book
    row_parser = WorkSheetParser(
        part,
        book.strings,
        data_only=True,
        epoch=book.epoch,
        date_formats=book.date_formats,
        timedelta_formats=book.timedelta_formats,
    )
    xml: Any = XMLPullParser(("end",))  # whose types do not know which events were asked for
    num_rows = num_tags = num_bytes = 0
    while block := part.read(_BLOCK_BYTES):
        num_tags += block.count(b"<")
        num_bytes += len(block)
        xml.feed(block)
        for _, element in xml.read_events():
            if element.tag == ROW_TAG:
                number, cells = row_parser.parse_row(element)
                num_rows += 1
                if number > MAX_SHEET_ROWS or num_rows > MAX_SHEET_ROWS:
                    raise DataError(_beyond(path, number if number > MAX_SHEET_ROWS else num_rows, 1))
                yield number, cells
                row_parser.row_dimensions.clear()
                element.clear()
                num_tags = num_bytes = 0
            elif element.tag == DATA_TAG:
                return
        if num_tags > 2 * _MAX_ROW_PARTS or num_bytes > _MAX_ROW_BYTES:
            raise DataError(
                f"{path}: the row after {row_parser.row_counter} has more than {_MAX_ROW_PARTS:,} parts or "
                f"{_MAX_ROW_BYTES:,} bytes; it is no table of reviews, or it is damaged; save it as .xlsx "
                "again"
            )
    xml.close()
    raise DataError(
        f"{path}: the sheet {sheet.title!r} has no rows where a sheet has them; if it was saved as Strict "
        "Open XML, save it as an ordinary .xlsx"
    )


def _row(path: Path, number: int, cells: list[dict[str, Any]], merged: MergedCells) -> list[object]:
    row: list[object] = []
    for cell in cells:
        value, column = cell["value"], cell["column"]
        if column > MAX_SHEET_COLUMNS:
            raise DataError(_beyond(path, number, column))
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


def _beyond(path: Path, number: int, column: int) -> str:
    return (
        f"{path}: a cell in row {number}, column {column}, but a sheet has {MAX_SHEET_ROWS:,} rows and "
        f"{MAX_SHEET_COLUMNS:,} columns; save it as .xlsx again"
    )


def _unescaped(text: str) -> str:
    """A text whose ``_xHHHH_`` are the UTF-16 units that they stand for; ``_x005F_`` is a plain ``_``."""
    found = _ESCAPE.sub(lambda match: chr(int(match[1], 16)), text)
    if _SURROGATE.search(found):
        return found.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")
    return found
