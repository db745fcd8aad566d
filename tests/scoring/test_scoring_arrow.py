"""Record batches in and out: the same rows as ``attar score`` over a file of the same schema."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from attar.errors import DataError
from attar.scoring.arrow import REJECTED, ArrowScorer
from attar.scoring.options import ScoreOptions
from attar.scoring.stage import score_file
from attar.terms.term_list import Term, TermList

ROWS = [
    {"text": "香味很好，香味", "term": "香味", "id": 1, "label": "好"},
    {"text": "口红不好", "term": "粉底", "id": 2, "label": None},
    {"text": None, "term": "口红", "id": 3, "label": "坏"},
    {"text": "粉底液，太差了", "term": "粉底液", "id": 4, "label": "x"},
]
TERMS = TermList.of([Term("香味", ("香味", "味道"), "闻"), Term("粉底", ("粉底液", "粉底"), "妆")])


def scored(predictor, rows, options=None, batch_rows=2):
    table, counts = pa.Table.from_pylist(rows), []
    scorer = ArrowScorer(predictor, table.schema, options)
    batches = list(scorer.score(table.to_batches(max_chunksize=batch_rows), counts.append))
    return pa.Table.from_batches(batches, scorer.schema), counts[0]


@pytest.mark.parametrize(
    "options",
    [ScoreOptions(), ScoreOptions(first=True), ScoreOptions(terms=TERMS), ScoreOptions(columns=("id",))],
)
def test_the_same_rows_as_from_a_file(predictor, tmp_path, options):
    found, counts = scored(predictor, ROWS * 3, options)
    pq.write_table(pa.Table.from_pylist(ROWS * 3), tmp_path / "in.parquet")
    wanted = score_file(predictor, tmp_path / "in.parquet", tmp_path / "out.parquet", options)
    rows = pq.read_table(tmp_path / "out.parquet")
    assert found.schema.names == [*rows.schema.names, REJECTED]
    assert found.schema.types[:-1] == rows.schema.types
    written = [row for row in found.to_pylist() if row.pop(REJECTED) is None]
    assert written == rows.to_pylist()
    assert (counts.rows, counts.predictions, counts.rejected) == (
        wanted.rows, wanted.predictions, wanted.rejected,
    )  # fmt: skip
    assert counts.without_term.total() == wanted.without_term.total()


def test_rejected_rows_keep_their_columns_and_a_reason(predictor):
    found, counts = scored(predictor, ROWS)
    rejected = [row for row in found.to_pylist() if row[REJECTED]]
    assert [(row["id"], row["input_label"], row["label"], row[REJECTED]) for row in rejected] == [
        (2, None, None, "term_not_found"), (3, "坏", None, "empty_text"),
    ]  # fmt: skip
    assert counts.rejected.total() == 2


def test_offsets_are_decided_by_the_schema_in_every_partition(predictor):
    places = [{"text": "香味很好，香味", "term": "香味", "start": start, "end": end}
              for start, end in ((None, None), (5, 7))]  # fmt: skip
    found, _ = scored(predictor, places, batch_rows=1)
    assert found["start"].to_pylist() == [0, 5, 5]
    days = [row | {"start": "2020-01-01", "end": "7"} for row in places]
    found, _ = scored(predictor, days, batch_rows=1)
    assert found["input_end"].to_pylist() == ["7"] * 4
    assert found["start"].to_pylist() == [0, 5, 0, 5]


def test_twice_is_the_same_and_columns_are_checked(predictor):
    order = [("id", "ascending"), ("start", "ascending")]
    once = scored(predictor, ROWS)[0]
    assert once == scored(predictor, ROWS)[0]
    assert once.sort_by(order) == scored(predictor, ROWS, batch_rows=4)[0].sort_by(order)
    with pytest.raises(DataError, match="no column 'text'"):
        ArrowScorer(predictor, pa.schema([("review", pa.string())]))
    with pytest.raises(DataError, match="--columns brand: no such column"):
        ArrowScorer(predictor, pa.Table.from_pylist(ROWS).schema, ScoreOptions(columns=("brand",)))
