"""Workbooks written part by part, so that each part may be anything."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

__all__ = [
    "BOOK",
    "BOOK_LINKS",
    "HEAD",
    "MAIN",
    "SHEET",
    "STRINGS",
    "Content",
    "Parts",
    "as_bytes",
    "book_xml",
    "links_xml",
    "plain_parts",
    "sheet_xml",
    "styles_xml",
    "write_parts",
]

Content = str | bytes | Callable[[], Iterable[bytes]]
Parts = dict[str, Content]

MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_RELATIONS = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_PACKAGE = "http://schemas.openxmlformats.org/package/2006"
_KIND = "application/vnd.openxmlformats-officedocument.spreadsheetml"
HEAD = '<?xml version="1.0" encoding="UTF-8"?>\n'
BOOK, SHEET, STRINGS = "xl/workbook.xml", "xl/worksheets/sheet1.xml", "xl/sharedStrings.xml"
BOOK_LINKS = "xl/_rels/workbook.xml.rels"
_SAID = ["很浓", "太淡", "不甜", "真冲", "挺苦", "蛮柔", "超烈", "还妙", "都怪", "也清"]
_ROWS = [
    ("text", "term", "label"),
    *((f"{a}号，香味{b}，喜欢", "香味", ("消极", "积极")[i % 2])
      for i, (a, b) in enumerate(zip("一二三四五六七八九十", _SAID, strict=True))),
]  # fmt: skip


def plain_parts() -> Parts:
    """The parts of a good workbook of ten labelled reviews."""
    strings = list(dict.fromkeys(cell for row in _ROWS for cell in row))
    rows = "".join(_row(n, [strings.index(cell) for cell in row]) for n, row in enumerate(_ROWS, 1))
    override = '<Override PartName="/{}" ContentType="' + _KIND + '.{}+xml"/>'
    kinds = {BOOK: "sheet.main", SHEET: "worksheet", STRINGS: "sharedStrings", "xl/styles.xml": "styles"}
    table = "".join(f"<si><t>{text}</t></si>" for text in strings)
    return {
        "[Content_Types].xml": f'{HEAD}<Types xmlns="{_PACKAGE}/content-types">'
        '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
        '<Default Extension="xml" ContentType="application/xml"/>'
        + "".join(override.format(name, kind) for name, kind in kinds.items())
        + "</Types>",
        "_rels/.rels": links_xml(("rId1", "officeDocument", BOOK)),
        BOOK: book_xml('<sheet name="a" sheetId="1" r:id="rId1"/>'),
        BOOK_LINKS: links_xml(
            ("rId1", "worksheet", "worksheets/sheet1.xml"),
            ("rId2", "sharedStrings", "sharedStrings.xml"),
            ("rId3", "styles", "styles.xml"),
        ),
        SHEET: sheet_xml(rows),
        STRINGS: f'{HEAD}<sst xmlns="{MAIN}">{table}</sst>',
        "xl/styles.xml": styles_xml('<xf numFmtId="0"/><xf numFmtId="14"/>'),
    }


def write_parts(path: Path, parts: Mapping[str, Content]) -> None:
    """Write a workbook; contents that are made while they are written may be of any size."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            blocks = content() if callable(content) else [as_bytes(content)]
            with archive.open(name, "w", force_zip64=True) as stream:
                for block in blocks:
                    stream.write(block)


def as_bytes(content: str | bytes) -> bytes:
    """A content that is not made while it is written."""
    return content.encode() if isinstance(content, str) else content


def book_xml(sheets: str, more: str = "") -> str:
    """The part that lists the sheets."""
    names = f'xmlns="{MAIN}" xmlns:r="{_RELATIONS}"'
    return f"{HEAD}<workbook {names}>{more}<sheets>{sheets}</sheets></workbook>"


def links_xml(*links: tuple[str, str, str]) -> str:
    """Relations of a part: their names, kinds and targets."""
    each = "".join(
        f'<Relationship Id="{name}" Type="{_RELATIONS}/{kind}" Target="{target}"/>'
        for name, kind, target in links
    )
    return f'{HEAD}<Relationships xmlns="{_PACKAGE}/relationships">{each}</Relationships>'


def styles_xml(formats: str) -> str:
    """Styles whose cell formats are these."""
    return (
        f'{HEAD}<styleSheet xmlns="{MAIN}"><fonts><font/></fonts><fills><fill/></fills><borders><border/>'
        f"</borders><cellStyleXfs><xf/></cellStyleXfs><cellXfs>{formats}</cellXfs></styleSheet>"
    )


def sheet_xml(rows: str, before: str = "", after: str = "", prolog: str = "") -> str:
    """A sheet of these rows."""
    inner = f"{before}<sheetData>{rows}</sheetData>{after}"
    return f'{HEAD}{prolog}<worksheet xmlns="{MAIN}">{inner}</worksheet>'


def _row(number: int | str, strings: Iterable[int]) -> str:
    cells = "".join(
        f'<c r="{column}{number}" t="s"><v>{index}</v></c>'
        for column, index in zip("ABCDEFGH", strings, strict=False)
    )
    return f'<row r="{number}">{cells}</row>'
