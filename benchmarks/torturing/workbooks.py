"""Hostile workbooks: each is a good one with one thing that a stranger's may have.

Some are bombs, some damaged, some only odd. What is refused is refused in words, with little memory and
in little time; what Excel itself would open (formulas, links, macros) may be read as the cells that it holds.
"""

from __future__ import annotations

import base64
import io
import os
import random
import struct
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from torturing.workbook_writing import (
    BOOK,
    BOOK_LINKS,
    HEAD,
    MAIN,
    SHEET,
    STRINGS,
    Content,
    as_bytes,
    book_xml,
    links_xml,
    plain_parts,
    sheet_xml,
    styles_xml,
    write_parts,
)

__all__ = ["HEAVY", "HOSTILE_WORKBOOKS", "Hostile"]

_MB = 1 << 20


class Hostile(NamedTuple):
    """A workbook that a stranger sends.

    Attributes:
        write: Writes it to a path.
        is_refused: Whether no verb may use it; else it may be read as the cells that it holds.
    """

    write: Callable[[Path], object]
    is_refused: bool = True


def _part(name: str, content: Content, *, is_refused: bool = True) -> Hostile:
    """The good workbook with another content of a part."""
    return Hostile(lambda path: write_parts(path, plain_parts() | {name: content}), is_refused)


def _rows(rows: str, before: str = "", after: str = "", *, is_refused: bool = True) -> Hostile:
    """The good workbook with more rows behind its own."""

    def write(path: Path) -> None:
        parts = plain_parts()
        sheet = str(parts[SHEET]).replace("<sheetData>", f"{before}<sheetData>")
        parts[SHEET] = sheet.replace("</sheetData>", f"{rows}</sheetData>{after}")
        write_parts(path, parts)

    return Hostile(write, is_refused)


def _changed(name: str, old: str, new: str, *, is_refused: bool = True) -> Hostile:
    def write(path: Path) -> None:
        parts = plain_parts()
        assert old in str(parts[name]), (name, old)
        write_parts(path, parts | {name: str(parts[name]).replace(old, new)})

    return Hostile(write, is_refused)


def _without(*names: str, is_refused: bool = True) -> Hostile:
    def write(path: Path) -> None:
        write_parts(path, {name: part for name, part in plain_parts().items() if name not in names})

    return Hostile(write, is_refused)


def _more(*, is_refused: bool = True, **contents: Content) -> Hostile:
    """The good workbook with more parts."""
    extra = {name.replace("__", "/").replace("_xml", ".xml"): one for name, one in contents.items()}
    return Hostile(lambda path: write_parts(path, plain_parts() | extra), is_refused)


def _streamed(name: str, before: str, unit: bytes, num_bytes: int, after: str) -> Hostile:
    """A part of so many bytes; noise in comments keeps its ratio that of an honest one."""

    def blocks() -> Iterator[bytes]:
        yield before.encode()
        noise, block = random.Random(0), unit * (_MB // len(unit))  # noqa: S311 - no secrets
        for _ in range(num_bytes // _MB):
            yield block
            yield b"<!--" + base64.b64encode(noise.randbytes(9_000)) + b"-->"
        yield after.encode()

    return _part(name, blocks)


def _in_text(name: str, before: str, num_bytes: int, after: str) -> Hostile:
    """The same within one text, which a comment would part."""

    def blocks() -> Iterator[bytes]:
        yield before.encode()
        noise = random.Random(0)  # noqa: S311 - no secrets
        for _ in range(num_bytes // _MB):
            yield "香".encode() * (_MB // 3)
            yield base64.b64encode(noise.randbytes(9_000))
        yield after.encode()

    return _part(name, blocks)


def _damaged(change: Callable[[bytes], bytes]) -> Hostile:
    """The bytes of the good workbook changed."""

    def write(path: Path) -> None:
        stream = io.BytesIO()
        with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in plain_parts().items():
                archive.writestr(name, as_bytes(content) if not callable(content) else b"")
        path.write_bytes(change(stream.getvalue()))

    return Hostile(write)


def _lies(content: bytes) -> bytes:
    """The sheet's unfolded size is said to be less than it is."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        size = archive.getinfo(SHEET).file_size
    return content.replace(struct.pack("<I", size), struct.pack("<I", size // 2))


def _is_encrypted(content: bytes) -> bytes:
    """The flag of a password is set on every part."""
    found = bytearray(content)
    for mark, place in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = -1
        while (at := content.find(mark, at + 1)) >= 0:
            found[at + place] |= 1
    return bytes(found)


_OLE = bytes.fromhex("d0cf11e0a1b11ae1") + bytes(504) + "EncryptedPackage".encode("utf-16-le") + bytes(4000)
_LAUGHS = (
    '<!DOCTYPE x [<!ENTITY a "哈哈哈哈哈哈哈哈哈哈">'
    + "".join(f'<!ENTITY {b} "{f"&{a};" * 10}">' for a, b in zip("abcdefghi", "bcdefghij", strict=True))
    + "]>"
)
_OUTSIDE = '<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]>'
_SI = f'{HEAD}<sst xmlns="{MAIN}">'
_INLINE = '<row r="900"><c r="A900" t="inlineStr"><is><t>{}</t></is></c><c r="B900" t="s"><v>1</v></c></row>'
_SHEET_HEAD = sheet_xml("").partition("</sheetData>")[0]
_SHEET_END = "</sheetData></worksheet>"


def _long_text(path: Path) -> None:
    """One text of 15 MB in 100,000 cells."""
    rows = "".join(
        f'<row r="{n}"><c t="s"><v>5</v></c><c t="s"><v>1</v></c></row>' for n in range(20, 100_020)
    )
    parts, text = plain_parts(), "香味浓" * 1_700_000
    strings = str(parts[STRINGS]).replace("</sst>", f"<si><t>{text}</t></si></sst>")
    index = strings.count("<si>") - 1
    rows = rows.replace("<v>5</v>", f"<v>{index}</v>")
    sheet = str(parts[SHEET]).replace("</sheetData>", f"{rows}</sheetData>")
    write_parts(path, parts | {SHEET: sheet, STRINGS: strings})


def _merged(path: Path) -> None:
    """16,384 columns, each merged over 100,000 rows that all have a cell of their own."""
    from openpyxl.utils import get_column_letter

    letters = [get_column_letter(n) for n in range(1, 16_385)]
    top = "".join(f'<c r="{one}1" t="inlineStr"><is><t>{one}</t></is></c>' for one in letters)
    rows = f'<row r="1">{top}</row>' + "".join(
        f'<row r="{n}"><c><v>1</v></c></row>' for n in range(2, 100_002)
    )
    ranges = "".join(f'<mergeCell ref="{one}1:{one}100001"/>' for one in letters)
    write_parts(path, plain_parts() | {SHEET: sheet_xml(rows, after=f"<mergeCells>{ranges}</mergeCells>")})


def _many_sheets(path: Path) -> None:
    sheets = "".join(f'<sheet name="s{n}" sheetId="{n + 1}" r:id="rId1"/>' for n in range(1_000_000))
    write_parts(path, plain_parts() | {BOOK: book_xml(sheets)})


_TWO = '<sheet name="a" sheetId="1" r:id="rId1"/><sheet name="a" sheetId="2" r:id="rId1"/>'
_NAMES = '<definedName name="n{}">a!$A$1</definedName>'

HOSTILE_WORKBOOKS: Mapping[str, Hostile] = {
    # numbers of rows and columns
    "a row numbered 10^12": _rows('<row r="1000000000000"><c r="A1000000000000"><v>1</v></c></row>'),
    "an empty row numbered 10^12": _rows('<row r="1000000000000"/>'),
    "a row number of 5,000 digits": _rows('<row r="' + "9" * 5000 + '"><c><v>1</v></c></row>'),
    "a row number that is text": _rows('<row r="x"><c><v>1</v></c></row>'),
    "column ZZZZZZ": _rows('<row r="20"><c r="ZZZZZZ20"><v>1</v></c></row>'),
    "column XFE": _rows('<row r="20"><c r="XFE20"><v>1</v></c></row>'),
    "1,100,000 rows without a number": _rows("<row><c><v>1</v></c></row>" * 1_100_000),
    "a part of 300 MB that is empty rows": _streamed(SHEET, _SHEET_HEAD, b"<row/>", 300 * _MB, _SHEET_END),
    # bombs
    "a cell of 512 MB in a file of 0.5": _part(
        SHEET, lambda: [_SHEET_HEAD.encode(), *(["香".encode() * _MB] * 170), _SHEET_END.encode()]
    ),
    "a cell of 512 MB among noise": _in_text(
        SHEET, _SHEET_HEAD + _INLINE.partition("{}")[0], 512 * _MB, _INLINE.partition("{}")[2] + _SHEET_END
    ),
    "a comment of 100 MB": _in_text(SHEET, f"{_SHEET_HEAD}<!--", 100 * _MB, f"-->{_SHEET_END}"),
    "an attribute of 100 MB": _in_text(SHEET, f'{_SHEET_HEAD}<row r="', 100 * _MB, f'"/>{_SHEET_END}'),
    "a string of 300 MB": _part(STRINGS, lambda: [_SI.encode(), *(["香".encode() * _MB] * 100), b"</sst>"]),
    "strings of 1.2 GB": _streamed(STRINGS, _SI, b"<si><t>ab</t></si>", 1200 * _MB, "</sst>"),
    "20,000,000 strings": _streamed(STRINGS, _SI, b"<si><t>ab</t></si>", 360 * _MB, "</sst>"),
    "a text of 5,100,000 characters in 100,000 cells": Hostile(_long_text),
    "a row of 400,000 cells": _rows('<row r="900">' + "<c><v>1</v></c>" * 400_000 + "</row>"),
    "elements 1,000,000 deep": _rows("<a>" * 1_000_000 + "</a>" * 1_000_000),
    "entities that grow tenfold ten times": _part(
        SHEET, sheet_xml(_INLINE.format("&j;"), prolog=_LAUGHS)
    ),
    "the same among the strings": _part(
        STRINGS, f'{HEAD}{_LAUGHS}<sst xmlns="{MAIN}"><si><t>&j;</t></si></sst>'
    ),
    "styles of 600,000 formats": _part("xl/styles.xml", lambda: [styles_xml("<xf/>" * 600_000).encode()]),
    "styles of 300 MB": _streamed(
        "xl/styles.xml", styles_xml("").partition("</cellXfs>")[0], b'<xf numFmtId="14"/>', 300 * _MB,
        "</cellXfs></styleSheet>",
    ),
    "1,000,000 sheets": Hostile(_many_sheets),
    "400,000 defined names": _part(
        BOOK, book_xml('<sheet name="a" sheetId="1" r:id="rId1"/>').replace(
            "</workbook>",
            "<definedNames>" + "".join(map(_NAMES.format, range(400_000))) + "</definedNames></workbook>",
        ),
    ),
    "16,384 columns merged over 100,000 rows": Hostile(_merged),
    "1,100,000 merged ranges": _rows(
        "", after="<mergeCells>" + '<mergeCell ref="A2:A3"/>' * 1_100_000 + "</mergeCells>"
    ),
    # not what it says
    "a file that is no zip": Hostile(lambda path: path.write_bytes(os.urandom(4096))),
    "an empty zip": Hostile(lambda path: write_parts(path, {})),
    "encrypted as Excel does it": Hostile(lambda path: path.write_bytes(_OLE)),
    "encrypted as zip does it": _damaged(_is_encrypted),
    "half of it": _damaged(lambda content: content[: len(content) // 2]),
    "one byte short": _damaged(lambda content: content[:-1]),
    "a part longer than it says": _damaged(_lies),
    "without [Content_Types].xml": _without("[Content_Types].xml"),
    "without workbook.xml": _without(BOOK),
    "without its sheet": _without(SHEET),
    "without the strings that it refers to": _without(STRINGS),
    "a string that is not there": _rows('<row r="20"><c r="A20" t="s"><v>999999</v></c></row>'),
    "a string numbered -1": _rows('<row r="20"><c r="A20" t="s"><v>-1</v></c></row>'),
    "a sheet that is cut short": _changed(SHEET, "</sheetData></worksheet>", ""),
    "two sheets of one name": _part(BOOK, book_xml(_TWO)),
    "relations in a circle": _part(
        BOOK_LINKS,
        links_xml(("rId1", "worksheet", "workbook.xml"), ("rId2", "worksheet", "_rels/workbook.xml.rels")),
    ),
    "a sheet outside of the file": _part(
        BOOK_LINKS, links_xml(("rId1", "worksheet", "../../../../etc/passwd"))
    ),
    "an entity that is /etc/passwd": _part(SHEET, sheet_xml(_INLINE.format("&a;"), prolog=_OUTSIDE)),
    "strict, in namespaces of ISO": _changed(SHEET, MAIN, "http://purl.oclc.org/ooxml/spreadsheetml/main"),
    # what Excel opens too
    "without styles": _without("xl/styles.xml", is_refused=False),
    "a number that is a date of the year 10^300": _rows(
        '<row r="20"><c r="A20" s="1"><v>1e300</v></c><c r="B20" t="s"><v>1</v></c></row>', is_refused=False
    ),
    "numbers that are none": _rows(
        '<row r="20"><c r="A20"><v>1e999</v></c><c r="B20"><v>nan</v></c></row>', is_refused=False
    ),
    "formulas that call a shell": _rows(
        '<row r="20"><c r="A20"><f>cmd|\'/c touch MARK\'!A1</f></c><c r="B20"><f>WEBSERVICE("http://127.0.0.1:9")'
        "</f><v>1</v></c></row>",
        is_refused=False,
    ),
    "links to other workbooks": _more(
        is_refused=False, xl__externalLinks__externalLink1_xml=f'<externalLink xmlns="{MAIN}"/>'
    ),
    "macros": _more(is_refused=False, xl__vbaProject=os.urandom(4096)),
    "media of 200 MB that are zeros": _more(is_refused=True, xl__media__image1=lambda: [bytes(_MB)] * 200),
}  # fmt: skip
"""What is odd about each, by name."""

HEAVY = frozenset({
    "a part of 300 MB that is empty rows", "a cell of 512 MB in a file of 0.5",
    "a cell of 512 MB among noise",
    "a comment of 100 MB", "an attribute of 100 MB", "a string of 300 MB", "strings of 1.2 GB",
    "20,000,000 strings",
    "a text of 5,100,000 characters in 100,000 cells", "styles of 300 MB", "1,000,000 sheets",
    "16,384 columns merged over 100,000 rows", "1,100,000 merged ranges", "400,000 defined names",
    "1,100,000 rows without a number", "media of 200 MB that are zeros",
    "styles of 600,000 formats",
})  # fmt: skip
"""Those that take seconds to write or to refuse."""
