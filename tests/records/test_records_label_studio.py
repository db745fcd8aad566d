"""Exports of the real program (fixtures made by benchmarks/label_studio_round_trip.py) and of old ones."""

import json
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from attar.errors import DataError
from attar.records.audit.audit import Rejection
from attar.records.readers.label_studio import is_label_studio, read_label_studio
from attar.records.record import Record

FIXTURES = Path(__file__).parent / "fixtures" / "label_studio"
EMOJI = "😀👍香味很好闻，泵头不好按"


def read(path):
    rows = list(read_label_studio(path))
    records = [row for row in rows if isinstance(row, Record)]
    return records, [row for row in rows if isinstance(row, Rejection)]


def spans(records):
    return [(r.term, r.start, r.end, r.label, r.meta.get("wordtype"), r.annotator) for r in records]


@pytest.fixture
def tasks(tmp_path):
    """Writes tasks to a file and reads it: (records, rejections)."""

    def read_tasks(*items):
        file = tmp_path / "export.json"
        file.write_text(json.dumps(items, ensure_ascii=False), "utf-8")
        return read(file)

    return read_tasks


def region(start, end, text, label="积极", **more):
    value = {"start": start, "end": end, "text": text, "labels": [label]}
    return {"from_name": "label", "to_name": "text", "type": "labels", "value": value, **more}


def choice(label, **more):
    return {"from_name": "s", "to_name": "text", "type": "choices", "value": {"choices": [label]}, **more}


def task(*results, task_id=1, data=None, **more):
    annotations = [{"id": n, "completed_by": n, "result": result} for n, result in enumerate(results, 1)]
    return {"id": task_id, "data": data or {"text": "香味好，泵坏"}, "annotations": annotations, **more}


def reasons(rejected):
    return [row.reason for row in rejected]


def test_the_real_export_gives_the_spans_that_were_annotated():
    records, rejected = read(FIXTURES / "terms_json.json")
    assert {r.text[r.start : r.end] == r.term for r in records} == {True}
    of_emoji = [r for r in records if r.text == EMOJI]
    assert sorted(spans(of_emoji)) == [
        ("泵头", 8, 10, "中性", None, "2"),
        ("泵头", 8, 10, "消极", None, "1"),
        ("香味", 2, 4, "积极", None, "1"),
        ("香味", 2, 4, "积极", None, "2"),
    ]
    entities = [r for r in records if "&lt;" in r.text]
    assert [(r.term, r.start, r.end) for r in entities] == [("不黏", 19, 21), ("包装", 26, 28)]
    assert "\n" in entities[0].text
    assert Counter(reasons(rejected)) == {"cancelled": 1, "duplicate": 1, "missing_label": 2}
    assert records[0].where == f"{FIXTURES / 'terms_json.json'}#1"
    assert {r.meta["channel"] for r in records} == {"京东"}


def test_in_the_real_export_a_regions_choice_is_the_label_and_its_label_the_wordtype():
    records, rejected = read(FIXTURES / "regions_json.json")
    assert spans(records) == [("洗面奶", 1, 4, "积极", "产品", "1"), ("泡沫", 7, 9, "中性", "属性", "1")]
    messages = [row.message for row in rejected]
    assert reasons(rejected) == ["missing_label", "missing_label"]
    assert "no choice though others" in messages[0]
    assert messages[1] == "nobody has annotated the task"


def test_in_the_real_export_a_tasks_choice_is_about_its_keyword():
    (record,), rejected = read(FIXTURES / "keywords_json.json")
    assert record.text == "香水留香久"
    assert spans([record]) == [("留香", None, None, "积极", "属性", "1")]
    assert rejected == []


def test_the_real_json_min_is_read_where_it_is_clear():
    whole, _ = read(FIXTURES / "terms_json.json")
    records, rejected = read(FIXTURES / "terms_json_min.json")
    assert sorted(spans(records), key=str) == sorted(spans(whole), key=str)
    # A skipped task is not in it at all, and an empty annotation looks like a choice.
    assert Counter(reasons(rejected)) == {"duplicate": 1, "bad_row": 1, "missing_label": 1}


@pytest.mark.parametrize("name", ["regions", "keywords"])
def test_the_real_json_min_is_refused_where_it_is_not(name):
    records, rejected = read(FIXTURES / f"{name}_json_min.json")
    assert records == []
    assert rejected[0].reason == "bad_row"
    assert "export the project as JSON, not JSON_MIN" in rejected[0].message


@pytest.mark.parametrize("path", sorted(FIXTURES.glob("*.json")), ids=lambda path: path.name)
def test_every_real_export_is_known_by_its_first_task(path):
    assert is_label_studio(json.loads(path.read_text("utf-8"))[0])


@pytest.mark.parametrize("other", [[], ["text", "term", "label"], {"text": "a", "label": "b"}, None, "a"])
def test_other_lists_are_not_taken_for_an_export(other):
    assert not is_label_studio(other)


def test_an_old_export_is_read(tasks):
    old = {
        "id": 7,
        "data": {"text": "香味好，泵坏", "keyword": "泵", "channel": "微博", "wordtype": "属性"},
        "completions": [
            {"id": 7001, "lead_time": 3.2, "created_at": 1588000000, "result": [region(4, 5, "泵", "消极")]},
            {"id": 7002, "created_at": 1588000500, "result": [region(4, 5, "泵", "中性")]},
            {"id": 7003, "was_cancelled": True, "created_at": 1588000600, "result": []},
            {"id": 7004, "skipped": True, "result": []},
        ],
    }
    records, rejected = tasks(old)
    assert spans(records) == [("泵", 4, 5, "消极", "属性", "#1"), ("泵", 4, 5, "中性", "属性", "#2")]
    assert records[0].meta == {"channel": "微博", "wordtype": "属性"}
    assert reasons(rejected) == ["cancelled", "cancelled"]
    assert rejected[0].row == ["香味好，泵坏", "泵", None, None, None, "微博", "属性"]


def test_an_old_region_without_its_text_takes_the_keyword_or_the_span(tasks):
    bare = {"id": "a", "value": {"start": 4, "end": 5, "labels": ["消极"]}}
    with_keyword = {
        "id": 1,
        "data": {"text": "香味好，泵坏", "keyword": "泵头"},
        "completions": [{"result": [bare]}],
    }
    without = {"id": 2, "data": {"text": "香味好，泵坏"}, "completions": [{"result": [bare]}]}
    records, _ = tasks(with_keyword, without)
    assert spans(records) == [("泵头", 4, 5, "消极", None, ""), ("泵", 4, 5, "消极", None, "")]


@pytest.mark.parametrize(
    ("completed_by", "annotator"),
    [
        (3, "3"),
        ("ann", "ann"),
        ({"id": 3, "email": "a@example.org"}, "3"),
        ({"email": "a@example.org"}, "a@example.org"),
        (None, ""),
        (True, ""),
        ([], ""),
        ({}, ""),
    ],
)
def test_the_annotator_is_named_as_far_as_the_export_does(tasks, completed_by, annotator):
    annotation = {"completed_by": completed_by, "result": [region(0, 2, "香味")]}
    (record,), _ = tasks({"id": 1, "data": {"text": "香味好"}, "annotations": [annotation]})
    assert record.annotator == annotator


def test_of_one_annotators_answers_the_latest_counts_wherever_it_stands(tasks):
    def work(number, updated_at, label, who=5):
        result = [region(0, 2, "香味", label)]
        return {"id": number, "completed_by": who, "updated_at": updated_at, "result": result}

    annotations = [
        work(1, "2024-05-01T10:00:00.5Z", "消极"),
        work(3, "2024-05-02T09:00:00+00:00", "积极"),
        work(2, "2024-05-02T10:00:00+08:00", "中性"),
        work(4, "2024-04-01T00:00:00Z", "中性", who=6),
        {**work(9, "2024-06-01T00:00:00Z", "消极"), "was_cancelled": True},
    ]
    records, rejected = tasks({"id": 1, "data": {"text": "香味好"}, "annotations": annotations})
    assert [(r.label, r.annotator) for r in records] == [("积极", "5"), ("中性", "6")]
    assert reasons(rejected) == ["duplicate", "duplicate", "cancelled"]


def test_without_times_the_higher_id_is_the_later(tasks):
    annotations = [
        {"id": 8, "completed_by": 1, "updated_at": "soon", "result": [region(0, 2, "香味", "积极")]},
        {"id": 7, "completed_by": 1, "result": [region(0, 2, "香味", "消极")]},
    ]
    (record,), rejected = tasks({"id": 1, "data": {"text": "香味好"}, "annotations": annotations})
    assert record.label == "积极"
    assert reasons(rejected) == ["duplicate"]


def test_drafts_and_predictions_are_nobodys_answer(tasks):
    result = [region(0, 2, "香味")]
    records, rejected = tasks(task(drafts=[{"result": result}], predictions=[{"result": result}]))
    assert records == []
    assert reasons(rejected) == ["missing_label"]


@pytest.mark.parametrize(
    ("data", "to_name", "key"),
    [
        ({"text": "香味好", "note": "香味"}, "note", "text"),
        ({"review": "香味好", "note": "香味"}, "note", "note"),
        ({"review": "香味好", "note": "见上", "keyword": "香味"}, "t", "review"),
        ({"review": "好香味", "channel": "香味京东"}, "t", "review"),
        ({"review": "没有那个词", "wordtype": "属性"}, "t", "review"),
    ],
)
def test_the_text_is_found_under_any_name(tasks, data, to_name, key):
    found = {**region(0, 2, "香味"), "to_name": to_name}
    (record,), _ = tasks(task([found], data=data))
    assert record.text == data[key]
    assert key not in record.meta


def test_where_two_fields_may_be_the_text_it_says_what_to_do(tasks):
    records, rejected = tasks(task([region(0, 2, "香味")], data={"a": "香味好", "b": "好香味"}))
    assert records == []
    assert reasons(rejected) == ["bad_row"]
    assert "call it text" in rejected[0].message


def test_simple_fields_become_metadata(tasks):
    data = {
        "text": "香味好",
        "channel": "京东",
        "brand": 3,
        "new": True,
        "tags": ["a"],
        "none": None,
        "e": "",
    }
    (record,), _ = tasks(task([region(0, 2, "香味")], data=data))
    assert record.meta == {"channel": "京东", "brand": "3"}


def test_offsets_are_passed_on_as_they_came(tasks):
    records, rejected = tasks(
        task([region(4, 6, "香味")], data={"text": EMOJI}),
        task([region("2", 4.0, "香味")], data={"text": EMOJI}),
        task([region(None, None, "香味")], data={"text": EMOJI}),
        task([region(2.5, 4, "香味")], data={"text": EMOJI}),
    )
    assert [(r.start, r.end) for r in records] == [(4, 6), (2, 4), (None, None)]
    assert reasons(rejected) == ["bad_offsets"]


def test_hypertext_has_global_offsets_or_none(tasks):
    paths = {
        "start": "/div[1]/text()[1]",
        "end": "/div[1]/text()[1]",
        "text": "香味",
        "hypertextlabels": ["积极"],
    }
    whole = {**paths, "globalOffsets": {"start": 0, "end": 2}}
    items = [
        {"id": str(n), "type": "hypertextlabels", "value": value} for n, value in enumerate((paths, whole))
    ]
    records, _ = tasks(task(items))
    assert [(r.start, r.end, r.label) for r in records] == [(None, None, "积极"), (0, 2, "积极")]


def test_a_choice_about_a_task_labels_the_keyword_or_the_text(tasks):
    placed = {"text": "香味好，泵坏", "keyword": "泵", "start": 4, "end": 5}
    records, _ = tasks(task([choice("消极")], data=placed), task([choice("积极")]))
    assert [(r.term, r.start, r.end, r.label) for r in records] == [
        ("泵", 4, 5, "消极"),
        ("", None, None, "积极"),
    ]


def test_a_region_may_have_a_choice_alone(tasks):
    value = {"start": 0, "end": 2, "text": "香味", "choices": ["积极"]}
    records, _ = tasks(task([{"id": "r", "type": "choices", "to_name": "text", "value": value}]))
    assert spans(records) == [("香味", 0, 2, "积极", None, "1")]


@pytest.mark.parametrize(
    ("result", "reason"),
    [
        (None, "bad_row"),
        ({}, "bad_row"),
        ([], "missing_label"),
        ([{"type": "relation", "from_id": "a", "to_id": "b"}], "missing_label"),
        ([{"value": {"text": ["a note"]}, "type": "textarea"}], "missing_label"),
        (["region", None, 5], "missing_label"),
        ([{"value": {"start": 0, "end": 2, "text": "香味", "labels": []}}], "missing_label"),
        ([{"value": {"start": 0, "end": 2, "text": "香味", "labels": ["积极", "消极"]}}], "bad_row"),
        ([{"value": {"start": 0, "end": 2, "text": "香味", "labels": [1]}}], "bad_row"),
        ([{"value": {"choices": []}}], "missing_label"),
        ([{"value": {"choices": None}}], "bad_row"),
        ([region(0, 2, "香味", id="r"), choice("积极", id="r"), choice("一般", id="r")], "bad_row"),
        ([region(0, 2, "香味", id="r"), region(0, 2, "香味", id="r")], "bad_row"),
    ],
)
def test_a_result_without_one_answer_is_rejected(tasks, result, reason):
    records, rejected = tasks(task(result))
    assert records == []
    assert reasons(rejected) == [reason]


@pytest.mark.parametrize(
    "odd",
    [
        None,
        5,
        [],
        ["a", "b", "c"],
        {},
        {"id": 1},
        {"id": 1, "data": None, "annotations": []},
        {"id": 1, "data": "香味好"},
        {"id": 1, "data": {"text": "a"}, "annotations": {}},
        {"id": 1, "data": {"text": "a"}, "annotations": [3]},
        {"id": 1, "data": {"text": 5}, "annotations": [{"result": [region(0, 1, "a")]}]},
    ],
)
def test_an_odd_task_is_rejected_and_the_next_one_read(tasks, odd):
    records, rejected = tasks(odd, task([region(0, 2, "香味")]))
    assert reasons(rejected) == ["bad_row"]
    assert len(records) == 1
    assert "香" not in rejected[0].message


def test_a_task_without_an_id_is_placed_by_its_line(tmp_path):
    file = tmp_path / "export.json"
    file.write_text("[\n" + json.dumps(task([region(0, 2, "香味")], task_id=None)) + "]", "utf-8")
    (record,), _ = read(file)
    assert record.where == f"{file}:2"


def test_what_is_no_list_is_an_error(tmp_path):
    (tmp_path / "export.json").write_text('{"id": 1}', "utf-8")
    with pytest.raises(DataError, match=r"export\.json:1: not a JSON list of tasks .*Label Studio"):
        list(read_label_studio(tmp_path / "export.json"))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from(
            [
                "id", "data", "annotations", "completions", "result", "value", "labels", "choices", "text",
                "start", "end", "completed_by", "updated_at", "globalOffsets", "annotation_id", "keyword",
            ]
        ),
        inner,
        max_size=5,
    ),
    max_leaves=12,
)  # fmt: skip


@settings(max_examples=150)
@given(st.lists(JSON, min_size=1, max_size=4))
def test_no_json_is_an_exception_and_no_task_goes_unmentioned(tmp_path_factory, items):
    file = tmp_path_factory.mktemp("odd") / "export.json"
    file.write_text(json.dumps(items), "utf-8")
    records, rejected = read(file)
    assert len({row.where for row in (*records, *rejected)}) >= 1


@settings(max_examples=60)
@given(JSON, JSON)
def test_no_annotation_is_an_exception(tmp_path_factory, data_text, result):
    file = tmp_path_factory.mktemp("odd") / "export.json"
    item = {
        "id": 1,
        "data": {"text": "香味", "x": data_text},
        "annotations": [{"result": [{"value": result}]}],
    }
    file.write_text(json.dumps([item]), "utf-8")
    records, rejected = read(file)
    assert len(records) + len(rejected) == 1
