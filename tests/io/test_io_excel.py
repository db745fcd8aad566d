"""Workbooks: which sheet is read and what is said of the others, merged cells, escapes, limits."""

from __future__ import annotations

import json
import logging
import re
import zipfile
from datetime import datetime, timedelta
from pathlib import Path

import openpyxl
import pytest
from written_tables import write_sheets

from attar.errors import DataError, RecipeError
from attar.io.tables.excel import open_sheets
from attar.io.tables.table_files import open_tables, reading_facts, shown_facts
from attar.recipe.load import DataRecipe, SourceRecipe
from attar.records.prepare import prepare
from attar.scoring.stage import ScoreOptions, score_file

HEAD = ["text", "term", "label"]
NEEDED = [{"text"}, {"term", "keyword"}]
DATA = DataRecipe(dev=0.3, test=0.3, near_duplicate=1)


def month(name, count=5):
    words = "浓淡甜冲苦柔烈妙怪清"
    return [HEAD, *([f"{name}的香味{words[n]}", "香味", "好坏"[n % 2]] for n in range(count))]


MONTHS = {
    "说明": [["怎么标", "怎么标"], ["看", "这"]],
    "旧": month("去年"),
    "三月": month("三月"),
    "四月": month("四月"),
    "空": [],
}


@pytest.fixture
def months(tmp_path):
    return write_sheets(tmp_path / "book.xlsx", MONTHS, hidden=["旧"])


@pytest.mark.parametrize(
    ("sheet", "read", "left_out"),
    [
        ("", ["三月"], ["说明", "旧 (hidden)", "四月", "空"]),
        ("*", ["三月", "四月"], ["说明", "旧 (hidden)", "空"]),
        ("旧", ["旧"], ["说明", "三月", "四月", "空"]),
    ],
)
def test_the_visible_sheets_with_the_columns_are_read(months, sheet, read, left_out):
    tables = open_tables(Path(f"{months}#{sheet}" if sheet else months), needed=NEEDED)
    assert reading_facts(tables) == {"sheets": read, "sheets_left_out": left_out}
    assert shown_facts(months, reading_facts(tables)).startswith(
        f"{months}: read from sheet {', '.join(read)}; left out: {', '.join(left_out)}"
    )
    rows = [row for table in tables for row in table.rows()]
    assert len(rows) == 5 * len(read)
    assert {row.source for row in rows} == (
        {f"{months}#三月", f"{months}#四月"} if sheet == "*" else {str(months)}
    )
    assert {table.path for table in tables} == {str(months)}


def test_without_a_sheet_of_rows_the_message_names_the_first(months):
    with pytest.raises(DataError, match=r"no sheet 五月; there are 说明, 旧, 三月, 四月, 空"):
        open_sheets(months, "五月")
    for sheet in ("", "*"):
        with pytest.raises(DataError, match="a column name occurs twice"):
            open_sheets(months, sheet, needed=[{"review"}])
    alone = write_sheets(months.with_name("alone.xlsx"), {"x": month("一月")})
    assert shown_facts(alone, reading_facts(open_tables(alone))) == ""


def prepared(source, task, out):
    manifest = prepare([SourceRecipe(path=str(source))], task, DATA, 7, out)
    rejected = [json.loads(line) for line in (out / "rejected.jsonl").read_text("utf-8").splitlines()]
    return manifest, rejected


def test_log_manifest_audit_and_score_name_the_sheets(predictor, months, tmp_path, caplog):
    caplog.set_level(logging.INFO)
    manifest, _ = prepared(months, predictor.task, tmp_path / "data")
    assert manifest["num_examples"] == 5
    (file,) = manifest["understood"]
    assert file["details"] == {"sheet": "三月", "sheets_left_out": "说明, 旧 (hidden), 四月, 空"}
    said = "sheet 三月, sheets left out 说明, 旧 (hidden), 四月, 空"
    assert len([line for line in caplog.messages if said in line]) == 1
    assert said in (tmp_path / "data/audit.html").read_text("utf-8")
    counts = score_file(predictor, f"{months}#*", tmp_path / "out.jsonl")
    assert (counts.rows, counts.predictions) == (10, 10)
    assert ["sheet 三月, 四月; left out: 说明, 旧 (hidden), 空" in note for note in counts.notes] == [True]
    manifest, _ = prepared(f"{months}#*", predictor.task, tmp_path / "both")
    assert manifest["num_examples"] == 10


def merged(path):
    """A review and its label are merged over the rows of two terms; one row is nothing but merged cells."""
    rows = [HEAD]
    for n in range(5):
        rows += [[f"第{n}瓶香味浓,泵头坏", "香味", "好"], [None, "泵头", None]]
    write_sheets(
        path, {"a": [*rows, ["单独的香味", "香味", "坏"], [None, None, None], ["另外的香味", "香味", "坏"]]}
    )
    book = openpyxl.load_workbook(path)
    for first in range(2, 12, 2):
        for column in "AC":
            book.active.merge_cells(f"{column}{first}:{column}{first + 1}")
    for column in "ABC":
        book.active.merge_cells(f"{column}12:{column}13")
    book.save(path)
    return path


def test_each_row_has_the_value_of_its_merged_cell_once(predictor, tmp_path):
    source = merged(tmp_path / "a.xlsx")
    manifest, rejected = prepared(source, predictor.task, tmp_path / "data")
    assert (manifest["num_examples"], rejected) == (12, [])
    counts = score_file(predictor, source, tmp_path / "out.jsonl", ScoreOptions())
    assert (counts.rows, counts.predictions, counts.rejected) == (12, 12, {})
    rows = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text("utf-8").splitlines()]
    assert [row["term"] for row in rows] == ["香味", "泵头"] * 5 + ["香味"] * 2
    assert rows[0]["text"] == rows[1]["text"]
    assert [row.line for row in open_sheets(source)[0].rows()] == [*range(2, 13), 14]


def with_sheet(source, target, change):
    """The workbook with the XML of its first sheet changed."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            text = old.read(name)
            new.writestr(name, change(text) if name == "xl/worksheets/sheet1.xml" else text)
    return target


def test_an_absurd_range_takes_nothing(tmp_path):
    plain = write_sheets(tmp_path / "a.xlsx", {"a": month("五月")})
    ranges = "".join(f'<mergeCell ref="A{n}:$XFD$1048576"/>' for n in range(2, 40_000))
    made = with_sheet(
        plain,
        tmp_path / "b.xlsx",
        lambda text: text.replace(
            b"</sheetData>", b"</sheetData><mergeCells>" + ranges.encode() + b"</mergeCells>"
        ),
    )
    rows = [list(row.values.values()) for row in open_sheets(made)[0].rows()]
    assert rows == [["五月的香味浓", *row[1:]] for row in month("五月")[1:]]


def with_shared_strings(source, target):
    """The workbook as Excel writes it: its strings in a table of their own."""
    strings = []

    def shared(match):
        strings.append(match[1].decode())
        return f't="s"><v>{len(strings) - 1}</v>'.encode()

    def change(text):
        return re.sub(rb't="inlineStr"><is>(.*?)</is>', shared, text, flags=re.DOTALL)

    made = with_sheet(source, target, change)
    main = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    kind = "application/vnd.openxmlformats-officedocument.spreadsheetml.sharedStrings+xml"
    with zipfile.ZipFile(made) as old:
        parts = {name: old.read(name).decode() for name in old.namelist()}
    parts["xl/sharedStrings.xml"] = f'<sst xmlns="{main}">{"".join(f"<si>{s}</si>" for s in strings)}</sst>'
    types = "[Content_Types].xml"
    parts[types] = parts[types].replace(
        "</Types>", f'<Override PartName="/xl/sharedStrings.xml" ContentType="{kind}"/></Types>'
    )
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as new:
        for name, text in parts.items():
            new.writestr(name, text)
    return made


@pytest.mark.parametrize("is_shared", [False, True])
def test_escapes_are_undone_once(tmp_path, is_shared):
    cells = ["a_x000D_\nb", "_x005F_x000D_", "_xD83D__xDE00_", "_x4E2D_文", "_x00_", "x005F_"]
    source = write_sheets(tmp_path / "a.xlsx", {"a": [["te_x0078_t"], *([cell] for cell in cells)]})
    (table,) = open_sheets(with_shared_strings(source, tmp_path / "b.xlsx") if is_shared else source)
    assert table.columns == ("text",)
    assert [row.values["text"] for row in table.rows()] == [
        "a\r\nb", "_x000D_", "😀", "中文", "_x00_", "x005F_",
    ]  # fmt: skip


def test_an_error_of_a_formula_is_no_text(predictor, tmp_path):
    rows = [*month("六月"), ["#N/A", "香味", "好"], ["香味#N/A", "#N/A", "好"]]
    source = write_sheets(tmp_path / "a.xlsx", {"a": rows})
    _, rejected = prepared(source, predictor.task, tmp_path / "data")
    assert [(row["where"], row["reason"]) for row in rejected] == [
        (f"{source}:7", "bad_row"),
        (f"{source}:8", "bad_row"),
    ]


ROW = b'<row r="6"'


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda text: text.replace(ROW, b'<row r="1000000000000"'), "a cell in row 1000000000000"),
        (lambda text: text.replace(b'r="C6"', b'r="XFE6"'), "column 16385"),
        (lambda text: text.replace(b'r="C6"', b'r="AAAA6"'), "cannot be read to its end"),
        (lambda text: text.replace(ROW, b'<row r="-1e999"'), "cannot be read to its end"),
        (lambda text: text.replace(b't="inlineStr"><is>', b't="s"><v>9</v><is>'), "be read"),
        (lambda text: text.replace(ROW, b"<row>" + b"<c/>" * 10**6 + b"</row>" + ROW), "262,144 parts"),
        (lambda text: text + b" " * (17 << 20), "unfolds from"),
        (lambda text: text[:300], "cannot be read|can be read"),
    ],
)  # fmt: skip
def test_beyond_the_limits_of_a_sheet(tmp_path, change, said):
    plain = write_sheets(tmp_path / "a.xlsx", {"a": month("七月")})
    made = with_sheet(plain, tmp_path / "b.xlsx", change)
    with pytest.raises(DataError, match=re.escape("b.xlsx") + f".*({said})"):
        list(open_sheets(made)[0].rows())


def test_odd_fills_are_no_reason_not_to_read_the_cells(tmp_path):
    plain = write_sheets(tmp_path / "a.xlsx", {"a": month("八月")})
    with zipfile.ZipFile(plain) as old, zipfile.ZipFile(tmp_path / "b.xlsx", "w") as new:
        for name in old.namelist():
            content = old.read(name)
            new.writestr(
                name, re.sub(rb"<fill>.*?</fill>", b"<fill/>", content) if "styles" in name else content
            )
    assert [row.values for row in open_sheets(tmp_path / "b.xlsx")[0].rows()] == [
        row.values for row in open_sheets(plain)[0].rows()
    ]


def test_dates_are_told_by_their_formats(tmp_path):
    book = openpyxl.Workbook()
    book.active.append(["day", "own", "span", "number"])
    book.active.append([44927, 44927.5, 1.25, 44927])
    for column, code in zip("ABC", ["mm-dd-yy", 'yyyy"年"m"月"', "[h]:mm:ss"], strict=True):
        book.active[f"{column}2"].number_format = code
    book.save(tmp_path / "a.xlsx")
    (row,) = open_sheets(tmp_path / "a.xlsx")[0].rows()
    values = row.values
    assert values["day"] == datetime(2023, 1, 1)
    assert values["own"] == datetime(2023, 1, 1, 12)
    assert values["span"] == timedelta(days=1, hours=6)
    assert values["number"] == 44927


def test_the_limit_of_a_part_can_be_raised_and_lowered(tmp_path, monkeypatch):
    plain = write_sheets(tmp_path / "a.xlsx", {"a": month("九月")})
    bomb = with_sheet(
        plain,
        tmp_path / "b.xlsx",
        lambda text: text.replace(b"<sheetData>", b" " * (17 << 20) + b"<sheetData>"),
    )
    with pytest.raises(DataError, match=r"unfolds from .* set ATTAR_MAX_TABLE_GB"):
        open_sheets(bomb)
    monkeypatch.setenv("ATTAR_MAX_TABLE_GB", "5")
    assert len(list(open_sheets(bomb)[0].rows())) == 5
    monkeypatch.setenv("ATTAR_MAX_TABLE_GB", "0.004")
    with pytest.raises(DataError, match="unfolds from"):
        open_sheets(bomb)
    for wrong in ("0", "x", "-1", "nan", "1e999", ""):
        monkeypatch.setenv("ATTAR_MAX_TABLE_GB", wrong)
        with pytest.raises(RecipeError, match="a number of gigabytes above 0"):
            open_sheets(plain)


def test_text_that_many_cells_share_counts_each_time(tmp_path, monkeypatch):
    rows = [HEAD, *([f"{n}号{'香味好' * 500}", "香味", "好"] for n in range(100))]
    plain = write_sheets(tmp_path / "a.xlsx", {"a": rows})
    monkeypatch.setenv("ATTAR_MAX_TABLE_GB", "25e-6")
    with pytest.raises(DataError, match=r"more than 100,000 characters|unfolds from"):
        list(open_sheets(plain)[0].rows())


def test_merging_is_bounded(tmp_path, monkeypatch):
    source = merged(tmp_path / "a.xlsx")
    monkeypatch.setattr("attar.io.tables.merged_cells._MAX_FILLED", 8)
    with pytest.raises(DataError, match="merged ranges cover more than 8 cells"):
        list(open_sheets(source)[0].rows())
