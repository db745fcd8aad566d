"""Excel sheets, read as a stream; ``attar.workbook.sheets`` writes them.

Without a name the first visible sheet is read, or in a workbook of attar's own its sheets
``result``: so what ``attar score`` wrote is read like the file that it was made from.
"""

from __future__ import annotations

import re
import warnings
import zlib
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import ParseError
from zipfile import BadZipFile

from attar.errors import DataError, require
from attar.io.tables.rows import Cells, Table, table_with_header

__all__ = ["open_sheet", "openpyxl_package", "workbook_path"]

_ENDINGS = (".xlsx#", ".xlsm#")
_RESULT = re.compile(r"result( \d+)?")
# What the parsers of zip and XML say of a damaged file.
_UNREADABLE = (ParseError, BadZipFile, KeyError, ValueError, TypeError, OSError, zlib.error)


def openpyxl_package() -> Any:  # noqa: ANN401 - a module of an optional package
    """Openpyxl; the base install does without.

    Raises:
        MissingPackageError: It is not installed.
    """
    return require("openpyxl", "excel")


def workbook_path(path: Path) -> tuple[Path, str]:
    """A path and the sheet that it names after a ``#``, "" for none.

    ``reviews.xlsx#2024`` is the sheet 2024 of reviews.xlsx, unless there is a file of that name.
    """
    whole = str(path)
    for ending in _ENDINGS:
        place = whole.lower().rfind(ending)
        if place >= 0 and not path.exists():
            cut = place + len(ending) - 1
            return Path(whole[:cut]), whole[cut + 1 :]
    return path, ""


def open_sheet(path: Path, sheet: str = "", names: Sequence[str] = ()) -> Table:
    """Open a sheet of a workbook; formulas are read as their last results.

    Args:
        path: An Excel workbook of 2007 or later.
        sheet: Name of the sheet, "" for the one that a reader sees first.
        names: Names of the columns of a sheet without a header.

    Raises:
        DataError: No such workbook or sheet, a column name occurs twice, or the package openpyxl is
            not installed; while the rows are read, too.
    """
    read = partial(_cells, path, sheet)
    return table_with_header(path, "excel", read, names, lambda: None)


def _cells(path: Path, sheet: str) -> Iterator[Cells]:
    """(row number from 1, cells), without empty rows and the empty cells at a row's end."""
    book = _open(path)
    number = 0
    try:
        unescape = openpyxl_package().utils.escape.unescape
        for index, table in enumerate(_chosen(path, book, sheet)):
            # Some programs write a wrong extent, and rows beyond it would be cut off.
            table.reset_dimensions()
            for at, row in enumerate(table.iter_rows(values_only=True)):
                number += 1
                cells = [unescape(v) if isinstance(v, str) and "_x" in v else v for v in row]
                while cells and cells[-1] is None:
                    cells.pop()
                if cells and not (index and at == 0):
                    yield number, cells
    except _UNREADABLE as error:
        raise DataError(f"{path}: the sheet cannot be read to its end; save it as .xlsx again") from error
    finally:
        book.close()


def _chosen(path: Path, book: Any, sheet: str) -> list[Any]:  # noqa: ANN401 - openpyxl's
    """The sheet of that name, the sheets ``result`` of attar's own workbook, or the first visible one."""
    tables = {table.title: table for table in book.worksheets}
    if sheet or not tables:
        if sheet not in tables:
            there = ", ".join(tables) or "none with cells"
            raise DataError(f"{path}: no sheet {sheet or 'to read'}; there are {there}")
        return [tables[sheet]]
    results = [table for title, table in tables.items() if _RESULT.fullmatch(title)]
    if results and next(iter(tables)) == "summary":
        return results
    return [next((table for table in tables.values() if table.sheet_state == "visible"), book.worksheets[0])]


def _open(path: Path) -> Any:  # noqa: ANN401 - a class of an optional package
    openpyxl = openpyxl_package()
    try:
        with warnings.catch_warnings():
            # Styles that are not there are nothing that a reader of cells needs.
            warnings.simplefilter("ignore", UserWarning)
            return openpyxl.load_workbook(path, read_only=True, data_only=True)
    except (*_UNREADABLE, AttributeError, openpyxl.utils.exceptions.InvalidFileException) as error:
        raise DataError(f"{path}: not an Excel workbook that can be read; save it as .xlsx again") from error
