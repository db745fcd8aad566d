"""The package of an Excel workbook: its parts within limits, its strings and the list of its sheets.

A workbook is a zip file of XML parts, and a few kilobytes of it may stand for gigabytes. Openpyxl says
what the parts mean; how much of them is taken is decided here, before it is in memory. What a reader of
cells has no use for (macros, links to other workbooks, drawings, properties) is never unfolded.
"""

from __future__ import annotations

import warnings
import weakref
import zlib
from collections.abc import Set
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import IO, Any
from xml.etree.ElementTree import ParseError, fromstring
from xml.parsers import expat
from zipfile import BadZipFile, ZipFile

from attar.errors import DataError, require
from attar.io.tables.limits import LIMIT_VARIABLE, is_limit_set, max_part_bytes

__all__ = [
    "UNREADABLE",
    "Book",
    "Sheet",
    "max_sheet_bytes",
    "open_workbook_parts",
    "openpyxl_package",
]

# What the parsers of zip and XML say of a damaged file.
UNREADABLE = (
    ParseError, expat.ExpatError, BadZipFile, LookupError, ValueError, TypeError, AttributeError, OSError,
    EOFError, OverflowError, RuntimeError, zlib.error,
)  # fmt: skip

_STREAMED = 4  # times the limit: of the large parts only the shared strings are held in memory
_MAX_STRINGS = 1 << 23  # eight columns of a full sheet, each cell another
_MAX_RATIO = 200  # unfolded to folded; text is folded to a tenth, the emptiest sheets to a fiftieth
_ANY_RATIO_BYTES = 16 << 20
# Of a part that becomes a tree of objects: styles, the list of sheets. The most styles that Excel allows,
# 65,490, take some 20 MB.
_MAX_TREE_BYTES = 32 << 20
_MAX_TREE_TAGS = 500_000
_BLOCK_BYTES = 1 << 18


def openpyxl_package() -> Any:  # noqa: ANN401 - a module of an optional package
    """Openpyxl; the base install does without.

    Raises:
        MissingPackageError: It is not installed.
    """
    return require("openpyxl", "excel")


@dataclass(frozen=True, slots=True, weakref_slot=True)
class Book:
    """An open workbook.

    Attributes:
        archive: Its parts.
        strings: What its cells refer to by number.
        epoch: Of its dates.
        date_formats: Numbers of the styles that make a number a date.
        timedelta_formats: Those that make it a span of time.
    """

    archive: ZipFile
    strings: list[str]
    epoch: datetime
    date_formats: Set[int]
    timedelta_formats: Set[int]


@dataclass(frozen=True, slots=True)
class Sheet:
    """A sheet of cells.

    Attributes:
        title: Its name.
        is_visible: Whether Excel shows it.
        part: Of the archive.
        book: It is in.
    """

    title: str
    is_visible: bool
    part: str
    book: Book


def max_sheet_bytes() -> int:
    """How far a sheet may unfold, and how much text its cells may hold.

    Raises:
        RecipeError: ``ATTAR_MAX_TABLE_GB`` is no number above 0.
    """
    return _STREAMED * max_part_bytes()


def open_workbook_parts(path: Path) -> list[Sheet]:
    """Open a workbook: its strings are read, the cells of its sheets are not.

    Raises:
        DataError: It is none, it is damaged, two of its sheets have one name, or it unfolds to more than
            is taken.
    """
    openpyxl_package()
    try:
        with warnings.catch_warnings():
            # Of what a reader of cells does not need.
            warnings.simplefilter("ignore", UserWarning)
            sheets = _opened(path)
    except UNREADABLE as error:
        raise DataError(f"{path}: not an Excel workbook that can be read; save it as .xlsx again") from error
    titles = [sheet.title for sheet in sheets]
    if twice := next((title for title in titles if titles.count(title) > 1), None):
        raise DataError(f"{path}: two sheets are called {twice!r}; give each a name of its own")
    return sheets


class _Archive(ZipFile):
    """A zip file; ``read``, by which openpyxl takes parts whole, takes none that is too large for a tree."""

    def read(self, name: Any, pwd: bytes | None = None) -> bytes:  # noqa: ANN401 - as of ZipFile
        part = self.getinfo(name) if isinstance(name, str) else name
        content = b"" if part.file_size > _MAX_TREE_BYTES else super().read(part, pwd)
        if part.file_size > _MAX_TREE_BYTES or content.count(b"<") > _MAX_TREE_TAGS:
            raise DataError(
                f"{self.filename}: {part.filename} has {part.file_size:,} bytes, more than a workbook of "
                "reviews needs; copy the cells into a new workbook, or save it as .csv"
            )
        return content


def _opened(path: Path) -> list[Sheet]:
    from openpyxl.reader.excel import ExcelReader
    from openpyxl.xml.constants import SHARED_STRINGS

    archive = _Archive(path)
    try:
        _check_sizes(path, archive)
        reader = ExcelReader(path, read_only=True, data_only=True, keep_links=False)
        reader.archive.close()
        reader.archive = archive
        reader.read_manifest()
        part = reader.package.find(SHARED_STRINGS)
        strings = list[str]()
        if part is not None:
            with archive.open(part.PartName[1:]) as stream:
                strings = _StringTable(path).read(stream)
        reader.read_workbook()
        dates, spans_of_time = _date_styles(archive)
        found = list(reader.parser.find_sheets())
    except BaseException:
        archive.close()
        raise
    there = set(archive.namelist())
    book = Book(archive, strings, reader.wb.epoch, dates, spans_of_time)
    weakref.finalize(book, archive.close)
    return [
        Sheet(sheet.name, sheet.state == "visible", relation.target, book)
        for sheet, relation in found
        if relation.target in there and relation.Type.endswith("/worksheet")
    ]


def _date_styles(archive: _Archive) -> tuple[Set[int], Set[int]]:
    """The numbers of the styles that make a number a date, and of those that make it a span of time.

    Nothing else of the styles is looked at: fills and fonts that are spelt in a way that openpyxl does not
    take are no reason not to read the cells.
    """
    from openpyxl.styles.numbers import BUILTIN_FORMATS, is_date_format, is_timedelta_format
    from openpyxl.xml.constants import ARC_STYLE, SHEET_MAIN_NS

    dates, spans_of_time = set[int](), set[int]()
    if ARC_STYLE not in archive.namelist():
        return dates, spans_of_time
    root, names = fromstring(archive.read(ARC_STYLE)), {"": SHEET_MAIN_NS}  # noqa: S314 - expat bounds it
    codes = dict(BUILTIN_FORMATS)
    for own in root.iterfind("numFmts/numFmt", names):
        codes[int(own.get("numFmtId", 0))] = own.get("formatCode", "")
    for number, style in enumerate(root.iterfind("cellXfs/xf", names)):
        code = codes.get(int(style.get("numFmtId", 0)), "General")
        if is_date_format(code):
            dates.add(number)
            if is_timedelta_format(code):
                spans_of_time.add(number)
    return dates, spans_of_time


def _check_sizes(path: Path, archive: ZipFile) -> None:
    # A part is never read beyond the size that the archive says, so that can be trusted.
    limit, is_set = max_part_bytes(), is_limit_set()
    for part in archive.infolist():
        is_strings = part.filename.lower().endswith("sharedstrings.xml")
        most = limit if is_strings else _STREAMED * limit
        is_bomb = not is_set and part.file_size > max(_ANY_RATIO_BYTES, _MAX_RATIO * part.compress_size)
        if part.file_size > most or is_bomb:
            raise DataError(
                f"{path}: {part.filename} unfolds from {part.compress_size:,} to {part.file_size:,} bytes, "
                "more than a workbook of reviews does; save it as .xlsx again, in parts, or as .csv; if it "
                f"is to be trusted, set {LIMIT_VARIABLE} (1 where it is not set)"
            )


class _Strings(list[str]):
    """Strings by their number; -1 is none, and not the last."""

    __slots__ = ()

    def __getitem__(self, number: Any) -> Any:  # noqa: ANN401 - as of a list
        if number < 0:
            raise IndexError(number)
        return super().__getitem__(number)


class _StringTable:
    """The shared strings, in their order; guides to pronunciation beside them are left out.

    By expat, not as a tree: that keeps an object for each of millions of strings.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._strings = _Strings()
        self._parts: list[str] = []
        self._is_text = False
        self._num_phonetic = 0

    def read(self, stream: IO[bytes]) -> list[str]:
        parser = expat.ParserCreate(namespace_separator=" ")
        parser.buffer_text = True
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._text
        while block := stream.read(_BLOCK_BYTES):
            parser.Parse(block, False)
        parser.Parse(b"", True)
        return self._strings

    def _start(self, name: str, _: object) -> None:
        local = name.rpartition(" ")[2]
        if local == "t":
            self._is_text = not self._num_phonetic
        elif local == "rPh":
            self._num_phonetic += 1

    def _end(self, name: str) -> None:
        local = name.rpartition(" ")[2]
        if local == "t":
            self._is_text = False
        elif local == "rPh":
            self._num_phonetic -= 1
        elif local == "si":
            if len(self._strings) == _MAX_STRINGS:
                raise DataError(
                    f"{self._path}: more than {_MAX_STRINGS:,} different texts; save it in parts, or as .csv"
                )
            self._strings.append("".join(self._parts))
            self._parts.clear()

    def _text(self, text: str) -> None:
        if self._is_text:
            self._parts.append(text)
