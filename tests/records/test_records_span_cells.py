import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from written_tables import write_rows

from attar.io.tables.rows import as_label
from attar.recipe.load import DataRecipe, SourceRecipe
from attar.records.audit.audit import audit
from attar.records.readers.mongodb_documents import document_records
from attar.records.readers.sources import read_source
from attar.records.readers.span_cells import span_records
from attar.records.record import Accepted, Record
from attar.task import BUILT_IN_TASKS

TEXT = "香味好，泵头坏"
FOUND = [("香味", 0, 2, "积极"), ("泵头", 4, 6, "消极")]
PAIRS = [[0, 2, "积极"], [4, 6, "消极"]]
OBJECTS = [{"id": 7, "label": "积极", "start_offset": 0, "end_offset": 2}]
OBJECTS += [{"id": 8, "label": "消极", "start_offset": 4, "end_offset": 6}]
REGIONS = [{"start": 0, "end": 2, "text": "香味", "labels": ["积极"]}]
REGIONS += [{"start": 4, "end": 6, "text": "泵头", "labels": ["消极"]}]
SHAPES = [
    PAIRS,
    OBJECTS,
    REGIONS,
    [{"value": region} for region in REGIONS],
    [{"start": 0.0, "end": "2", "entity_type": "积极"}, {"begin": 4, "end": 6, "tag": "消极"}],
    {"entities": PAIRS},
    {"积极": {"香味": [[0, 1]]}, "消极": {"泵头": [[4, 5]]}},
]


@pytest.fixture
def read(tmp_path):
    """Reads rows from a JSONL file or as CSV: (records, rejections)."""

    def read_them(*rows, ending="jsonl", **options):
        path = write_rows(tmp_path / f"rows.{ending}", rows)
        found = list(read_source(SourceRecipe(path=str(path), **options)))
        return [r for r in found if isinstance(r, Record)], [r for r in found if not isinstance(r, Record)]

    return read_them


def spans(records):
    return [(r.term, r.start, r.end, r.label) for r in records]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("ending", ["jsonl", "csv", "python"])
def test_each_span_is_a_row(read, shape, ending):
    cell = {"jsonl": shape, "csv": json.dumps(shape, ensure_ascii=False), "python": str(shape)}[ending]
    row = {"id": 5, "text": TEXT, "channel": "京东", "label": cell}
    records, rejected = read(row, ending="jsonl" if ending == "jsonl" else "csv")
    assert spans(records) == FOUND
    assert rejected == []
    assert {r.meta["channel"] for r in records} == {"京东"}


@pytest.mark.parametrize(
    ("row", "options"),
    [
        ({"text": TEXT, "labels": PAIRS}, {}),
        ({"text": TEXT, "entities": OBJECTS, "relations": [{"from_id": 7, "to_id": 8}], "Comments": []}, {}),
        ({"data": TEXT, "marks": PAIRS}, {"columns": {"text": "data", "label": "marks"}}),
    ],
)
def test_the_names_of_doccano_are_known_and_others_can_be_given(read, row, options):
    records, rejected = read(row, **options)
    assert (spans(records), rejected) == (FOUND, [])


@pytest.mark.parametrize(
    ("cell", "kept", "reasons", "message"),
    [
        ([[0, 2, "积极"], [1, 3, "消极"]], 0, ["bad_offsets"] * 2, "span 1 of 2 overlaps another one"),
        ([[0, 2, "积极"], [4, 99, "消极"]], 1, ["bad_offsets"], "span 2 of 2 ends at 99, the text has 7"),
        ([[0, 2, "积极"], [4, 4, "消极"]], 1, ["bad_offsets"], "span 2 of 2 is empty"),
        ([[0, 2, "积极"], [-2, 1, "消极"]], 0, ["bad_offsets"] * 2, "span"),
        ([[0, 2, "积极"], ["x", 6, "消极"]], 1, ["bad_offsets"], "span 2 of 2: start and end must be whole"),
        ([[0, 2, "积极"], {"start": 4, "end": 6, "labels": ["a", "b"]}], 1, ["bad_row"], "has 2 labels"),
        ([], 0, ["missing_label"], "no span of the text is labelled"),
        ([[0, 2]], 0, ["bad_row"], 'expected [start, end, "label"]'),
        ([[0, 2, "积极"], "消极"], 0, ["bad_row"], 'expected [start, end, "label"]'),
        ([{"a": 1}], 0, ["bad_row"], 'expected [start, end, "label"]'),
        (["积极", "消极"], 0, ["bad_row"], "a list of 2 labels; expected one"),
    ],
)
def test_what_is_no_span_of_the_text_is_rejected_with_its_reason(read, cell, kept, reasons, message):
    records, rejected = read({"text": TEXT, "label": cell})
    assert len(records) == kept
    assert [rejection.reason for rejection in rejected] == reasons
    assert message in rejected[0].message
    assert "香味" not in rejected[0].message


@pytest.mark.parametrize("cell", [["积极"], {"choices": ["积极"]}, "积极", '["积极"]'])
def test_a_list_of_one_label_is_that_label(read, cell):
    (record,), _ = read({"text": TEXT, "term": "香味", "label": cell})
    assert (record.term, record.label) == ("香味", "积极")


@pytest.mark.parametrize("label", ["[正面]", "{好", "[", "[好评] 5"])
def test_a_label_that_only_looks_like_a_list_stays(read, label):
    (record,), _ = read({"text": TEXT, "term": "香味", "label": label})
    assert record.label == label


def test_regions_of_hypertext_count_the_text_without_tags(read):
    region = {"start": "/p[1]/text()[1]", "end": "/p[1]/text()[1]", "globalOffsets": {"start": 4, "end": 6}}
    cell = json.dumps([{**region, "text": "泵头", "hypertextlabels": ["消极"]}])
    (record,), _ = read({"text": "<p>香味好，泵头坏</p>", "label": cell}, ending="csv")
    assert (record.start, record.end) == (7, 9)


def test_rows_are_accepted_or_rejected_span_by_span(read):
    rows = [
        {"text": TEXT, "label": PAIRS},
        {"text": TEXT + "。", "label": [[0, 2, "积极"], [4, 6, "不知道"], [0, 2, "积极"]]},
        {"text": "/data/upload/1/a.txt", "label": [[0, 2, "积极"]]},
    ]
    records, rejected = read(*rows)
    assert len(records) + len(rejected) == 6
    outcomes = list(audit(records, BUILT_IN_TASKS["cosmetics"], DataRecipe()))
    kept = [outcome for outcome in outcomes if isinstance(outcome, Accepted)]
    assert [outcome.example.term for outcome in kept] == ["香味", "泵头", "香味"]
    reasons = [outcome.reason for outcome in outcomes if not isinstance(outcome, Accepted)]
    assert reasons == ["unknown_label", "duplicate", "empty_text"]


@pytest.mark.parametrize("names", [{"label": PAIRS}, {"entities": OBJECTS}])
def test_documents_of_mongodb_may_hold_spans(names):
    found = list(document_records({"text": TEXT, **names}, "d.c#1", SourceRecipe(path="mongodb://h/d/c")))
    assert spans(found) == FOUND


def test_spans_of_extended_json_are_read():
    cell = [[{"$numberInt": "0"}, {"$numberInt": "2"}, "积极"]]
    (record,) = document_records({"text": TEXT, "label": cell}, "d.c#1", SourceRecipe(path="mongodb://h/d/c"))
    assert spans([record]) == FOUND[:1]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 9) | st.floats() | st.text("香泵,'[", max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["start", "end", "label", "labels", "text", "value", "entities", "globalOffsets"]
            ),
            inner,
        )
    ),
    max_leaves=12,
)


@settings(max_examples=150)
@given(JSON)
def test_whatever_a_label_is_nothing_is_lost_and_nothing_raises(cell):
    label = as_label(cell)
    found = list(span_records(Record(TEXT, "", None, None, label, where="a:1")))
    assert found
    assert all(row.where == "a:1" for row in found)
