"""Several answers about one thing, hypertext, addresses, and what is marked: beyond the real exports."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from attar.errors import DataError
from attar.records.readers.label_studio import read_label_studio
from attar.records.record import Record
from attar.task import BUILT_IN_TASKS

TASK = BUILT_IN_TASKS["cosmetics"]
TEXT = "香味好，泵坏"


@pytest.fixture
def read(tmp_path):
    """Reads tasks: (records, rejections)."""

    def read_tasks(*items, columns=(), task=TASK, **options):
        file = tmp_path / "export.json"
        file.write_text(json.dumps(items, ensure_ascii=False), "utf-8")
        rows = list(read_label_studio(file, dict(columns), task, **options))
        return [r for r in rows if isinstance(r, Record)], [r for r in rows if not isinstance(r, Record)]

    return read_tasks


def answer(control, kind, values, region_id="r", **place):
    value = {**({"start": 4, "end": 5, "text": "泵"} if region_id == "r" else {}), **place, kind: values}
    return {"id": region_id, "from_name": control, "to_name": "text", "type": kind, "value": value}


def task(*result, text=TEXT, **data):
    return {
        "id": 1,
        "data": {"text": text, **data},
        "annotations": [{"completed_by": 1, "result": [*result]}],
    }


KIND = answer("kind", "labels", ["产品"])
SENTIMENT, STRENGTH = answer("sentiment", "choices", ["消极"]), answer("strength", "choices", ["强"])


@pytest.mark.parametrize(
    ("result", "label", "wordtype"),
    [
        ([KIND, SENTIMENT, STRENGTH], "消极", "产品"),
        ([STRENGTH, SENTIMENT, KIND], "消极", "产品"),
        ([KIND, answer("sentiment", "choices", ["neg"]), STRENGTH], "neg", "产品"),
        ([answer("sentiment", "labels", ["消极"]), STRENGTH], "消极", None),
        ([answer("sentiment", "labels", ["消极"]), KIND], "消极", "产品"),
        ([answer("marks", "labels", ["产品", "消极"])], "消极", "产品"),
        ([KIND, answer("sentiment", "taxonomy", [["情感", "消极"]])], "消极", "产品"),
        ([KIND, SENTIMENT, answer("stars", "rating", 1), answer("note", "text", ["无"])], "消极", "产品"),
    ],
)
def test_the_answer_that_is_a_label_of_the_task_is_taken(read, result, label, wordtype):
    (record,), rejected = read(task(*result))
    assert (record.term, record.start, record.label) == ("泵", 4, label)
    assert record.meta.get("wordtype") == wordtype
    assert rejected == []


@pytest.mark.parametrize(
    ("columns", "label", "wordtype"),
    [
        ({"label": "sentiment"}, "消极", "产品"),
        ({"label": "packaging"}, "积极", "产品"),
        ({"label": "kind"}, "产品", None),
        ({"label": "stars"}, "4", "产品"),
        ({"label": "sentiment", "wordtype": "strength"}, "消极", "强"),
    ],
)
def test_the_control_that_the_source_names_is_the_label(read, columns, label, wordtype):
    two = answer("packaging", "choices", ["积极"])
    result = [KIND, SENTIMENT, STRENGTH, two, answer("stars", "rating", 4)]
    (record,), rejected = read(task(*result), columns=columns)
    assert (record.label, record.meta.get("wordtype")) == (label, wordtype)
    assert rejected == []


def test_where_two_answers_may_be_the_label_the_controls_and_the_setting_are_named(read):
    two = answer("packaging", "choices", ["积极"])
    records, (rejection,) = read(task(KIND, SENTIMENT, two))
    assert records == []
    assert "sentiment, packaging" in rejection.message
    assert 'columns = { label = "sentiment" }' in rejection.message
    records, (rejection,) = read(task(KIND, SENTIMENT, STRENGTH), task=None)
    assert "sentiment, strength" in rejection.message


def test_a_region_without_the_named_answer_is_rejected_and_what_is_there_is_named(read):
    records, (rejection,) = read(task(KIND, STRENGTH), columns={"label": "sentiment"})
    assert (records, rejection.reason) == ([], "missing_label")
    assert "'sentiment'" in rejection.message
    assert "kind, strength" in rejection.message


def test_a_task_without_the_named_answer_is_rejected_too(read):
    records, (rejection,) = read(
        task(answer("quality", "choices", ["清楚"], "w")), columns={"label": "sentiment"}
    )
    assert (records, rejection.reason) == ([], "missing_label")
    assert "the task has no answer to 'sentiment'" in rejection.message


def test_columns_that_other_sources_share_count_only_where_they_fit(read):
    (record,), _ = read(task(KIND, SENTIMENT), columns={"label": "情感", "text": "review"}, is_shared=True)
    assert (record.text, record.label) == (TEXT, "消极")


def test_answers_about_the_whole_task_are_one_question_of_several(read):
    whole = [answer("sentiment", "choices", ["消极"], "a"), answer("quality", "choices", ["清楚"], "b")]
    (record,), rejected = read(task(*whole, keyword="泵"))
    assert (record.term, record.label, rejected) == ("泵", "消极", [])
    (record,), rejected = read(task(KIND, SENTIMENT, whole[1]), columns={"label": "sentiment"})
    assert (record.term, record.label, rejected) == ("泵", "消极", [])


def test_fields_are_named_by_columns_and_other_names_are_refused(read):
    data = {"comment": "泵好，泵坏", "shop": "京东", "aspect": "泵"}
    item = {
        "id": 1,
        "data": {"text": "无", **data},
        "annotations": [{"result": [answer("s", "choices", ["消极"], "w")]}],
    }
    (record,), _ = read(item, columns={"text": "comment", "channel": "shop", "term": "aspect"})
    assert (record.text, record.term, record.meta["channel"]) == ("泵好，泵坏", "泵", "京东")
    _, (rejection,) = read(item, columns={"text": "review"})
    assert "'review'" in rejection.message
    with pytest.raises(DataError, match=r"columns\.start means nothing for Label Studio"):
        read(item, columns={"start": "begin"})


@pytest.mark.parametrize(
    "address",
    [
        "/data/upload/3/a-tmall.txt",
        "s3://b/评论.txt",
        "https://example.org/1.txt",
        "data:text/plain;base64,5rO1",
    ],
)
@pytest.mark.parametrize("region", [answer("s", "labels", ["消极"]), answer("s", "choices", ["消极"], "w")])
def test_an_address_is_no_text(read, address, region):
    bare = {**region, "value": {key: value for key, value in region["value"].items() if key != "text"}}
    records, (rejection,) = read(task(bare, text=address))
    assert records == []
    assert rejection.reason == "empty_text"
    assert "the text is not in the export" in rejection.message
    assert "upload" not in rejection.message


def test_a_region_that_marks_more_than_its_text_says_so_to_the_audit(read):
    (marked,), _ = read(task(answer("s", "labels", ["消极"], start=3, end=5)))
    assert (marked.term, marked.start, marked.end, marked.is_marked) == ("泵", 3, 5, True)
    (whole,), _ = read(task(answer("s", "choices", ["消极"], "w"), keyword="泵"))
    assert not whole.is_marked


HTML = "<p>泵好，泵坏</p><p>A&amp;B<br>和<b>泵</b>头，泵头😀泵</p>"


def hyper(start, end, text="泵头", **value):
    labels = {"hypertextlabels": ["消极"], "globalOffsets": {"start": start, "end": end}}
    paths = {"start": "/p[1]/text()[1]", "end": "/p[1]/text()[1]", "startOffset": 0, "endOffset": 1}
    value = {**paths, **labels, **({"text": text} if text else {}), **value}
    return {"id": "h", "from_name": "l", "to_name": "text", "type": "hypertextlabels", "value": value}


@pytest.mark.parametrize(
    ("region", "place"),
    [
        (hyper(0, 1, "泵"), (3, 4)),
        # In the HTML there is a 泵 at 3 too, but the offsets count the text without tags.
        (hyper(3, 4, "泵"), (6, 7)),
        (hyper(10, 12), (30, 36)),
        (hyper(13, 15), (37, 39)),
        (hyper(5, 8, "A&B"), (15, 22)),
        (hyper(13, 15, None), (37, 39)),
        (hyper(13, 15, " 泵头\n"), (37, 39)),
    ],
)
def test_global_offsets_count_the_text_without_tags(read, region, place):
    (record,), _ = read(task(region, text=HTML))
    assert (record.start, record.end) == place


@pytest.mark.parametrize(
    ("path", "start", "end", "text", "place"),
    [
        ("/p[1]/text()[1]", 3, 4, "泵", (6, 7)),
        ("/p[2]/b[1]/text()[1]", 0, 1, "泵", (30, 31)),
        ("/p[2]/text()[3]", 2, 4, "泵头", (37, 39)),
        ("/div[1]/p[2]/text()[3]", 2, 4, None, (37, 39)),
        ("/p[9]/text()[1]", 2, 4, "泵头", (None, None)),
    ],
)
def test_without_global_offsets_the_paths_count(read, path, start, end, text, place):
    value = {"start": path, "end": path, "startOffset": start, "endOffset": end, "labels": ["消极"]}
    item = {"id": "h", "value": {**value, **({"text": text} if text else {})}}
    (record,), _ = read(task(item, text=HTML))
    assert (record.start, record.end) == place


def test_plain_text_may_have_global_offsets_too(read):
    whole = {"globalOffsets": {"start": 4, "end": 5}, "labels": ["消极"]}
    (record,), _ = read(task({"value": whole}))
    assert (record.term, record.start, record.end) == ("泵", 4, 5)


def min_row(**fields):
    return {"id": 1, "text": TEXT, "annotator": 1, "annotation_id": 7, **fields}


MARKED = [{"start": 4, "end": 5, "text": "泵", "labels": ["消极"]}]


@pytest.mark.parametrize(
    ("row", "columns", "found"),
    [
        (min_row(label=MARKED, strength="强"), {}, ("泵", "消极")),
        (min_row(label=MARKED, kind=[{**MARKED[0], "labels": ["产品"]}]), {}, ("泵", "消极")),
        (min_row(label=MARKED, other=MARKED), {"label": "label"}, ("泵", "消极")),
        (min_row(keyword="泵", sentiment="消极", strength="强"), {}, ("泵", "消极")),
        (min_row(keyword="泵", sentiment={"choices": ["消极"]}), {"label": "sentiment"}, ("泵", "消极")),
        (min_row(label=MARKED, other=MARKED), {}, None),
        (min_row(keyword="泵", a="消极", b="积极"), {}, None),
    ],
)
def test_json_min_is_read_where_one_control_may_be_the_label(read, row, columns, found):
    records, rejected = read(row, columns=columns)
    assert [(record.term, record.label) for record in records] == ([found] if found else [])
    assert [rejection.reason for rejection in rejected] == ([] if found else ["bad_row"])


KEYS = [
    "labels",
    "choices",
    "taxonomy",
    "rating",
    "text",
    "start",
    "end",
    "startOffset",
    "endOffset",
    "globalOffsets",
]
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-3, 9)
    | st.floats()
    | st.sampled_from(["/p[1]/text()[1]", "积极", ""]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=6),
    max_leaves=12,
)


@settings(max_examples=150)
@given(JSON, JSON, st.sampled_from([{}, {"label": "s"}, {"label": "s", "wordtype": "t"}]))
def test_no_answers_raise_and_none_go_unmentioned(tmp_path_factory, first, second, columns):
    result = [{"id": "r", "from_name": name, "value": value} for name, value in (("s", first), ("t", second))]
    file = tmp_path_factory.mktemp("odd") / "export.json"
    file.write_text(json.dumps([task(*result, text="<p>泵坏<br>了</p>")]), "utf-8")
    assert list(read_label_studio(file, columns, TASK))
