"""Excel at both ends of ``attar score``, and Label Studio tasks out."""

from __future__ import annotations

import json
import tracemalloc
from xml.etree import ElementTree as ET

import openpyxl
import pytest
from written_tables import write_rows

import attar
from attar.errors import DataError
from attar.io.tables.table_files import open_tables
from attar.scoring import excel
from attar.scoring.stage import ScoreOptions, score_file

ROWS = [
    {"text": "香味好，香味", "term": "香味", "channel": "京东", "wordtype": "词", "label": "好", "cost": 2.5},
    {"text": "=口红不好", "term": "口红", "channel": "淘宝", "wordtype": "词", "label": "坏", "cost": 3},
    {"text": "粉底液，太差", "term": "粉底液", "channel": "京东", "wordtype": "", "label": "?", "cost": None},
    {"text": "618的香味", "term": 618, "channel": "淘宝", "wordtype": "活动", "label": "中", "cost": None},
    {"text": "口红", "term": "香味", "channel": "", "wordtype": "", "label": "好", "cost": None},
]  # fmt: skip
ADDED = ["start", "end", "label", "prob", "prob_坏", "prob_中", "prob_好"]


def sheet(path, title):
    head, *rows = openpyxl.load_workbook(path)[title].iter_rows(values_only=True)
    return [dict(zip(head, row, strict=True)) for row in rows]


@pytest.fixture(scope="module")
def scored(predictor, tmp_path_factory):
    folder = tmp_path_factory.mktemp("excel")
    counts = score_file(predictor, write_rows(folder / "in.xlsx", ROWS), folder / "out.xlsx")
    return counts, folder / "out.xlsx"


def test_sheets_of_a_workbook_with_gold_labels(scored, predictor):
    counts, out = scored
    assert (counts.rows, counts.predictions, dict(counts.rejected)) == (5, 5, {"term_not_found": 1})
    book = openpyxl.load_workbook(out)
    assert book.sheetnames == ["summary", "result", "wrong", "correct"]
    result = sheet(out, "result")
    columns = ["text", "term", "channel", "wordtype", "cost", "input_label", *ADDED]
    assert list(result[0]) == columns
    assert [row["input_label"] for row in result] == ["好", "好", "坏", "?", "中"]
    assert [(row["start"], row["end"]) for row in result] == [(0, 2), (4, 6), (1, 3), (0, 3), (0, 3)]
    assert [row["cost"] for row in result] == [2.5, 2.5, 3, None, None]
    texts, spans = [row["text"] for row in result], [(row["start"], row["end"]) for row in result]
    terms = [text[start:end] for text, (start, end) in zip(texts, spans, strict=True)]
    answers = predictor.predict(texts, terms, spans)
    assert [row["label"] for row in result] == [answer.label for answer in answers]
    for title in ("result", "wrong", "correct"):
        assert book[title].freeze_panes == "A2"
        assert book[title].auto_filter.ref == f"A1:M{book[title].max_row}"
        assert book[title].column_dimensions["A"].width == 70


def test_wrong_and_correct_share_the_labelled_rows_the_surest_mistake_first(scored):
    _, out = scored
    judged = [row for row in sheet(out, "result") if row["input_label"] in ("坏", "中", "好")]
    wrong, correct = sheet(out, "wrong"), sheet(out, "correct")
    assert correct == [row for row in judged if row["label"] == row["input_label"]]
    expected = sorted((r for r in judged if r["label"] != r["input_label"]), key=lambda r: -r["prob"])
    assert wrong == expected
    assert len(wrong) + len(correct) == 4


def test_the_summary_counts(scored, predictor):
    _, out = scored
    rows = list(openpyxl.load_workbook(out)["summary"].iter_rows(values_only=True))
    said = {row[0]: row[1] for row in rows if row and row[0]}
    judged = [row for row in sheet(out, "result") if row["input_label"] in ("坏", "中", "好")]
    right = sum(row["label"] == row["input_label"] for row in judged)
    assert (said["rows"], said["mentions"], said["rejected: term_not_found"]) == (5, 5, 1)
    assert said["model"] == predictor.artifact.version
    assert said["with a gold label"] == 4
    assert said["accuracy"] == pytest.approx(right / 4, abs=1e-4)
    assert (said["京东"], said["淘宝"], said["词"], said["活动"]) == (3, 2, 3, 1)


def test_the_term_stands_out_and_nothing_is_a_formula(scored):
    _, out = scored
    cells = openpyxl.load_workbook(out, rich_text=True)["result"]["A"]
    assert [str(part) for part in cells[3].value][1] == "口红"
    assert cells[3].value[1].font.b
    assert {cell.data_type for cell in cells} == {"s"}


def test_a_scored_workbook_is_read_back_and_scored_again(scored, predictor, tmp_path):
    _, out = scored
    again = score_file(predictor, out, tmp_path / "again.xlsx")
    assert again.predictions == 5
    for title in ("result", "wrong", "correct"):
        first = sheet(out, title)
        twice = [{name: row[name] for name in first[0]} for row in sheet(tmp_path / "again.xlsx", title)]
        assert twice == first
    assert [row.line for row in open_tables(out)[0].rows()] == [2, 3, 4, 5, 6]


def test_the_same_rows_make_the_same_bytes(scored, predictor, tmp_path):
    _, out = scored
    score_file(predictor, out.with_name("in.xlsx"), tmp_path / "again.xlsx")
    rewritten = (tmp_path / "again.xlsx").read_bytes()
    assert rewritten == out.read_bytes()


def test_what_an_earlier_model_said_is_not_gold(predictor, tmp_path):
    source = tmp_path / "in.csv"
    source.write_text("text,term,label,prob\n香味很好,香味,好,0.9\n口红不好,口红,坏,0.8\n", "utf-8")
    score_file(predictor, source, tmp_path / "out.xlsx")
    assert "wrong" not in openpyxl.load_workbook(tmp_path / "out.xlsx").sheetnames
    score_file(predictor, source, tmp_path / "asked.xlsx", ScoreOptions(label="label"))
    assert "wrong" in openpyxl.load_workbook(tmp_path / "asked.xlsx").sheetnames


def test_without_gold_labels_there_is_no_wrong(predictor, tmp_path):
    rows = [{"text": "香味", "term": "香味", "label": "别的", "is_it": "好"}]
    source = write_rows(tmp_path / "in.xlsx", rows)
    score_file(predictor, source, tmp_path / "out.xlsx")
    assert openpyxl.load_workbook(tmp_path / "out.xlsx").sheetnames == ["summary", "result"]
    score_file(predictor, source, tmp_path / "named.xlsx", ScoreOptions(label="is_it"))
    assert "wrong" in openpyxl.load_workbook(tmp_path / "named.xlsx").sheetnames
    with pytest.raises(DataError, match="no column 'gold'"):
        score_file(predictor, source, tmp_path / "other.xlsx", ScoreOptions(label="gold"))
    with pytest.raises(DataError, match="--label is for the sheets of an Excel file"):
        score_file(predictor, source, tmp_path / "out.csv", ScoreOptions(label="is_it"))


@pytest.mark.parametrize(
    ("content", "said"),
    [(b"PK", "not an Excel workbook"), (b"text,term\n", "not an Excel workbook"), (b"", "is empty")],
)
def test_a_file_that_is_no_workbook(predictor, tmp_path, content, said):
    source = tmp_path / "in.xlsx"
    source.write_bytes(content)
    with pytest.raises(DataError, match=said):
        score_file(predictor, source, tmp_path / "out.csv")
    assert [p.name for p in tmp_path.iterdir()] == ["in.xlsx"]


def test_a_broken_run_leaves_the_earlier_workbook(predictor, tmp_path, monkeypatch):
    source = write_rows(tmp_path / "in.xlsx", ROWS)
    out = tmp_path / "out.xlsx"
    out.write_text("earlier", "utf-8")

    def broken(_):
        raise KeyboardInterrupt

    monkeypatch.setattr(predictor, "predict_probs", broken)
    with pytest.raises(KeyboardInterrupt):
        score_file(predictor, source, out, ScoreOptions(overwrite=True))
    assert out.read_text("utf-8") == "earlier"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["in.xlsx", "out.xlsx"]


def test_what_is_known_to_be_too_long_is_refused_before_the_work(predictor, tmp_path, monkeypatch):
    import pyarrow as pa
    import pyarrow.parquet as pq

    monkeypatch.setattr(excel, "MAX_ROWS", 3)
    pq.write_table(pa.table({"text": ["香味"] * 4, "term": ["香味"] * 4}), tmp_path / "in.parquet")
    with pytest.raises(DataError, match=r"has 4 rows, a sheet of Excel takes 3: write \.parquet"):
        score_file(predictor, tmp_path / "in.parquet", tmp_path / "out.xlsx")
    assert not (tmp_path / "out.xlsx").exists()


def test_memory_does_not_grow_with_the_rows(predictor, tmp_path, monkeypatch):
    def peak(count):
        source = tmp_path / f"{count}.csv"
        text = "香味" + "很好" * 4000
        source.write_text("text,term,label\n" + f"{text},香味,好\n{text},香味,坏\n" * (count // 2), "utf-8")
        tracemalloc.start()
        score_file(predictor, source, tmp_path / "out.xlsx", ScoreOptions(overwrite=True))
        _, highest = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return highest

    monkeypatch.setattr("attar.scoring.chunks.CHUNK_EXAMPLES", 30)
    peak(20)
    # All 200 rows at once would be 3.2 MB of text, more than all the rest takes (2.1 MB).
    assert peak(200) < peak(100) + 200_000


def test_label_studio_tasks_and_their_config(predictor, single_folder, tmp_path):
    rows = [row for row in ROWS if isinstance(row["term"], str)]
    lines = [
        {"评论": row["text"], "keyword": row["term"], "channel": row["channel"], "n": float("nan")}
        for row in rows
    ]
    source = tmp_path / "in.jsonl"
    source.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines), "utf-8")
    score_file(predictor, source, tmp_path / "tasks.json", ScoreOptions("评论"))
    tasks = json.loads((tmp_path / "tasks.json").read_text("utf-8"))
    assert [task["data"]["text"] for task in tasks] == [row["text"] for row in rows[:3]]
    assert tasks[0]["data"] == {"text": rows[0]["text"], "keyword": "香味", "channel": "京东"}
    (prediction,) = tasks[0]["predictions"]
    assert prediction["model_version"] == f"tiny {predictor.artifact.version}"
    assert [region["value"]["start"] for region in prediction["result"]] == [0, 4]
    config = ET.fromstring((tmp_path / "tasks.xml").read_text("utf-8"))  # noqa: S314 - ours
    assert [label.get("value") for label in config.iter("Label")] == ["坏", "中", "好"]
    with pytest.raises(DataError, match="no terms to mark"):
        score_file(attar.load(single_folder, 1), source, tmp_path / "t.json", ScoreOptions("评论"))
