"""Rows of an Excel file, streamed: of its sheet ``result`` where there is one, else of its first.

So a file that ``attar score`` wrote is read like the one it was made from.
"""

from __future__ import annotations

import contextlib
import re
import zipfile
from collections.abc import Iterator
from datetime import date, time
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import ParseError

from attar.errors import DataError
from attar.workbook.sheets import excel

__all__ = ["read_excel"]

_RESULT = re.compile(r"result( \d+)?")


def read_excel(path: Path) -> Iterator[tuple[int, list[Any]]]:
    """Read the rows that are not empty.

    Yields:
        (row number from 1, its cells): the header first. Dates are ISO text, an empty cell is
        None, and empty cells at a row's end may be left out.

    Raises:
        DataError: Openpyxl is not installed, or the file is no workbook.
    """
    openpyxl = excel()
    try:
        book = openpyxl.load_workbook(path, read_only=True, data_only=True)
    except (zipfile.BadZipFile, KeyError, ValueError, TypeError) as error:
        raise DataError(f"{path}: not an Excel workbook (.xlsx) that can be read; save it again") from error
    with contextlib.closing(book):
        results = [sheet for sheet in book.worksheets if _RESULT.fullmatch(sheet.title)]
        try:
            yield from _rows(results or book.worksheets[:1])
        except (ParseError, zipfile.BadZipFile, KeyError, ValueError) as error:
            raise DataError(f"{path}: a sheet is damaged; open it in Excel and save it again") from error


def _rows(sheets: list[Any]) -> Iterator[tuple[int, list[Any]]]:
    number = 0
    for index, sheet in enumerate(sheets):
        sheet.reset_dimensions()  # what a writer claims about the size is often wrong
        for at, cells in enumerate(sheet.iter_rows(values_only=True)):
            number += 1
            if (index and at == 0) or all(cell is None for cell in cells):
                continue
            yield number, [_value(cell) for cell in cells]


def _value(cell: object) -> object:
    return cell.isoformat() if isinstance(cell, date | time) else cell
