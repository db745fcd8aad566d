"""Files of annotations whose columns have other names, and what is taken for gold."""

from __future__ import annotations

import csv
import json

import openpyxl
import pytest

from attar.compare.annotations import AnnotationOptions, read_annotations
from attar.compare.stage import compare_files
from attar.errors import DataError
from attar.scoring.stage import ScoreOptions, score_file

ROWS = [("口红很香，口红", "口红", "好"), ("粉底液太干", "粉底液", "坏"), ("唇膏服帖", "唇膏", "好")]


def table(path, header, rows=ROWS):
    with path.open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream).writerows([header, *rows])
    return path


def said(figures):
    return "\n".join(figures["said"])


@pytest.mark.parametrize("ending", ["csv", "tsv", "jsonl", "parquet", "xlsx"])
def test_what_score_wrote_under_other_names_is_read_back(predictor, tmp_path, ending, caplog):
    source = table(tmp_path / "in.csv", ["评论", "对象", "label"])
    scored = tmp_path / f"scored.{ending}"
    score_file(predictor, source, scored, ScoreOptions(text="评论", term="对象"))
    with caplog.at_level("INFO", "attar"):
        found = read_annotations(scored)
    assert [(a.text, a.term, a.start) for a in found.annotations][:2] == [
        ("口红很香，口红", "口红", 0),
        ("口红很香，口红", "口红", 5),
    ]
    assert "from the column '评论' and the term from '对象'" in caplog.text
    named = read_annotations(scored, options=AnnotationOptions(text="评论", term="对象"))
    assert named == found
    figures = compare_files(scored, None, tmp_path / "out.xlsx")
    assert figures["num_both"] == 4
    assert figures["sides"]["A"]["num_gold"] == 0
    assert "--gold-column input_label" in said(figures)


def test_nested_names_are_found_too(predictor, tmp_path):
    rows = [{"review": {"body": text, "aspect": term}} for text, term, _ in ROWS]
    source = tmp_path / "in.jsonl"
    source.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    score_file(
        predictor, source, tmp_path / "s.jsonl", ScoreOptions(text="review.body", term="review.aspect")
    )
    assert [a.term for a in read_annotations(tmp_path / "s.jsonl").annotations] == ["口红"] * 2 + [
        "粉底液", "唇膏",
    ]  # fmt: skip


def test_names_hold_for_the_files_that_have_them(tmp_path):
    a = table(tmp_path / "a.csv", ["评论", "对象", "情感"])
    b = table(tmp_path / "b.csv", ["text", "term", "label"])
    named = AnnotationOptions(text="评论", term="对象", label="情感")
    assert compare_files(a, b, tmp_path / "out.xlsx", options=named)["num_same"] == 3
    for name in ("text", "term", "label"):
        wrong = AnnotationOptions(**{"text": "评论", "term": "对象", "label": "情感"} | {name: "评仑"})
        with pytest.raises(DataError, match=f"no column '评仑' for {name}.*--{name}"):
            compare_files(a, b, tmp_path / "wrong.xlsx", options=wrong)
    with pytest.raises(DataError, match=r"no column 'text' for text.*name the right one in --text"):
        compare_files(a, b, tmp_path / "wrong.xlsx")
    assert not (tmp_path / "wrong.xlsx").exists()


def test_files_without_quoting(tmp_path):
    (tmp_path / "a.tsv").write_text(
        'text\tterm\tlabel\n"口红很香\t口红\t好\n粉底液太干\t粉底液\t坏\n', "utf-8"
    )
    with pytest.raises(DataError, match="--no-quotes"):
        read_annotations(tmp_path / "a.tsv")
    found = read_annotations(tmp_path / "a.tsv", options=AnnotationOptions(quoted=False))
    assert len(found.annotations) == 2


def test_gold_is_only_what_says_so(tmp_path):
    a = table(tmp_path / "a.csv", ["text", "term", "label"])
    out = tmp_path / "out.xlsx"
    with pytest.raises(
        DataError, match=r"no gold labels to compare with: --gold names a file.*--gold-column"
    ):
        compare_files(a, None, out)
    wrong = [(*row[:2], "坏", row[2]) for row in ROWS]
    old = table(tmp_path / "old.csv", ["text", "term", "label", "input_label"], wrong)
    beside = compare_files(old, None, out)
    assert (beside["num_both"], beside["num_same"]) == (3, 1)
    assert beside["sides"]["B"]["name"].endswith("column input_label")
    two = compare_files(old, a, out)
    assert (two["sides"]["A"]["num_gold"], two["sides"]["B"]["num_gold"]) == (0, 0)
    assert "may hold them or another model's" in said(two)
    judged = compare_files(old, None, out, options=AnnotationOptions(gold="input_label"))
    assert judged["sides"]["A"]["accuracy"] == pytest.approx(1 / 3)
    assert "the column 'input_label' of" in said(judged)
    gold = table(tmp_path / "gold.csv", ["text", "term", "label", "gold"], wrong)
    assert "the column 'gold' of" in said(compare_files(gold, None, out))
    with pytest.raises(DataError, match=r"no column '标准' for the gold labels.*--gold-column"):
        compare_files(gold, a, out, options=AnnotationOptions(gold="标准"))
    # Of a file of gold labels, too, the column that says so counts: not what a model said there.
    figures = compare_files(a, None, out, gold=gold)
    assert figures["sides"]["A"]["accuracy"] == 1


def test_several_files_of_gold_labels(tmp_path):
    a = table(tmp_path / "a.csv", ["text", "term", "label"])
    golds = [table(tmp_path / f"g{n}.csv", ["text", "term", "label"], [row]) for n, row in enumerate(ROWS)]
    figures = compare_files(a, None, tmp_path / "out.xlsx", gold=golds)
    assert figures["sides"]["A"]["num_gold"] == 3
    assert figures["sheets"] == {"result": 3, "wrong": 0, "correct": 3}


def test_rows_without_a_partner_are_named_with_the_reason(tmp_path, attar_main):
    a = table(
        tmp_path / "a.csv",
        ["text", "term", "start", "end", "label"],
        [
            ("口红很香，口红", "口红", 0, 2, "好"),
            ("粉底液太干", "粉底液", 0, 3, "坏"),
            ("面霜 好", "面霜", 0, 2, "好"),
        ],
    )
    gold = table(
        tmp_path / "gold.csv",
        ["text", "term", "start", "end", "label"],
        [
            ("口红很香，口红", "口红", 5, 7, "好"),
            ("粉底液太干", "太干", 3, 5, "坏"),
            ("面霜好", "面霜", 0, 2, "好"),
            ("唇膏服帖", "唇膏", 0, 2, "好"),
        ],
    )
    with pytest.raises(DataError, match="4 of 4 rows of gold have no partner in A") as caught:
        compare_files(a, None, tmp_path / "out.xlsx", gold=gold)
    message = str(caught.value)
    for reason in ("other offsets 1", "another term in the same text 1", "another text 1", "blanks"):
        assert reason in message
    assert f"the first: {gold}:2: other offsets" in message
    assert "口红" not in message
    code, printed, _ = attar_main("compare", a, a, "--gold", gold, "--out", tmp_path / "out.xlsx")
    assert code == 0
    assert "note:      4 of 4 rows of gold have no partner in A and B" in printed
    assert "note:      3 of 3 rows of A and B have no partner in gold" in printed
    rows = openpyxl.load_workbook(tmp_path / "out.xlsx")["summary"].iter_rows(values_only=True)
    assert ("gold rows without a partner", 4) in [row[:2] for row in rows]


def test_both_files_may_be_named_by_in(tmp_path, attar_main, one_line):
    a = table(tmp_path / "a.csv", ["text", "term", "label"])
    b = table(tmp_path / "b.csv", ["text", "term", "label"], ROWS[:2])
    code, printed, _ = attar_main("compare", "--in", a, "--in", b, "--out", tmp_path / "out.xlsx")
    assert code == 0
    assert "agreement: 2 of 2" in printed
    code, _, stderr = attar_main("compare", a, b, "--in", a, "--out", tmp_path / "out.xlsx")
    assert "3 files are named; expected one or two" in one_line(code, stderr)
    code, _, stderr = attar_main("compare", "--out", tmp_path / "out.xlsx")
    assert "0 files are named" in one_line(code, stderr)
