"""Files of annotations whose columns have other names, and what is taken for gold."""

from __future__ import annotations

import json

import openpyxl
import pytest
from written_tables import write_rows

from attar.compare.annotations import AnnotationOptions, read_annotations
from attar.compare.stage import compare_files
from attar.errors import DataError
from attar.recipe.load import DataRecipe, SourceRecipe
from attar.records.audit.audit import audit
from attar.records.readers.sources import read_source
from attar.records.record import Record
from attar.scoring.stage import ScoreOptions, score_file
from attar.task import BUILT_IN_TASKS

ROWS = [("口红很香，口红", "口红", "好"), ("粉底液太干", "粉底液", "坏"), ("唇膏服帖", "唇膏", "好")]


def table(path, header, rows=ROWS):
    return write_rows(path, [dict(zip(header, row, strict=True)) for row in rows])


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
    figures = compare_files([scored], tmp_path / "out.xlsx")
    assert figures["agreement"][0]["num_both"] == 4
    assert figures["sides"]["scored"]["num_gold"] == 0
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
    assert compare_files([a, b], tmp_path / "out.xlsx", options=named)["agreement"][0]["num_same"] == 3
    for name in ("text", "term", "label"):
        wrong = AnnotationOptions(**{"text": "评论", "term": "对象", "label": "情感"} | {name: "评仑"})
        with pytest.raises(DataError, match=f"no column '评仑' for {name}.*--{name}"):
            compare_files([a, b], tmp_path / "wrong.xlsx", options=wrong)
    with pytest.raises(DataError, match=r"no column 'text' for text.*name the right one in --text"):
        compare_files([a, b], tmp_path / "wrong.xlsx")
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
        compare_files([a], out)
    wrong = [(*row[:2], "坏", row[2]) for row in ROWS]
    old = table(tmp_path / "old.csv", ["text", "term", "label", "input_label"], wrong)
    beside = compare_files([old], out)
    assert [(one["num_both"], one["num_same"]) for one in beside["agreement"]] == [(3, 1)]
    assert list(beside["sides"]) == ["old", "old, column input_label"]
    two = compare_files([old, a], out)
    assert [side["num_gold"] for side in two["sides"].values()] == [0, 0]
    assert "may hold them or another model's" in said(two)
    judged = compare_files([old], out, options=AnnotationOptions(gold="input_label"))
    assert judged["sides"]["old"]["accuracy"] == pytest.approx(1 / 3)
    assert "the column 'input_label' of" in said(judged)
    gold = table(tmp_path / "gold.csv", ["text", "term", "label", "gold"], wrong)
    assert "the column 'gold' of" in said(compare_files([gold], out))
    with pytest.raises(DataError, match=r"no column '标准' for the gold labels.*--gold-column"):
        compare_files([gold, a], out, options=AnnotationOptions(gold="标准"))
    # Of a file of gold labels, too, the column that says so counts: not what a model said there.
    figures = compare_files([a], out, gold=gold)
    assert figures["sides"]["a"]["accuracy"] == 1


def test_several_files_of_gold_labels(tmp_path):
    a = table(tmp_path / "a.csv", ["text", "term", "label"])
    golds = [table(tmp_path / f"g{n}.csv", ["text", "term", "label"], [row]) for n, row in enumerate(ROWS)]
    figures = compare_files([a], tmp_path / "out.xlsx", gold=golds)
    assert figures["sides"]["a"]["num_gold"] == 3
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
    with pytest.raises(DataError, match="4 of 4 rows of gold have no partner in a") as caught:
        compare_files([a], tmp_path / "out.xlsx", gold=gold)
    message = str(caught.value)
    for reason in ("other offsets 1", "another term in the same text 1", "another text 1", "blanks"):
        assert reason in message
    assert f"the first: {gold}:2: other offsets" in message
    assert "口红" not in message
    code, printed, _ = attar_main("compare", a, a, "--gold", gold, "--out", tmp_path / "out.xlsx")
    assert code == 0
    assert "note:      4 of 4 rows of gold have no partner in a and a (2)" in printed
    assert "note:      3 of 3 rows of a and a (2) have no partner in gold" in printed
    rows = openpyxl.load_workbook(tmp_path / "out.xlsx")["summary"].iter_rows(values_only=True)
    assert ("gold rows without a partner", 4) in [row[:2] for row in rows]


def test_both_files_may_be_named_by_in(tmp_path, attar_main, one_line):
    a = table(tmp_path / "a.csv", ["text", "term", "label"])
    b = table(tmp_path / "b.csv", ["text", "term", "label"], ROWS[:2])
    code, printed, _ = attar_main("compare", "--in", a, "--in", b, "--out", tmp_path / "out.xlsx")
    assert code == 0
    assert "agreement: 2 of 2" in printed
    code, printed, _ = attar_main("compare", a, b, "--in", a, "--out", tmp_path / "out.xlsx")
    assert code == 0
    assert "agreement: 3 of 3 (100.0%) of a and a (2), Cohen's kappa 1" in printed
    code, _, stderr = attar_main("compare", "--out", tmp_path / "out.xlsx")
    assert "no files are named" in one_line(code, stderr)


SPANS = [
    {"text": "香味好，泵头坏", "label": [[0, 2, "积极"], [4, 6, "消极"]]},
    {"text": "香味淡", "label": [[0, 2, "消极"]]},
    {"text": "没有标注", "label": []},
]


@pytest.mark.parametrize("name", ["label", "labels", "entities"])
@pytest.mark.parametrize("ending", ["jsonl", "csv", "xlsx", "parquet"])
def test_spans_in_a_cell_are_rows_as_they_are_for_prepare(tmp_path, ending, name):
    as_objects = [
        {"start_offset": start, "end_offset": end, "label": said} for start, end, said in SPANS[0]["label"]
    ]
    cells = [as_objects, *(row["label"] for row in SPANS[1:])]
    values = cells if ending == "jsonl" else map(json.dumps, cells)
    rows = [{"text": row["text"], name: value} for row, value in zip(SPANS, values, strict=True)]
    source = write_rows(tmp_path / f"a.{ending}", rows)
    found = read_annotations(source)
    expected = [r for r in read_source(SourceRecipe(path=str(source))) if isinstance(r, Record)]
    assert [(a.text, a.term, a.start, a.end, a.label) for a in found.annotations] == [
        (r.text, r.term, r.start, r.end, r.label) for r in expected
    ]
    assert [a.term for a in found.annotations] == ["香味", "泵头", "香味"]
    assert found.left_out == {"missing_label": 1}
    plain = [
        ("香味好，泵头坏", "香味", "积极"),
        ("香味好，泵头坏", "泵头", "消极"),
        ("香味淡", "香味", "积极"),
    ]
    other = table(tmp_path / "b.csv", ["text", "term", "label"], plain)
    figures = compare_files([source, other], tmp_path / "out.xlsx")
    (agreed,) = figures["agreement"]
    assert (agreed["num_both"], agreed["num_same"]) == (3, 2)


def test_a_table_without_terms_and_spans_still_lacks_a_column(tmp_path):
    source = write_rows(tmp_path / "a.csv", [{"text": "香味好", "label": "积极"}])
    with pytest.raises(DataError, match="no column 'term' for term"):
        read_annotations(source)


def test_a_mark_and_an_answer_count_as_they_do_for_prepare(tmp_path):
    """The offsets of a mark are wider than its text, and one of two answers is a label of the task."""
    region = {"start": 0, "end": 4, "text": "香味", "labels": ["功效"]}
    result = [{"id": "a", "type": "labels", "from_name": "kind", "value": region}]
    for name, choice in (("strength", "强"), ("sentiment", "积极")):
        value = {"start": 0, "end": 4, "choices": [choice]}
        result.append({"id": "a", "type": "choices", "from_name": name, "value": value})
    tasks = [{"id": 1, "data": {"text": "香味持久，好"}, "annotations": [{"id": 1, "result": result}]}]
    path = tmp_path / "tasks.json"
    path.write_text(json.dumps(tasks), "utf-8")
    task = BUILT_IN_TASKS["cosmetics"]
    (outcome,) = audit(list(read_source(SourceRecipe(path=str(path)), task=task)), task, DataRecipe())
    (annotation,) = read_annotations(path, task).annotations
    example = outcome.example
    assert (annotation.term, annotation.start, annotation.end, annotation.label) == (
        example.term, example.start, example.end, example.label,
    )  # fmt: skip


ODD = {"text": "香味很好", "term": "香味", "label": "积极"}


@pytest.mark.parametrize(
    ("ending", "change", "left_out"),
    [
        ("jsonl", {"label": float("nan")}, {}),
        ("parquet", {"prob": float("nan"), "prob_积极": float("inf")}, {}),
        ("jsonl", {"prob": 1e999, "channel": "京\ud83d"}, {}),
        ("jsonl", {"text": "香味\ud83d很好", "label": "积\ud83d"}, {}),
        ("jsonl", {"id": 2**64 - 1, "label": 2**64 - 1, "prob": 10**400}, {}),
        ("parquet", {"id": 2**64 - 1}, {}),
        ("xlsx", {"text": "香味_x000D_\n很好_x005F_x000D_"}, {}),
        ("csv", {"text": "香味\r很好"}, {}),
        ("csv", {"text": " \u200b", "term": ""}, {"empty_text": 1}),
        ("jsonl", {"text": None}, {"empty_text": 1}),
        ("jsonl", {"text": ["香味"]}, {"bad_row": 1}),
        ("jsonl", {"start": 0.5, "end": 2}, {"bad_offsets": 1}),
        ("xlsx", {"text": "#N/A"}, {"bad_row": 1}),
    ],
)
def test_odd_cells_are_compared_or_left_out_with_a_reason(tmp_path, ending, change, left_out):
    rows = [ODD | {"text": f"香味{word}"} for word in "淡浓甜"]
    names = dict.fromkeys([*ODD, *change])
    source = write_rows(tmp_path / f"a.{ending}", [names | row for row in [*rows, ODD | change]])
    found = read_annotations(source)
    assert found.left_out == left_out
    assert len(found.annotations) == 4 - sum(left_out.values())
    out = tmp_path / "out.xlsx"
    figures = compare_files([source, source], out)
    assert figures["agreement"][0]["num_same"] == sum(
        annotation.label is not None for annotation in found.annotations
    )
    assert "nan" not in json.dumps(figures, default=str).lower()
    assert not {"nan", "inf"} & {str(cell) for cell in cells_of(out)}


def cells_of(path):
    book = openpyxl.load_workbook(path)
    return [cell for sheet in book for row in sheet.iter_rows(values_only=True) for cell in row]


def test_blanks_around_the_names_of_columns_are_no_part_of_them(tmp_path):
    for ending in ("csv", "tsv", "xlsx"):
        source = write_rows(tmp_path / f"a.{ending}", [ODD], [" text", "term ", "\tlabel\u3000"])
        assert [a.term for a in read_annotations(source).annotations] == ["香味"]
