from __future__ import annotations

import html
import json
import unicodedata

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from written_tables import read_rows, write_rows

import attar
from attar.errors import DataError
from attar.scoring import chunks as module
from attar.scoring.stage import ScoreOptions, score_file

ADDED = ["start", "end", "label", "prob", "prob_坏", "prob_中", "prob_好"]
ROWS = [
    {"text": "香味很好，香味", "term": "香味", "id": 1},
    {"text": "口红不好", "term": "口红", "id": 2},
    {"text": "粉底液，太差了", "term": "粉底液", "id": 3},
]


@pytest.mark.parametrize("out_format", ["jsonl", "csv", "tsv", "parquet"])
@pytest.mark.parametrize("in_format", ["jsonl", "csv", "tsv", "parquet"])
def test_every_format_to_every_format(predictor, tmp_path, in_format, out_format):
    source = write_rows(tmp_path / f"in.{in_format}", ROWS)
    out = tmp_path / f"out.{out_format}"
    counts = score_file(predictor, source, out)
    assert (counts.rows, counts.predictions, dict(counts.rejected)) == (3, 4, {})
    scored = read_rows(out)
    assert [list(row) for row in scored] == [["text", "term", "id", *ADDED]] * 4
    assert [(int(r["id"]), int(r["start"]), int(r["end"])) for r in scored] == [
        (1, 0, 2),
        (1, 5, 7),
        (2, 0, 2),
        (3, 0, 3),
    ]
    texts, spans = [r["text"] for r in scored], [(int(r["start"]), int(r["end"])) for r in scored]
    wanted = predictor.predict(texts, [r["term"] for r in scored], spans)
    assert [r["label"] for r in scored] == [w.label for w in wanted]
    found = [[float(r[f"prob_{label}"]) for label in "坏中好"] for r in scored]
    np.testing.assert_allclose(found, [list(w.probs.values()) for w in wanted], atol=1e-6)
    assert [float(r["prob"]) for r in scored] == [max(row) for row in found]
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted([source.name, out.name])


def test_parquet_types_and_first(predictor, tmp_path):
    source = write_rows(tmp_path / "in.parquet", ROWS)
    score_file(predictor, source, tmp_path / "out.parquet", ScoreOptions(first=True))
    schema = pq.read_schema(tmp_path / "out.parquet")
    assert schema.field("id").type == pa.int64()
    assert schema.field("start").type == pa.int64()
    assert schema.field("prob_中").type == pa.float64()
    assert [r["start"] for r in read_rows(tmp_path / "out.parquet")] == [0, 0, 0]


def test_offsets_choose_the_occurrence(predictor, tmp_path):
    rows = [
        {"text": "香味很好，香味", "term": "香味", "start": 5, "end": 7},
        {"text": "香味很好，香味", "term": None, "start": 0, "end": 2},
        {"text": "香味很好，香味", "term": "香味", "start": None, "end": None},
        {"text": "香味很好，香味", "term": "香味", "start": "5", "end": 7.0},
    ]
    score_file(predictor, write_rows(tmp_path / "in.jsonl", rows), tmp_path / "out.jsonl")
    assert [(r["start"], r["end"]) for r in read_rows(tmp_path / "out.jsonl")] == [
        (5, 7),
        (0, 2),
        (0, 2),
        (5, 7),
        (5, 7),
    ]


def test_rows_that_cannot_be_used_are_kept_apart_with_their_lines(predictor, tmp_path):
    good = json.dumps(ROWS[1], ensure_ascii=False)
    lines = [
        good,
        "",
        "{broken",
        "[1]",
        '{"text": "香味", "term": "口红"}',
        '{"text": "香味", "term": ""}',
        '{"text": "香味", "term": 3}',
        '{"text": " ", "term": "香味"}',
        '{"term": "香味"}',
        '{"text": "香味", "term": "口红", "start": 1, "end": 9}',
        '{"text": "香味香，香味", "term": "香味", "start": 1, "end": 3}',
        '{"text": "香味", "term": "香味", "start": 0.5, "end": 2}',
        '{"text": "香味", "term": "香味", "start": true, "end": 2}',
        '{"text": "香味，香味", "term": "香味", "start": 0}',
        '{"text": "香味\\ud800", "term": "香味"}',
        "[" * 100_000,
    ]
    source = tmp_path / "in.jsonl"
    source.write_bytes("\n".join(lines).encode() + b'\n{"text": "\xff"}\n')
    counts = score_file(predictor, source, tmp_path / "out.jsonl")
    assert counts.predictions == 1
    rejected = read_rows(tmp_path / "out.jsonl.rejected.jsonl")
    assert [(r["line"], r["reason"]) for r in rejected] == [
        (3, "bad_row"),
        (4, "bad_row"),
        (5, "term_not_found"),
        (6, "empty_term"),
        (7, "term_not_found"),
        (8, "empty_text"),
        (9, "empty_text"),
        (10, "bad_offsets"),
        (11, "bad_offsets"),
        (12, "bad_offsets"),
        (13, "bad_offsets"),
        (14, "bad_offsets"),
        (15, "bad_text"),
        (16, "bad_row"),
        (17, "not_utf8"),
    ]
    assert sum(counts.rejected.values()) == 15
    assert rejected[2]["row"] == {"text": "香味", "term": "口红"}
    assert rejected[2]["where"] == f"{source}:5"
    assert rejected[0]["row"] == ["{broken"]  # the whole row, though nothing could be read of it
    # A later run without rejections leaves none of the old ones behind.
    source.write_text(good + "\n", "utf-8")
    score_file(predictor, source, tmp_path / "out.jsonl", ScoreOptions(overwrite=True))
    assert not (tmp_path / "out.jsonl.rejected.jsonl").exists()


def test_csv_lines_are_counted_where_a_cell_holds_several(predictor, tmp_path):
    source = tmp_path / "in.csv"
    source.write_text('text,term\n"香味\n很好",香味\n\n口红,口红,多\n粉底液,口红\n', "utf-8")
    counts = score_file(predictor, source, tmp_path / "out.csv")
    assert counts.predictions == 1
    rejected = read_rows(tmp_path / "out.csv.rejected.jsonl")
    assert [(r["line"], r["reason"]) for r in rejected] == [(5, "bad_row"), (6, "term_not_found")]


def test_a_gold_label_is_kept_and_scoring_twice_is_stable(predictor, tmp_path):
    source = write_rows(tmp_path / "in.csv", [row | {"label": "好"} for row in ROWS])
    score_file(predictor, source, tmp_path / "once.csv")
    score_file(predictor, tmp_path / "once.csv", tmp_path / "twice.parquet")
    once, twice = read_rows(tmp_path / "once.csv"), read_rows(tmp_path / "twice.parquet")
    assert {row["input_label"] for row in once} == {"好"} == {row["input_label"] for row in twice}
    assert [row["label"] for row in twice] == [row["label"] for row in once]


def test_jsonl_columns_that_come_late_or_in_several_kinds(predictor, tmp_path):
    rows = [
        ROWS[0],
        ROWS[1] | {"late": 1, "mixed": 1},
        ROWS[2] | {"late": None, "mixed": {"a": [2]}, "share": 0.5},
    ]
    source = write_rows(tmp_path / "in.jsonl", rows)
    score_file(predictor, source, tmp_path / "out.parquet", ScoreOptions(first=True))
    scored = read_rows(tmp_path / "out.parquet")
    assert [r["late"] for r in scored] == [None, 1, None]
    assert [r["mixed"] for r in scored] == [None, "1", '{"a": [2]}']
    assert [r["share"] for r in scored] == [None, None, 0.5]


def test_column_names(predictor, tmp_path):
    rows = [{"评论": r["text"], "keyword": r["term"]} for r in ROWS]
    source = write_rows(tmp_path / "in.csv", rows)
    assert score_file(predictor, source, tmp_path / "o.csv", ScoreOptions("评论")).predictions == 4
    named = score_file(predictor, source, tmp_path / "named.csv", ScoreOptions("评论", "keyword"))
    assert named.predictions == 4
    with pytest.raises(
        DataError, match=r"no column 'text' .*; there are '评论', 'keyword'; did you mean '评论'\?"
    ):
        score_file(predictor, source, tmp_path / "none.csv")
    with pytest.raises(DataError, match=r"'keywords'.*did you mean 'keyword'"):
        score_file(predictor, source, tmp_path / "none.csv", ScoreOptions("评论", "keywords"))
    bare = write_rows(tmp_path / "bare.csv", [{"text": "香味"}])
    with pytest.raises(DataError, match="no column 'term'"):
        score_file(predictor, bare, tmp_path / "none.csv")


def test_a_task_without_terms_scores_the_text(single_folder, tmp_path):
    source = write_rows(tmp_path / "in.csv", [{"text": "香味很好"}, {"text": "太差了"}])
    assert score_file(attar.load(single_folder, 1), source, tmp_path / "o.jsonl").predictions == 2
    assert [row["end"] for row in read_rows(tmp_path / "o.jsonl")] == [0, 0]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("in.jsonl", None, "no such file or folder"),
        ("in.parquet", None, "no such file or folder"),
        ("in.jsonl", b"", "is empty"),
        ("in.csv", b"", "is empty"),
        ("in.parquet", b"", "is empty"),
        ("in.parquet", b"PAR1", "not a Parquet file that can be read"),
        ("in.docx", b"x", "'.docx'; expected .jsonl"),
        ("in.csv", b"text,term\n", "has no rows"),
        ("in.csv", b"text,term\n\xff\n", "not UTF-8"),
        ("in.csv", b"text,text\n", "twice"),
        ("in.jsonl", b"broken\n", "no column 'text'"),
        (
            "in.jsonl",
            b'{"text": "a", "term": "b"}\n',
            r"none of its 1 rows.*term_not_found 1.*in.jsonl:1: term_not_found",
        ),
    ],
)
def test_files_that_cannot_be_used(predictor, tmp_path, name, content, said):
    source = tmp_path / name
    if content is not None:
        source.write_bytes(content)
    out = tmp_path / "out.jsonl"
    out.write_text("earlier", "utf-8")
    with pytest.raises(DataError, match=said):
        score_file(predictor, source, out, ScoreOptions(overwrite=True))
    assert out.read_text("utf-8") == "earlier"
    assert {p.name for p in tmp_path.iterdir()} <= {name, "out.jsonl"}


def test_the_source_is_not_overwritten_and_the_format_is_checked_first(predictor, tmp_path):
    source = write_rows(tmp_path / "in.csv", ROWS)
    with pytest.raises(DataError, match="one of the files that are read"):
        score_file(predictor, source, source)
    with pytest.raises(DataError, match=r"\.xls"):
        score_file(predictor, source, tmp_path / "out.xls")


def test_an_interrupted_run_leaves_the_earlier_file(predictor, tmp_path, monkeypatch):
    source = write_rows(tmp_path / "in.jsonl", [*ROWS, {"text": "x", "term": "y"}])
    out = tmp_path / "out.jsonl"
    out.write_text("earlier", "utf-8")
    monkeypatch.setattr(module, "CHUNK_EXAMPLES", 1)
    calls = []

    def broken(examples):
        if calls:
            raise KeyboardInterrupt
        calls.append(examples)
        return np.full((len(examples), 3), 1 / 3, np.float32)

    monkeypatch.setattr(predictor, "predict_probs", broken)
    with pytest.raises(KeyboardInterrupt):
        score_file(predictor, source, out, ScoreOptions(overwrite=True))
    assert out.read_text("utf-8") == "earlier"
    assert {p.name for p in tmp_path.iterdir()} == {"in.jsonl", "out.jsonl", "out.jsonl.parts"}


def stands_for(piece, term):
    """Whether a piece of a text is a term, up to what the repair of terms evens out."""
    same = [" ".join(unicodedata.normalize("NFKC", html.unescape(text)).split()) for text in (piece, term)]
    return piece == term or same[0] == same[1]


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.text(max_size=12), st.text(max_size=3)), min_size=1, max_size=12))
def test_any_text_is_scored_or_rejected_and_small_chunks_change_nothing(predictor, tmp_path, pairs):
    rows = [{"text": text, "term": term, "n": n} for n, (text, term) in enumerate(pairs)]
    rows.append(ROWS[0] | {"n": len(rows)})
    source = tmp_path / "in.jsonl"
    source.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    again = ScoreOptions(overwrite=True)
    counts = score_file(predictor, source, tmp_path / "out.jsonl", again)
    assert counts.rows == len(rows)
    scored = read_rows(tmp_path / "out.jsonl")
    assert all(stands_for(row["text"][row["start"] : row["end"]], row["term"]) for row in scored)
    assert len({row["n"] for row in scored}) + sum(counts.rejected.values()) == len(rows)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "CHUNK_EXAMPLES", 2)
        score_file(predictor, source, tmp_path / "again.jsonl", again)
    assert (tmp_path / "again.jsonl").read_bytes() == (tmp_path / "out.jsonl").read_bytes()
