"""Excel sheets, read as a stream; ``attar.workbook.sheets`` writes them.

Without a name the first visible sheet that has the columns is read, or in a workbook of attar's own
its sheets ``result``: so what ``attar score`` wrote is read like the file that it was made from.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from attar.errors import DataError
from attar.io.tables.rows import Cells, Table, table_with_header
from attar.io.tables.workbook_package import Sheet, open_workbook_parts, openpyxl_package
from attar.io.tables.workbook_parts import sheet_cells

__all__ = ["ALL_SHEETS", "open_sheets", "openpyxl_package", "workbook_path"]

ALL_SHEETS = "*"
_ENDINGS = (".xlsx#", ".xlsm#")
_RESULT = re.compile(r"result( \d+)?")

_Read = Callable[[], Iterator[Cells]]


def workbook_path(path: Path) -> tuple[Path, str]:
    """A path and the sheet that it names after a ``#``, "" for none.

    ``reviews.xlsx#2024`` is the sheet 2024 of reviews.xlsx, unless there is a file of that name;
    ``reviews.xlsx#*`` are all of its sheets.
    """
    whole = str(path)
    for ending in _ENDINGS:
        place = whole.lower().rfind(ending)
        if place >= 0 and not path.exists():
            cut = place + len(ending) - 1
            return Path(whole[:cut]), whole[cut + 1 :]
    return path, ""


def open_sheets(
    path: Path, sheet: str = "", names: Sequence[str] = (), needed: Sequence[Collection[str]] = ()
) -> list[Table]:
    """Open sheets of a workbook; formulas are read as their last results.

    Args:
        path: An Excel workbook of 2007 or later.
        sheet: Name of the sheet; "" for the first visible one that has the columns, or just the first
            visible one if none has; ``*`` for every visible one that has them.
        names: Names of the columns of a sheet without a header.
        needed: The columns that a sheet of rows has: of each collection at least one.

    Returns:
        A table a sheet, in their order; ``sheet`` and ``sheets_left_out`` say which. Rows of
        sheets that are all read name theirs in ``source``.

    Raises:
        DataError: No such workbook or sheet, a column name occurs twice, or the package openpyxl is
            not installed; while the rows are read, too.
    """
    sheets = {page.title: page for page in open_workbook_parts(path)}
    if not sheets or (sheet not in ("", ALL_SHEETS) and sheet not in sheets):
        there = ", ".join(sheets) or "none with cells"
        raise DataError(f"{path}: no sheet {sheet or 'to read'}; there are {there}")
    open_one = partial(_open, path, names)
    visible = [title for title, page in sheets.items() if page.is_visible] or list(sheets)
    results = [title for title in sheets if _RESULT.fullmatch(title)]
    if sheet in sheets:
        tables = [open_one(sheet, partial(sheet_cells, path, sheets[sheet]))]
    elif sheet == ALL_SHEETS:
        sources = {title: (partial(sheet_cells, path, sheets[title]), f"{path}#{title}") for title in visible}
        tables = _all_with(needed, [partial(open_one, title, *said) for title, said in sources.items()])
    elif results and next(iter(sheets)) == "summary":
        read = partial(_one_after_another, path, [sheets[title] for title in results])
        return [_among(open_one(", ".join(results), read), results, sheets)]
    else:
        openers = [partial(open_one, title, partial(sheet_cells, path, sheets[title])) for title in visible]
        tables = [_first_with(needed, openers)]
    read_titles = [table.sheet for table in tables]
    return [_among(table, read_titles, sheets) for table in tables]


def _open(path: Path, names: Sequence[str], title: str, read: _Read, source: str = "") -> Table:
    table = table_with_header(path, "excel", read, names, lambda: None, source=source)
    return replace(table, sheet=title)


def _among(table: Table, read: Collection[str], sheets: dict[str, Sheet]) -> Table:
    """The table with the names of the sheets that are not read, and its own where there are several."""
    left_out = tuple(
        title if page.is_visible else f"{title} (hidden)"
        for title, page in sheets.items()
        if title not in read
    )
    name = f"{table.name}#{table.sheet}" if len(sheets) > 1 and "#" not in table.name else table.name
    return replace(table, name=name, sheets_left_out=left_out)


def _first_with(needed: Sequence[Collection[str]], openers: Sequence[Callable[[], Table]]) -> Table:
    """The first table with the columns that are needed, or else the first."""
    first: Table | DataError | None = None
    for open_one in openers:
        try:
            table = open_one()
        except DataError as error:
            first = first or error
            continue
        if _has(table, needed):
            return table
        first = first or table
    if isinstance(first, DataError):
        raise first
    assert first is not None, "a workbook without sheets is refused"
    return first


def _all_with(needed: Sequence[Collection[str]], openers: Sequence[Callable[[], Table]]) -> list[Table]:
    """Every table with the columns that are needed, or else the first."""
    found = [table for table in map(_opened, openers) if table is not None and _has(table, needed)]
    return found or [_first_with(needed, openers)]


def _opened(open_one: Callable[[], Table]) -> Table | None:
    try:
        return open_one()
    except DataError:
        return None


def _has(table: Table, needed: Sequence[Collection[str]]) -> bool:
    return bool(table.columns) and all(set(any_of) & set(table.columns) for any_of in needed)


def _one_after_another(path: Path, pages: Sequence[Sheet]) -> Iterator[Cells]:
    """The rows of sheets of which each continues the one before, below a header of its own."""
    before = 0
    for index, page in enumerate(pages):
        number = 0
        for number, cells in itertools.islice(sheet_cells(path, page), 1 if index else 0, None):
            yield before + number, cells
        before += number
