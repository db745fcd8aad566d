"""Excel files that open ready to read: sheets of rows, written as a stream.

What ``attar score``, ``compare`` and ``evaluate`` give to analysts. A header stays in view and
filters, the term stands out in its text, and nothing that a review says is ever a formula. The
bytes of a file depend on its cells alone, so that a run's hashes hold.
"""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
import zipfile
from collections.abc import Iterator, Sequence
from copy import copy
from dataclasses import dataclass
from datetime import date, datetime, time
from os import SEEK_END
from pathlib import Path
from typing import Any, Literal

from attar.errors import DataError, RunError
from attar.io.files import atomic_write
from attar.io.tables.excel import openpyxl_package
from attar.workbook.cells import (
    Cell,
    Marked,
    cell_text,
    cells_that_waited,
    date_format,
    plain_cell,
    waiting_cells,
)
from attar.workbook.sheet_files import discard, write_in

__all__ = ["MAX_ROWS", "Book", "Cell", "Column", "Kind", "Marked", "Sheet", "cell_text", "open_workbook"]

MAX_ROWS = 1_048_575  # of data: Excel's limit less the header
_MAX_COLUMNS = 16_384
_LOOKS_ACTIVE = ("=", "+", "-", "@", "\t")
_EPOCH = datetime(2000, 1, 1)
_ZIP_EPOCH = (2000, 1, 1, 0, 0, 0)
_WIDTHS = {"text": 70, "word": 16, "number": 10, "share": 10, "percent": 10}
_FORMATS = {"share": "0.000", "percent": "0.0%"}
_MARK_COLOUR, _HEAD_COLOUR = "B03A5B", "F3E9EC"

Kind = Literal["text", "word", "number", "share", "percent"]


@dataclass(frozen=True, slots=True)
class Column:
    """A column: its heading, and what it holds (a share or a percentage is a number from 0 to 1)."""

    name: str
    kind: Kind = "word"


@contextlib.contextmanager
def open_workbook(path: Path, *, is_draft: bool = False) -> Iterator[Book]:
    """Yield a book that is written to ``path``, whole, only if the block succeeds.

    Args:
        path: Where to.
        is_draft: Whether somebody else gives it its name when it is whole, so that it is written as it is.

    Raises:
        MissingPackageError: Openpyxl is not installed.
    """
    with contextlib.nullcontext(path) if is_draft else atomic_write(path) as draft:
        book = Book(draft.parent)
        try:
            yield book
            book.save(draft)
        finally:
            book.close()


class Book:
    """An Excel file in the making; sheets stand in the order in which they were declared.

    Args:
        folder: Where it is going to be; until it is saved its sheets are there, in files without a name.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.openpyxl = openpyxl_package()
        self.workbook = self.openpyxl.Workbook(write_only=True)
        self.workbook.properties.created = self.workbook.properties.modified = _EPOCH
        self._sheets: list[Sheet] = []

    def sheet(
        self, title: str, columns: Sequence[Column] = (), *, is_sorted: bool = False, is_printed: bool = False
    ) -> Sheet:
        """Declare a sheet; it is in the file once a row is appended, or ``show`` is called.

        Args:
            title: At most 28 characters, without brackets, slashes and ``:*?``.
            columns: Its header; none makes it a page of free rows.
            is_sorted: Write the rows in the order of their ``rank``, the highest first.
            is_printed: Have it printed one page wide, across, columns narrow, its header on every page.

        Raises:
            DataError: More columns than Excel takes.
        """
        if len(columns) > _MAX_COLUMNS:
            raise DataError(
                f"{len(columns)} columns; Excel takes {_MAX_COLUMNS}: write .csv or .parquet instead"
            )
        made = Sheet(self, title, columns, is_sorted=is_sorted, is_printed=is_printed)
        self._sheets.append(made)
        return made

    def save(self, path: Path) -> None:
        """Finish every sheet and write the file."""
        from openpyxl.writer.excel import ExcelWriter

        parts = [part for sheet in self._sheets for part in sheet.finish()]
        for index, part in enumerate(parts):
            self.workbook.move_sheet(part.title, index - self.workbook.index(part))
        with _Archive(path, "w", zipfile.ZIP_DEFLATED, allowZip64=True) as archive:
            ExcelWriter(self.workbook, archive).write_data()

    def close(self) -> None:
        """Let go of what the sheets hold."""
        for sheet in self._sheets:
            sheet.close()


class Sheet:
    """One sheet; past Excel's last row it continues in another, "<title> 2"."""

    def __init__(
        self, book: Book, title: str, columns: Sequence[Column], *, is_sorted: bool, is_printed: bool
    ) -> None:
        from openpyxl.cell import WriteOnlyCell
        from openpyxl.cell.rich_text import CellRichText, TextBlock
        from openpyxl.cell.text import InlineFont

        self.num_rows = 0
        self.title = title
        self._book, self._columns, self._is_printed = book, columns, is_printed
        self._parts: list[Any] = []
        self._waiting = _Waiting() if is_sorted else None
        self._cell, self._rich, self._block = WriteOnlyCell, CellRichText, TextBlock
        self._mark = InlineFont(b=True, color=_MARK_COLOUR)
        self._styles: dict[tuple[str, bool, str], Any] = {}

    def append(self, cells: Sequence[Cell], *, rank: float = 0.0) -> None:
        """Add a row, one cell a column; ``rank`` counts in a sorted sheet."""
        self.num_rows += 1
        if self._waiting is None:
            self._write(cells, self.num_rows)
        else:
            self._waiting.add(rank, cells)

    def heading(self, *cells: Cell) -> None:
        """Add a row in bold to a page."""
        self.num_rows += 1
        part = self._part(self.num_rows)
        part.append([self._head_cell(part, cell) for cell in cells])

    def show(self) -> None:
        """Have the sheet in the file even without rows."""
        self._part(1)

    def worksheet(self) -> Any:  # noqa: ANN401 - openpyxl's
        """Openpyxl's sheet, to which charts are added; from then on it is in the file."""
        return self._part(1)

    def finish(self) -> list[Any]:
        """Write what waits, set the filters, and give openpyxl's sheets."""
        if self._waiting is not None:
            for number, cells in enumerate(self._waiting.in_order(), 1):
                self._write(cells, number)
        if self._columns:
            last = self._book.openpyxl.utils.get_column_letter(len(self._columns))
            for index, part in enumerate(self._parts):
                rows = min(self.num_rows - index * MAX_ROWS, MAX_ROWS)
                part.auto_filter.ref = f"A1:{last}{rows + 1}"
        return self._parts

    def close(self) -> None:
        """Forget the rows that wait, and end what was not finished."""
        if self._waiting is not None:
            self._waiting.close()
        for part in self._parts:
            discard(part)

    def _write(self, cells: Sequence[Cell], number: int) -> None:
        part = self._part(number)
        kinds = [column.kind for column in self._columns] or ["word"] * len(cells)
        part.append([self._styled(part, cell, kind) for cell, kind in zip(cells, kinds, strict=True)])

    def _part(self, number: int) -> Any:  # noqa: ANN401 - openpyxl's
        index = (number - 1) // MAX_ROWS
        if index == len(self._parts):
            title = self.title if index == 0 else f"{self.title} {index + 1}"
            part = self._book.workbook.create_sheet(title)
            write_in(part, self._book.folder)
            part._values_to_row = _placed
            if self._is_printed:  # before the first row, behind which Excel's order has no place for it
                _fit_page(part, has_header=bool(self._columns))
            letter = self._book.openpyxl.utils.get_column_letter
            for place, column in enumerate(self._columns, 1):
                width = _WIDTHS[column.kind]
                if not self._is_printed:  # on paper a heading takes more lines instead
                    width = max(width, min(2 * len(column.name), 24))
                part.column_dimensions[letter(place)].width = width
            if self._columns:
                part.freeze_panes = "A2"
                part.append([self._head_cell(part, column.name) for column in self._columns])
            else:
                for place in range(1, 13):
                    part.column_dimensions[letter(place)].width = 28 if place == 1 else 14
            self._parts.append(part)
        return self._parts[index]

    def _head_cell(self, part: Any, value: Cell) -> Any:  # noqa: ANN401 - openpyxl's
        from openpyxl.styles import Font, PatternFill

        cell = self._styled(part, value, "text" if self._is_printed and self._columns else "word")
        cell._style = copy(cell._style)
        cell.font = Font(bold=True)
        cell.fill = PatternFill("solid", fgColor=_HEAD_COLOUR)
        return cell

    def _styled(self, part: Any, value: Cell, kind: str) -> Any:  # noqa: ANN401 - openpyxl's
        cell = self._cell(part)
        is_active, shown_as = False, ""
        if type(value) is float and value - value == 0.0:  # finite
            cell._value = value
        elif isinstance(value, Marked):
            cell.value = self._marked(value)
        else:
            plain = plain_cell(value)
            cell.value = plain
            if isinstance(plain, str) and plain:
                # Left to itself openpyxl makes =1+1 a formula and #N/A an error.
                cell.data_type = "s"
                is_active = plain.startswith(_LOOKS_ACTIVE)
            elif isinstance(plain, date | time):
                shown_as = date_format(plain)
        cell._style = self._style(part, kind, is_active, shown_as)
        return cell

    def _style(self, part: Any, kind: str, is_active: bool, shown_as: str) -> Any:  # noqa: ANN401 - openpyxl's
        """The style of a kind of cell: made once, because openpyxl takes its time over each."""
        key = kind, is_active, shown_as
        if key not in self._styles:
            from openpyxl.styles import Alignment

            cell = self._cell(part)
            cell.alignment = Alignment(vertical="top", wrap_text=kind == "text")
            cell.quotePrefix = is_active
            if kind in _FORMATS:
                cell.number_format = _FORMATS[kind]
            if shown_as:
                cell.number_format = shown_as
            self._styles[key] = cell._style
        return self._styles[key]

    def _marked(self, value: Marked) -> Any:  # noqa: ANN401 - openpyxl's
        text = cell_text(value.text)
        parts = (text[: value.start], text[value.start : value.end], text[value.end :])
        if not parts[1]:
            return self._rich(text)
        return self._rich(
            *(self._block(self._mark, part) if i == 1 else part for i, part in enumerate(parts) if part)
        )


class _Waiting:
    """Rows that wait on disk for their order to be known."""

    def __init__(self) -> None:
        self._rows = sqlite3.connect("")  # a file of SQLite's own, gone with the connection
        self._rows.execute("CREATE TABLE waiting (rank REAL, number INTEGER PRIMARY KEY, cells TEXT)")

    def add(self, rank: float, cells: Sequence[Cell]) -> None:
        written = waiting_cells(cells)
        with _room_to_wait():
            self._rows.execute("INSERT INTO waiting (rank, cells) VALUES (?, ?)", (rank, written))

    def in_order(self) -> Iterator[list[Cell]]:
        with _room_to_wait():
            rows = self._rows.execute("SELECT cells FROM waiting ORDER BY rank DESC, number")
            while found := rows.fetchone():
                yield cells_that_waited(found[0])

    def close(self) -> None:
        self._rows.close()


@contextlib.contextmanager
def _room_to_wait() -> Iterator[None]:
    try:
        yield
    except sqlite3.OperationalError as error:
        raise RunError(
            f"the folder of temporary files: rows that wait for their order cannot be kept there ({error}); "
            "free some room, or let TMPDIR name a folder on another disk"
        ) from error


class _Archive(zipfile.ZipFile):
    """A zip that says nothing of when it was made."""

    def write(self, filename: Any, arcname: Any = None, *_: Any) -> None:  # noqa: ANN401
        """Add a sheet, of which openpyxl knows the open file."""
        entry = self._entry(str(arcname))
        entry.file_size = filename.seek(0, SEEK_END)
        filename.seek(0)
        with self.open(entry, "w") as target:
            shutil.copyfileobj(filename, target)

    def writestr(self, name: Any, data: Any, *_: Any) -> None:  # noqa: ANN401 - as the base class has it
        """Add bytes."""
        super().writestr(self._entry(str(name)), data)

    @staticmethod
    def _entry(name: str) -> zipfile.ZipInfo:
        entry = zipfile.ZipInfo(name, _ZIP_EPOCH)
        entry.compress_type = zipfile.ZIP_DEFLATED
        entry.external_attr = 0o644 << 16
        return entry


def _placed(cells: Sequence[Any], row: int) -> Iterator[Any]:
    """Our cells in their places; openpyxl would first try to make a value of each, and catch an error."""
    for column, cell in enumerate(cells, 1):
        cell.row, cell.column = row, column
        yield cell


def _fit_page(part: Any, *, has_header: bool) -> None:  # noqa: ANN401 - openpyxl's
    part.page_setup.orientation, part.page_setup.paperSize = "landscape", 9  # A4
    part.page_setup.fitToWidth, part.page_setup.fitToHeight = 1, 0
    part.sheet_properties.pageSetUpPr.fitToPage = True
    part.sheet_view.showGridLines = has_header
    if has_header:
        part.print_title_rows = "1:1"
