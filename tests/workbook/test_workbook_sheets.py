"""Workbooks: what a cell may hold, sheets that go on, and the figures of answers."""

from __future__ import annotations

import gc
import re
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import openpyxl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from attar.errors import DataError, MissingPackageError, RunError
from attar.io.tables.excel import open_sheets, openpyxl_package
from attar.metrics import scores
from attar.task import BUILT_IN_TASKS
from attar.workbook import sheet_files, sheets
from attar.workbook.sheets import Column, Marked, cell_text, open_workbook
from attar.workbook.tally import ResultSheets, Tally

LABELS = BUILT_IN_TASKS["cosmetics"].labels


def written(path, rows, columns=None):
    columns = columns or [Column("text", "text"), Column("x")]
    with open_workbook(path) as book:
        sheet = book.sheet("result", columns)
        for row in rows:
            sheet.append(row)
    return path


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        ("=1+1", "=1+1"),
        ('=HYPERLINK("http://x")', '=HYPERLINK("http://x")'),
        ("+86", "+86"),
        ("-1", "-1"),
        ("@SUM(A1)", "@SUM(A1)"),
        ("#N/A", "#N/A"),
        ("007", "007"),
        (" 两边 ", " 两边 "),
        ("a\x00b\x0bc\r\nd", "a\ufffdb\ufffdc \nd"),
        ("\ud83d", "\ufffd"),
        ("😀", "😀"),
        (2**53, 2**53),
        (2**63, str(2**63)),
        (float("nan"), None),
        (float("-inf"), "-inf"),
        (True, True),
        ({"a": [1]}, '{"a": [1]}'),
        ("", None),
    ],
)
def test_a_cell_says_what_it_was_given_and_is_never_a_formula(tmp_path, value, kept):
    path = written(tmp_path / "a.xlsx", [["口红", value]])
    cell = openpyxl.load_workbook(path)["result"]["B2"]
    assert cell.value == kept
    assert cell.data_type != "f"
    assert cell.data_type != "e"
    assert cell.quotePrefix == (str(kept)[:1] in "=+-@")


@given(st.text(max_size=60))
def test_cell_text_keeps_every_offset_and_stays_the_same(text):
    kept = cell_text(text)
    assert len(kept) == len(text)
    assert cell_text(kept) == kept
    kept.encode("utf-8")
    assert all(a == b or b in "\ufffd " for a, b in zip(text, kept, strict=True))


@pytest.mark.parametrize("text", ["好" * 40_000, "😀" * 20_000, "a" + "😀" * 20_000])
def test_a_text_beyond_excels_limit_ends_visibly(text):
    kept = cell_text(text)
    assert kept.endswith("…")
    assert text.startswith(kept[:-1])
    assert 32_765 <= len(kept.encode("utf-16-le")) // 2 <= 32_767
    assert cell_text("好" * 32_767) == "好" * 32_767


@settings(max_examples=40)  # each is a workbook, written and read
@given(st.text("ab =口红\n", max_size=12), st.data())
def test_a_marked_text_is_the_text_with_its_term_in_bold(tmp_path_factory, text, data):
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, len(text)))
    path = tmp_path_factory.getbasetemp() / "marked.xlsx"
    written(path, [[Marked(text, start, end), 1]])
    value = openpyxl.load_workbook(path, rich_text=True)["result"]["A2"].value or ""
    parts = value if isinstance(value, list) else [value]
    assert "".join(str(part) for part in parts) == text
    bold = [str(part) for part in parts if not isinstance(part, str)]
    assert bold == ([text[start:end]] if end > start else [])


def test_the_bytes_do_not_know_the_time(tmp_path):
    first = written(tmp_path / "a.xlsx", [["口红", 1]]).read_bytes()
    time.sleep(2.1)  # a zip counts in steps of two seconds
    assert written(tmp_path / "b.xlsx", [["口红", 1]]).read_bytes() == first


def test_sheets_stand_as_declared_go_on_when_full_and_sort_by_rank(tmp_path, monkeypatch):
    monkeypatch.setattr(sheets, "MAX_ROWS", 3)
    path = tmp_path / "a.xlsx"
    with open_workbook(path) as book:
        page = book.sheet("summary")
        result = book.sheet("result", [Column("n", "number")])
        wrong = book.sheet("wrong", [Column("n", "number")], is_sorted=True)
        book.sheet("never", [Column("n")])
        empty = book.sheet("empty", [Column("n")])
        empty.show()
        for n in range(7):
            result.append([n])
            wrong.append([n], rank=n % 3)
        page.heading("said last")
        page.append(["x", 1, 2.5])
    book = openpyxl.load_workbook(path)
    names = ["summary", "result", "result 2", "result 3", "wrong", "wrong 2", "wrong 3", "empty"]
    assert book.sheetnames == names
    values = [[cell.value for cell in book[name]["A"]] for name in names]
    assert values[1:4] == [["n", 0, 1, 2], ["n", 3, 4, 5], ["n", 6]]
    assert values[4:7] == [["n", 2, 5, 1], ["n", 4, 0, 3], ["n", 6]]
    assert values[7] == ["n"]
    assert [book[name].auto_filter.ref for name in names[1:4]] == ["A1:A4", "A1:A4", "A1:A2"]
    assert book["summary"].auto_filter.ref is None
    assert [row.values for row in open_sheets(path)[0].rows()] == [{"n": n} for n in range(7)]


def test_a_failed_block_writes_nothing(tmp_path):
    def fail():
        with open_workbook(tmp_path / "a.xlsx") as book:
            book.sheet("result", [Column("n")], is_sorted=True).append([1])
            book.sheet("other", [Column("n")]).append([1])
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    gc.collect()  # nothing may complain when it is thrown away
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_told_of_alone(tmp_path, monkeypatch):
    def opened(**_):
        return Path("/dev/full").open("wb")

    monkeypatch.setattr(sheet_files.tempfile, "TemporaryFile", opened)
    rows = [["香" * 1000]] * 1000

    def fail():
        with pytest.raises(OSError, match="No space left"):
            written(tmp_path / "a.xlsx", rows, [Column("text", "text")])

    fail()
    gc.collect()
    assert list(tmp_path.iterdir()) == []


def test_rows_that_find_no_room_to_wait(tmp_path):
    with (
        pytest.raises(RunError, match=r"full.*TMPDIR"),
        open_workbook(tmp_path / "a.xlsx") as book,
    ):
        sheet = book.sheet("result", [Column("n")], is_sorted=True)
        sheet._waiting._rows.execute("PRAGMA max_page_count = 2")
        for number in range(1000):
            sheet.append([number])
    assert list(tmp_path.iterdir()) == []


def test_nothing_of_a_workbook_has_a_name_before_it_is_whole(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "nowhere"))
    with open_workbook(tmp_path / "a.xlsx") as book:
        sheet = book.sheet("result", [Column("text", "text")])
        for _ in range(1000):
            sheet.append(["香味很好" * 9])
        (draft,) = tmp_path.iterdir()
        assert draft.stat().st_size == 0
    assert [path.name for path in tmp_path.iterdir()] == ["a.xlsx"]


def test_too_many_columns(tmp_path):
    with pytest.raises(DataError, match="Excel takes 16384"):
        written(tmp_path / "a.xlsx", [], [Column("n")] * 16_385)


def test_without_openpyxl_there_is_a_hint(monkeypatch):
    monkeypatch.setitem(sys.modules, "openpyxl", None)
    with pytest.raises(MissingPackageError, match=re.escape("pip install 'attar[excel]'")):
        openpyxl_package()


def test_dates_and_empty_rows_are_read(tmp_path):
    from datetime import datetime

    book = openpyxl.Workbook()
    for row in ([], ["when", "x"], [datetime(2020, 1, 2), None], [], [None, 3]):
        book.active.append(row)
    book.create_sheet("second").append(["not read"])
    book.save(tmp_path / "a.xlsx")
    rows = list(open_sheets(tmp_path / "a.xlsx")[0].rows())
    assert [(row.line, row.values) for row in rows] == [
        (3, {"when": datetime(2020, 1, 2), "x": None}),
        (5, {"when": None, "x": 3}),
    ]


@given(st.lists(st.tuples(st.sampled_from(range(3)), st.sampled_from(range(3))), min_size=1, max_size=40))
def test_the_figures_of_a_tally_are_those_of_the_report(pairs):
    gold, answers = (np.array(column) for column in zip(*pairs, strict=True))
    wanted = scores(BUILT_IN_TASKS["cosmetics"], gold, np.eye(3)[answers])
    tally = Tally(LABELS)
    for g, a in pairs:
        tally.add(LABELS[a], LABELS[g], {})
    assert tally.num_gold == len(pairs)
    assert tally.accuracy == pytest.approx(wanted.accuracy)
    occur = [figures.f1 for figures in wanted.labels.values() if figures.support]
    assert tally.macro_f1 == pytest.approx(np.mean(occur))
    assert len(tally.without_gold) == 3 - len(occur)
    assert [[tally.confusion[g, a] for a in LABELS] for g in LABELS] == wanted.confusion.tolist()


def test_answers_without_gold_make_one_sheet(tmp_path):
    with open_workbook(tmp_path / "a.xlsx") as book:
        answers = ResultSheets(book, [Column("n")], LABELS)
        answers.add([1], LABELS[0], None, prob=0.5, groups={"channel": "京东"})
    assert openpyxl.load_workbook(tmp_path / "a.xlsx").sheetnames == ["result"]
    assert answers.tally.num_gold == 0
    assert answers.tally.accuracy == 0
    assert answers.tally.groups["channel", "京东", LABELS[0]] == 1
