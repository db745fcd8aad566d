"""``attar compare``: files of annotations in any form, side by side."""

from __future__ import annotations

import json

import openpyxl
import pytest
from written_tables import write_rows

from attar.compare.annotations import AnnotationOptions, read_annotations
from attar.compare.stage import CompareOptions, compare_files
from attar.errors import DataError
from attar.task import BUILT_IN_TASKS
from attar.workbook.sheets import Column, open_workbook

TASK = BUILT_IN_TASKS["cosmetics"]
GIVEN = AnnotationOptions(gold="input_label")
COLUMNS = ("text", "term", "start", "end", "input_label", "label", "prob", "channel")
MODEL = [
    ("香味很好，\r\n香味", "香味", 0, 2, "积极", "积极", 0.9, "京东"),
    ("香味很好，\r\n香味", "香味", 7, 9, "积极", "消极", 0.6, "京东"),
    ("口红差", "口红", 0, 2, "消极", "中性", 0.8, "淘宝"),
    ("只在甲", "甲", 2, 3, "", "中性", 0.5, ""),
]
PEOPLE = [
    ["香味很好，\r\n香味", "香味", 0, 2, "1", "京东", ""],
    ["香味很好，\r\n香味", "香味", 7, 9, "-1", "京东", ""],
    ["口红差", "口红", 0, 2, "-1", "淘宝", ""],
    ["只在乙", "乙", 2, 3, "1", "", ""],
]


def model(path, rows=MODEL):
    values = [dict(zip(COLUMNS, row, strict=True)) for row in rows]
    if path.suffix != ".xlsx":
        return write_rows(path, values)
    with open_workbook(path) as book:
        sheet = book.sheet("result", [Column(name) for name in COLUMNS])
        for row in values:
            sheet.append(list(row.values()))
    return path


@pytest.fixture
def people(tmp_path):
    path = tmp_path / "people.json"
    path.write_text(json.dumps(PEOPLE), "utf-8")
    return path


def titles(path):
    """The sheets but that of the slices, which is there where there are gold labels."""
    return [name for name in openpyxl.load_workbook(path).sheetnames if name != "slices"]


@pytest.mark.parametrize("ending", ["jsonl", "csv", "xlsx"])
def test_a_model_and_people_in_every_format(tmp_path, people, ending):
    out = tmp_path / "out.xlsx"
    figures = compare_files([model(tmp_path / f"a.{ending}"), people], out, task=TASK, options=GIVEN)
    (agreed,) = figures["agreement"]
    assert (agreed["num_both"], agreed["num_same"]) == (3, 2)
    sheets = figures["sheets"]
    assert (sheets["different"], sheets["only in a"], sheets["only in people"]) == (1, 1, 1)
    assert (sheets["wrong a"], sheets["correct a"], sheets["wrong people"], sheets["both wrong"]) == (
        2,
        1,
        1,
        1,
    )
    assert figures["sides"]["a"]["accuracy"] == pytest.approx(1 / 3)
    assert titles(out) == ["summary", *sheets]


def test_one_file_with_its_gold_labels_or_those_of_another(tmp_path, people):
    out = tmp_path / "out.xlsx"
    a = model(tmp_path / "a.csv")
    figures = compare_files([a], out, options=GIVEN)
    assert titles(out) == ["summary", "result", "wrong", "correct"]
    assert figures["sides"]["a"]["num_gold"] == 3
    figures = compare_files([a], out, gold=people, task=TASK)
    assert figures["sheets"] == {"result": 4, "wrong": 1, "correct": 2, "only in gold": 1}
    without = model(tmp_path / "b.csv", [(*row[:4], "", *row[5:]) for row in MODEL])
    with pytest.raises(DataError, match="no gold labels to compare with"):
        compare_files([without], out)
    plain = compare_files([without, a.rename(tmp_path / "c.csv")], out, options=GIVEN)
    assert plain["agreement"][0]["kappa"] == 1
    assert plain["sides"]["c"]["num_gold"] == 3


def test_without_offsets_questions_meet_by_term(tmp_path):
    (tmp_path / "a.csv").write_text("text,keyword,label\n口红差,口红,消极\n香,香,积极\n", "utf-8")
    (tmp_path / "b.csv").write_text("text,term,start,end,label\n口红差,口红,0,2,积极\n", "utf-8")
    figures = compare_files([tmp_path / "a.csv", tmp_path / "b.csv"], tmp_path / "out.xlsx")
    (agreed,) = figures["agreement"]
    assert (agreed["num_both"], agreed["num_same"], agreed["kappa"]) == (1, 0, 0)
    assert figures["sheets"]["only in a"] == 1
    assert "wrong a" not in figures["sheets"]


def test_what_is_left_out_is_counted(tmp_path, people):
    path = model(tmp_path / "a.jsonl")
    path.write_text(path.read_text("utf-8") + "{broken\n", "utf-8")
    assert read_annotations(path).left_out == {"bad_row": 1}
    compare_files([path, people], tmp_path / "out.xlsx", task=TASK)
    rows = openpyxl.load_workbook(tmp_path / "out.xlsx")["summary"].iter_rows(values_only=True)
    assert ("left out of a: bad_row", 1) in [row[:2] for row in rows]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("review,label\n好,积极\n", "no column 'text'"),
        ("text,term\n好,好\n", "no column 'label'"),
        ("text,label\n好,积极\n", "no column 'term' for term.* in --term"),
        ("text,term,label\n好,好,\n", "no row has a label"),
    ],
)
def test_files_that_hold_no_answers(tmp_path, people, content, said):
    (tmp_path / "a.csv").write_text(content, "utf-8")
    with pytest.raises(DataError, match=said) as caught:
        compare_files([tmp_path / "a.csv", people], tmp_path / "out.xlsx")
    assert "好" not in str(caught.value)
    assert not (tmp_path / "out.xlsx").exists()


def test_the_workbook_is_an_xlsx_and_no_source(tmp_path, people):
    with pytest.raises(DataError, match=r"name it \.xlsx"):
        compare_files([people, people], tmp_path / "out.txt")
    a = model(tmp_path / "a.xlsx")
    with pytest.raises(DataError, match="one of the files that are read"):
        compare_files([people, a], a)


def test_the_verb_prints_the_main_figures(tmp_path, people, attar_main):
    out = tmp_path / "out.xlsx"
    code, said, _ = attar_main(
        "compare", model(tmp_path / "a.csv"), people, "--task", "cosmetics", "--out", out
    )
    assert code == 0
    assert "agreement: 2 of 3 (66.7%), Cohen's kappa 0.5" in said
    assert "different 1" in said
    assert said.endswith(f"workbook:  {out}\n")


def test_the_workbook_is_in_chinese_and_a_table_is_not(tmp_path, people):
    options = {"task": TASK, "options": GIVEN, "compared": CompareOptions(language="zh")}
    found = compare_files([model(tmp_path / "a.csv"), people], tmp_path / "out.xlsx", **options)
    book = openpyxl.load_workbook(tmp_path / "out.xlsx")
    assert {"汇总", "分组", "结果", "不一致", "都错"} <= set(book.sheetnames)
    assert [cell.value for cell in book["结果"][1]][:5] == ["文本", "词", "渠道", "词类", "人工标签"]
    notes = " ".join(str(row[1]) for row in book["汇总"].iter_rows(values_only=True) if row[0] == "说明")
    assert "人工标签取自" in notes
    assert found["said"][0].startswith("gold labels are those of")
    compare_files([model(tmp_path / "a.csv"), people], tmp_path / "out.csv", **options)
    assert (tmp_path / "out.csv").read_text("utf-8-sig").startswith("text,term,channel,wordtype,gold,")
