"""Excel sheets as rows of cells, streamed."""

from __future__ import annotations

import warnings
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import ParseError
from zipfile import BadZipFile

from attar.errors import DataError, require

__all__ = ["sheet_rows", "workbook_path"]

_ENDINGS = (".xlsx#", ".xlsm#")
# What the parsers of zip and XML say of a damaged file.
_UNREADABLE = (ParseError, BadZipFile, KeyError, ValueError, TypeError, OSError, zlib.error)


def workbook_path(path: Path) -> tuple[Path, str]:
    """A path and the sheet that it names after a ``#``, "" for the first one.

    ``reviews.xlsx#2024`` is the sheet 2024 of reviews.xlsx, unless there is a file of that name.
    """
    whole = str(path)
    for ending in _ENDINGS:
        place = whole.lower().rfind(ending)
        if place >= 0 and not path.exists():
            cut = place + len(ending) - 1
            return Path(whole[:cut]), whole[cut + 1 :]
    return path, ""


def sheet_rows(path: Path, sheet: str) -> Iterator[tuple[int, list[object]]]:
    """Yield (row number from 1, cells) of a sheet; formulas as their last results.

    Empty rows, and the empty cells at the end of a row, are left out.

    Args:
        path: An Excel workbook of 2007 or later.
        sheet: Name of the sheet, "" for the first.

    Raises:
        DataError: No such workbook or sheet.
        MissingPackageError: The package openpyxl is not installed.
    """
    book = _open(path)
    try:
        tables = {table.title: table for table in book.worksheets}
        if not tables or (sheet and sheet not in tables):
            there = ", ".join(tables) or "none with cells"
            raise DataError(f"{path}: no sheet {sheet or 'to read'}; there are {there}")
        table = tables[sheet or next(iter(tables))]
        # Some programs write a wrong extent, and rows beyond it would be cut off.
        table.reset_dimensions()
        for number, row in enumerate(table.iter_rows(values_only=True), 1):
            cells = list(row)
            while cells and cells[-1] is None:
                cells.pop()
            if cells:
                yield number, cells
    except _UNREADABLE as error:
        raise DataError(f"{path}: the sheet cannot be read to its end; save it as .xlsx again") from error
    finally:
        book.close()


def _open(path: Path) -> Any:  # noqa: ANN401 - a class of an optional package
    openpyxl = require("openpyxl", "excel")
    try:
        with warnings.catch_warnings():
            # Styles that are not there are nothing that a reader of cells needs.
            warnings.simplefilter("ignore", UserWarning)
            return openpyxl.load_workbook(path, read_only=True, data_only=True)
    except (*_UNREADABLE, AttributeError, openpyxl.utils.exceptions.InvalidFileException) as error:
        raise DataError(f"{path}: not an Excel workbook that can be read; save it as .xlsx again") from error
