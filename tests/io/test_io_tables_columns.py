"""Columns called start and end: offsets, or something else that only has their name."""

from __future__ import annotations

import datetime
import json
import logging

import pyarrow.parquet as pq
import pytest
from written_tables import write_rows

import attar
from attar.compare.annotations import read_annotations
from attar.errors import DataError
from attar.io.tables.columns import Columns
from attar.io.tables.table_files import open_tables
from attar.recipe.load import SourceRecipe
from attar.records.readers.sources import read_source
from attar.scoring.stage import ScoreOptions, score_file

DAYS = (datetime.date(2024, 3, 1), datetime.date(2024, 3, 18))
ROWS = [{"text": f"口红{word}，口红", "term": "口红", "label": "好"} for word in ("很香", "太干", "服帖")]


def days(rows=ROWS):
    return [row | {"start": DAYS[0], "end": DAYS[1]} for row in rows]


@pytest.mark.parametrize("ending", ["csv", "tsv", "jsonl", "parquet", "xlsx"])
def test_the_days_of_a_campaign_are_no_offsets_in_any_verb(predictor, tmp_path, caplog, ending):
    source = write_rows(tmp_path / f"in.{ending}", days())
    with caplog.at_level(logging.INFO, "attar"):
        records = list(read_source(SourceRecipe(path=str(source), occurrence="first")))
    assert [(record.start, record.end) for record in records] == [(0, 2)] * 3
    assert {record.meta["start"] for record in records} == {"2024-03-01"}
    assert "no cell of theirs is a number" in caplog.text
    assert "口红" not in caplog.text
    assert [(a.start, a.term) for a in read_annotations(source).annotations] == [(None, "口红")] * 3
    for out in ("out.jsonl", "out.parquet"):
        counts = score_file(predictor, source, tmp_path / out)
        assert (counts.predictions, dict(counts.rejected)) == (6, {})
    scored = pq.read_table(tmp_path / "out.parquet").to_pylist()
    assert [row["start"] for row in scored] == [0, 5] * 3
    assert {str(row["input_start"])[:10] for row in scored} == {"2024-03-01"}


def test_one_number_is_enough(tmp_path):
    rows = [row | {"start": None, "end": None} for row in ROWS]
    rows[1] |= {"start": "first", "end": "last"}
    rows[2] |= {"start": 5, "end": 7}
    table = open_tables(write_rows(tmp_path / "in.csv", rows))[0]
    assert {"start", "end"} <= Columns.of(table, {}, ("text",), "{}").flat.keys()
    empty = open_tables(
        write_rows(tmp_path / "empty.csv", [{**row, "start": None, "end": None} for row in ROWS])
    )
    assert {"start", "end"} <= Columns.of(empty[0], {}, ("text",), "{}").flat.keys()


def test_offsets_that_come_late_in_json_are_still_read(predictor, tmp_path):
    rows = [*ROWS * 40, ROWS[0] | {"start": 5, "end": 7}]
    counts = score_file(predictor, write_rows(tmp_path / "in.jsonl", rows), tmp_path / "out.jsonl")
    assert counts.predictions == 2 * 120 + 1


def test_numbers_that_are_no_offsets_can_be_left_out(predictor, tmp_path):
    rows = [row | {"start": 20240301, "end": 20240318} for row in ROWS]
    source = write_rows(tmp_path / "in.csv", rows)
    with pytest.raises(DataError, match="bad_offsets"):
        score_file(predictor, source, tmp_path / "no.jsonl")
    counts = score_file(predictor, source, tmp_path / "out.jsonl", ScoreOptions(offsets=False))
    assert counts.predictions == 6
    first = json.loads((tmp_path / "out.jsonl").read_text("utf-8").splitlines()[0])
    assert (first["start"], first["input_start"]) == (0, "20240301")
    left_out = SourceRecipe(path=str(source), columns={"start": "", "end": ""}, occurrence="all")
    assert [record.start for record in read_source(left_out)] == [0, 5] * 3


def test_days_in_a_task_without_terms_are_kept(single_folder, tmp_path):
    source = write_rows(tmp_path / "in.csv", days())
    scorer = attar.load(single_folder)
    score_file(scorer, source, tmp_path / "once.jsonl")
    score_file(scorer, tmp_path / "once.jsonl", tmp_path / "twice.jsonl")
    once, twice = (
        [json.loads(line) for line in (tmp_path / name).read_text("utf-8").splitlines()]
        for name in ("once.jsonl", "twice.jsonl")
    )
    assert [row["input_start"] for row in once] == ["2024-03-01"] * 3
    assert list(once[0])[:4] == ["text", "term", "input_start", "input_end"]
    assert [(row["input_start"], row["start"]) for row in twice] == [("2024-03-01", 0)] * 3


def test_without_offsets_the_term_is_needed(predictor, tmp_path):
    rows = [{"text": row["text"], "start": DAYS[0], "end": DAYS[1]} for row in ROWS]
    with pytest.raises(DataError, match="no column 'term'"):
        score_file(predictor, write_rows(tmp_path / "in.csv", rows), tmp_path / "out.csv")
    with pytest.raises(DataError, match="no column '' for text"):
        list(read_source(SourceRecipe(path=str(tmp_path / "in.csv"), columns={"text": ""})))
