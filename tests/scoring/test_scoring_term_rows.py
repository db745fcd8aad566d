"""Raw reviews and a list of terms: each mention is scored, and no review is lost without a word."""

import json

import pytest
from written_tables import read_rows, write_rows

from attar.errors import DataError, RecipeError
from attar.scoring.stage import ScoreOptions, score_file
from attar.terms.term_list import read_term_list

REVIEWS = [
    {"id": 1, "评论": "香味很好，ＳＰＦ不好，香味", "term": "旧"},
    {"id": 2, "评论": "没有", "term": "旧"},
    {"id": 3, "评论": "口红和唇膏", "term": "旧"},
    {"id": 4, "评论": "", "term": "旧"},
]
MENTIONS = [
    (1, "香味", "香味", "", 0, 2),
    (1, "防晒", "ＳＰＦ", "功效", 5, 8),
    (1, "香味", "香味", "", 11, 13),
    (3, "口红", "口红", "产品", 0, 2),
    (3, "口红", "唇膏", "产品", 3, 5),
]


@pytest.fixture
def terms(tmp_path):
    path = tmp_path / "terms.csv"
    path.write_text("term,synonyms,category\n香味,,\n防晒,spf,功效\n口红,唇膏,产品\n", "utf-8")
    return read_term_list(path)


@pytest.mark.parametrize("out_format", ["jsonl", "csv", "parquet"])
@pytest.mark.parametrize("in_format", ["jsonl", "csv", "parquet"])
def test_every_mention_is_a_row(predictor, terms, tmp_path, in_format, out_format):
    source, out = write_rows(tmp_path / f"in.{in_format}", REVIEWS), tmp_path / f"out.{out_format}"
    options = ScoreOptions(text="评论", terms=terms)
    counts = score_file(predictor, source, out, options)
    scored = read_rows(out)
    found = [
        (int(r["id"]), r["term"], r["found"], r["category"] or "", int(r["start"]), int(r["end"]))
        for r in scored
    ]
    assert found == MENTIONS
    assert {row["input_term"] for row in scored} == {"旧"}
    wanted = predictor.predict(
        [row["评论"] for row in scored], [row["found"] for row in scored], [m[4:] for m in MENTIONS]
    )
    assert [row["label"] for row in scored] == [one.label for one in wanted]
    assert (counts.rows, counts.predictions, counts.without_term.total()) == (4, 5, 1)
    assert dict(counts.rejected) == {"empty_text": 1}
    # What was scored once is scored again as it was.
    again = tmp_path / f"again.{out_format}"
    score_file(predictor, write_rows(tmp_path / f"same.{in_format}", REVIEWS), again, options)
    assert read_rows(again) == scored


def test_a_sheet_and_tasks(predictor, terms, tmp_path):
    source = write_rows(tmp_path / "in.csv", REVIEWS)
    score_file(predictor, source, tmp_path / "out.xlsx", ScoreOptions(text="评论", terms=terms))
    again = score_file(
        predictor, tmp_path / "out.xlsx", tmp_path / "again.jsonl", ScoreOptions(text="评论", term="found")
    )
    assert again.predictions == len(MENTIONS)
    score_file(predictor, source, tmp_path / "out.json", ScoreOptions(text="评论", terms=terms))
    tasks = json.loads((tmp_path / "out.json").read_text("utf-8"))
    assert sum(len(task["predictions"][0]["result"]) for task in tasks) >= len(MENTIONS)


def test_what_cannot_be_scored(predictor, single_folder, terms, tmp_path):
    from attar.artifact import load_artifact
    from attar.scoring.predictor import Predictor

    source = write_rows(tmp_path / "in.csv", REVIEWS)
    with pytest.raises(DataError, match="no column 'text'"):
        score_file(predictor, source, tmp_path / "o.csv", ScoreOptions(terms=terms))
    (tmp_path / "none.csv").write_text("评论\n没有\n真没有\n", "utf-8")
    with pytest.raises(DataError, match="none of its 2 rows names a term of the list"):
        score_file(
            predictor, tmp_path / "none.csv", tmp_path / "o.csv", ScoreOptions(text="评论", terms=terms)
        )
    alone = Predictor(load_artifact(single_folder))
    with pytest.raises(DataError, match="has no terms"):
        score_file(alone, source, tmp_path / "o.csv", ScoreOptions(text="评论", terms=terms))
    alone.close()


def test_a_row_is_cut_off_where_it_would_be_written_too_often(predictor, terms, tmp_path, monkeypatch):
    """Each mention is written with its text: the limit counts that, and a row without it has room."""
    monkeypatch.setenv("ATTAR_MAX_ROW_GB", "3e-6")  # 3,000 characters
    long = {"id": 1, "评论": "香味" * 200}
    source = write_rows(tmp_path / "in.jsonl", [REVIEWS[0], long, REVIEWS[2]])
    options = ScoreOptions(text="评论", terms=terms)
    counts = score_file(predictor, source, tmp_path / "out.jsonl", options)
    assert counts.rejected == {"too_many_mentions": 1}
    assert [row["id"] for row in read_rows(tmp_path / "out.jsonl")] == [1] * 3 + [1] * 7 + [3] * 2
    (rejected,) = read_rows(tmp_path / "out.jsonl.rejected.jsonl")
    assert (rejected["where"], rejected["row"]["评论"]) == (f"{source}:2", long["评论"])
    few = ScoreOptions(text="评论", terms=terms, columns=("id",))
    assert score_file(predictor, source, tmp_path / "few.csv", few).rejected == {}
    assert len(read_rows(tmp_path / "few.csv")) == 3 + 200 + 2
    monkeypatch.setenv("ATTAR_MAX_ROW_GB", "1")
    assert score_file(predictor, source, tmp_path / "all.csv", options).predictions == 3 + 200 + 2
    monkeypatch.setenv("ATTAR_MAX_ROW_GB", "much")
    with pytest.raises(RecipeError, match=r"ATTAR_MAX_ROW_GB = 'much'; expected a number of gigabytes"):
        score_file(predictor, source, tmp_path / "none.csv", options)


def test_the_terms_of_a_cell_count_together(predictor, tmp_path, monkeypatch):
    monkeypatch.setenv("ATTAR_MAX_ROW_GB", "3e-6")
    text = "口红香味" + "好" * 396
    terms = ["口红", *(f"没有{i}" for i in range(50)), "香味"]
    source = write_rows(
        tmp_path / "in.jsonl", [{"text": text, "term": terms}, {"text": text, "term": ["口红"]}]
    )
    counts = score_file(predictor, source, tmp_path / "out.csv", ScoreOptions(split_terms="、"))
    assert counts.rejected == {"term_not_found": 7, "too_many_mentions": 1}
    assert (counts.rows, counts.predictions) == (2, 2)


def test_every_occurrence_counts_and_the_first_alone_does_not(predictor, tmp_path, monkeypatch):
    monkeypatch.setenv("ATTAR_MAX_ROW_GB", "3e-6")
    source = write_rows(tmp_path / "in.jsonl", [{"text": "香味" * 200, "term": "香味"}])
    counts = score_file(predictor, source, tmp_path / "out.json")  # one task: its text is written once
    assert (counts.predictions, counts.rejected) == (3, {"too_many_mentions": 1})
    counts = score_file(predictor, source, tmp_path / "out.csv")
    assert (counts.predictions, counts.rejected) == (7, {"too_many_mentions": 1})
    counts = score_file(predictor, source, tmp_path / "first.csv", ScoreOptions(first=True))
    assert (counts.predictions, counts.rejected) == (1, {})
