"""Documents of MongoDB as records: the original's two shapes, fields by name, and odd ones."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from attar.errors import DataError
from attar.recipe.load import SourceRecipe
from attar.records.readers.mongodb_documents import document_records
from attar.records.readers.sources import read_source
from attar.records.record import Record, Rejection
from attar.records.remote.mongodb import read_documents

SOURCE = SourceRecipe(path="documents.jsonl", format="mongodb")
HEADER = {"attar_fetched": "ai-corpus.as_corpus", "address": "mongodb://h/ai-corpus/as_corpus"}
REVIEW = "香味好，泵坏"


def read(tmp_path, *documents, header=HEADER, **settings):
    path = tmp_path / "documents.jsonl"
    lines = [header, *documents] if header else documents
    path.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines), "utf-8")
    return list(read_documents(path, SOURCE.model_copy(update={"path": str(path), **settings})))


def as_corpus(*aspects, content=REVIEW, **more):
    return {"_id": {"$oid": "5f01"}, "content": content, "aspect": list(aspects), "source": "天猫", **more}


def aspect(score, start, end, term, **more):
    return {"aspectTerm": term, "sScore": score, "start": start, "end": end, **more}


def test_one_record_an_aspect_with_its_score_in_words(tmp_path):
    document = as_corpus(
        aspect(2, 0, 2, "香味", aspectTermId=7, aspectCategory="气味"),
        aspect(0, 4, 5, "泵"),
        aspect(1, 4, 5, "泵"),
        brand="某牌", industry="美妆", batchId=3, createTime={"$date": "2020-12-01T00:00:00Z"},
    )  # fmt: skip
    where, shared = "ai-corpus.as_corpus#5f01", {"channel": "天猫", "industry": "美妆", "brand": "某牌"}
    assert read(tmp_path, document) == [
        Record(REVIEW, "香味", 0, 2, "积极", {**shared, "wordtype": "气味"}, where),
        Record(REVIEW, "泵", 4, 5, "消极", shared, where),
        Record(REVIEW, "泵", 4, 5, "中性", shared, where),
    ]


@pytest.mark.parametrize(
    ("score", "label"),
    [
        (0, "消极"), (2.0, "积极"), ("1", "中性"), ({"$numberDecimal": "2"}, "积极"),
        ({"$numberInt": "0"}, "消极"), ("积极", "积极"), ("NEG", "NEG"), (-1, "sScore -1"),
        (3, "sScore 3"), ("1.5", "sScore 1.5"), (None, None), ("", None),
    ],
)  # fmt: skip
def test_a_score_is_read_on_its_own_scale(tmp_path, score, label):
    (record,) = read(tmp_path, as_corpus(aspect(score, 0, 2, "香味")))
    assert record.label == label


@pytest.mark.parametrize(
    ("names", "span", "term", "wordtype"),
    [
        ({"contentAspectTerm": "泵", "aspectTerm": "泵头"}, (4, 5), "泵", "泵头"),
        ({"contentAspectTerm": "泵头", "aspectTerm": "泵"}, (4, 5), "泵", ""),
        ({"contentAspectTerm": "泵", "aspectTerm": "包装", "aspectCategory": "设计"}, (4, 5), "泵", "设计"),
        ({"aspectTerm": "泵"}, (4, 5), "泵", ""),
        ({"contentAspectTerm": "泵\u200b", "aspectTerm": "香味"}, (4, 5), "泵\u200b", "香味"),
        ({"contentAspectTerm": "\ufeff泵", "aspectTerm": "包装"}, (None, None), "\ufeff泵", "包装"),
        # Wrong or no offsets: the name that stands in the text at all.
        ({"contentAspectTerm": "泵", "aspectTerm": "包装"}, (0, 1), "泵", "包装"),
        ({"contentAspectTerm": "泵头", "aspectTerm": "泵"}, (None, None), "泵", ""),
        ({"contentAspectTerm": "瓶", "aspectTerm": "盖"}, (4, 5), "瓶", "盖"),
        ({}, (4, 5), "", ""),
    ],
)
def test_the_term_is_the_name_that_stands_in_the_text(tmp_path, names, span, term, wordtype):
    start, end = span
    (record,) = read(tmp_path, as_corpus({"sScore": 0, "start": start, "end": end, **names}))
    assert (record.term, record.start, record.end) == (term, start, end)
    assert record.meta.get("wordtype", "") == wordtype


def test_content_may_be_a_list_of_characters_or_words(tmp_path):
    letters, words = list(REVIEW), ["香味", "好", "，", "", "泵", "坏"]
    first, second, third = read(
        tmp_path,
        as_corpus(aspect(0, 4, 5, "泵"), content=letters),
        as_corpus(aspect(0, 4, 5, "泵"), aspect(0, 4, 9, "泵"), content=words),
    )
    assert (first.text, first.start, first.end) == (REVIEW, 4, 5)
    assert (second.text, second.start, second.end) == (REVIEW, 4, 5)
    assert second.text[second.start : second.end] == "泵"
    assert (third.start, third.end) == (4, 9)


@pytest.mark.parametrize(
    ("fields", "label"),
    [
        ({"bratLabel": "T", "category": "成分"}, "是"),
        ({"bratLabel": "F", "category": "成分"}, "否"),
        ({"bratLabel": True}, "是"),
        ({"bratLabel": "T", "category": "其他"}, "否"),
        ({"bratLabel": "T", "aspectCategory": "其他"}, "否"),
        ({"category": "其他"}, "否"),
        ({"bratLabel": None, "category": "成分"}, None),
        ({"bratLabel": "?"}, "?"),
    ],
)
def test_components_say_t_or_f_in_the_aspect_or_in_the_document(tmp_path, fields, label):
    term = {"contentAspectTerm": "甘油", "start": 2, "end": 4}
    nested = {"_id": 1, "content": "含有甘油", "aspect": [{**term, **fields}], "source": "小红书"}
    flat = {"_id": 2, "content": "含有甘油", "source": "小红书", **term, **fields}
    for number, record in enumerate(read(tmp_path, nested, flat), 1):
        assert (record.text, record.term, record.start, record.end) == ("含有甘油", "甘油", 2, 4)
        assert (record.label, record.where) == (label, f"ai-corpus.as_corpus#{number}")
        assert record.meta["channel"] == "小红书"


def test_any_collection_by_dotted_fields(tmp_path):
    document = {
        "_id": 9, "review": {"body": REVIEW, "sentiment": -1}, "spans": [{"at": [4, 5], "of": "泵"}],
        "shop": {"name": "京东"}, "who": "甲", "a.b": "literal",
    }  # fmt: skip
    columns = {
        "text": "review.body", "term": "spans.0.of", "start": "spans.0.at.0", "end": "spans.0.at.1",
        "label": "review.sentiment", "channel": "shop.name", "annotator": "who", "wordtype": "spans.7.no",
    }  # fmt: skip
    (record,) = read(tmp_path, document, columns=columns)
    where = "ai-corpus.as_corpus#9"
    assert record == Record(REVIEW, "泵", 4, 5, "-1", {"channel": "京东"}, where, annotator="甲")


def test_a_collection_with_our_own_names_needs_no_columns(tmp_path):
    rows = [
        {"_id": 1, "text": REVIEW, "keyword": "泵", "label": "消极", "channel": "京东", "wordtype": "包装"},
        {"_id": 2, "text": REVIEW, "term": "泵", "start": 4, "end": 5, "label": "消极"},
    ]
    first, second = read(tmp_path, *rows)
    assert (first.term, first.start, first.label) == ("泵", None, "消极")
    assert first.meta == {"channel": "京东", "wordtype": "包装"}
    assert (second.term, second.start, second.end, second.label) == ("泵", 4, 5, "消极")


def test_empty_values_constants_and_occurrences_are_those_of_every_source(tmp_path):
    read(
        tmp_path,
        {"_id": 1, "text": "泵坏，泵", "term": "泵", "label": "_"},
        as_corpus(aspect(2, 0, 2, "香味")),
    )
    path = str(tmp_path / "documents.jsonl")
    source = SourceRecipe(
        path=path,
        format="mongodb",
        empty=("_",),
        constants={"channel": "京东"},
        occurrence="all",
        split="test",
    )
    first, second, third = read_source(source)
    assert [(record.start, record.label) for record in (first, second)] == [(0, None), (3, None)]
    assert (third.label, third.meta, third.split) == ("积极", {"channel": "京东"}, "test")


def test_a_file_of_mongoexport_is_read_too(tmp_path):
    document = {**as_corpus(aspect({"$numberInt": "2"}, {"$numberInt": "0"}, {"$numberInt": "2"}, "香味"))}
    (record,) = read(tmp_path, document, header=None)
    assert (record.start, record.end, record.label) == (0, 2, "积极")
    assert record.where == f"{tmp_path / 'documents.jsonl'}#5f01"


ODD = [
    ("bad_row", {"_id": 1}),
    ("bad_row", {"_id": 1, "content": None, "aspect": [aspect(1, 0, 1, "泵")]}),
    ("bad_row", {"_id": 1, "content": 5, "aspect": [aspect(1, 0, 1, "泵")]}),
    ("bad_row", as_corpus(aspect(1, 0, 1, "泵"), content=["泵", 5])),
    ("bad_row", as_corpus("泵")),
    ("bad_row", {"_id": 1, "content": "泵坏", "aspect": "泵"}),
    ("empty_term", {"_id": 1, "content": "泵坏", "aspect": []}),
    ("empty_term", {"_id": 1, "content": "泵坏", "aspect": None}),
    ("bad_offsets", as_corpus(aspect(1, "x", 1, "泵"))),
    ("bad_offsets", as_corpus(aspect(1, [0], 1, "泵"))),
    ("bad_offsets", as_corpus(aspect(1, {"$numberDouble": "NaN"}, 1, "泵"))),
    ("bad_offsets", {"_id": 1, "text": "泵坏", "term": "泵", "start": True, "end": 1, "label": "消极"}),
    ("bad_row", {"_id": 1, "text": {"zh": "泵坏"}, "label": "消极"}),
    ("bad_row", ["泵坏"]),
    ("bad_row", None),
]


@pytest.mark.parametrize(("reason", "document"), ODD)
def test_an_odd_document_is_rejected_and_the_next_one_read(tmp_path, reason, document):
    found = read(tmp_path, document, as_corpus(aspect(2, 0, 2, "香味")))
    assert isinstance(found[0], Rejection)
    assert found[0].reason == reason
    assert "泵" not in found[0].message
    assert found[1].label == "积极"


def test_a_line_that_is_no_json_is_rejected_by_its_number(tmp_path):
    path = tmp_path / "documents.jsonl"
    path.write_text(json.dumps(HEADER) + "\n{\n" + "[" * 100_000 + "\n", "utf-8")
    found = list(read_documents(path, SOURCE))
    assert [(r.reason, r.where) for r in found] == [("bad_row", f"{path}:2"), ("bad_row", f"{path}:3")]


SCALAR = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3)
KEYS = st.sampled_from(["$oid", "0", "a"])
ANY_JSON = st.recursive(
    SCALAR, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=2), max_leaves=4
)
ASPECT_KEYS = ["aspectTerm", "contentAspectTerm", "aspectCategory", "category", "start", "end"]
ASPECT_KEYS += ["sScore", "bratLabel"]
ASPECT = st.dictionaries(st.sampled_from(ASPECT_KEYS), ANY_JSON, max_size=5)
TOP_KEYS = [*ASPECT_KEYS, "content", "text", "term", "label", "source", "brand", "_id"]
DOCUMENT = st.dictionaries(st.sampled_from(TOP_KEYS), ANY_JSON | st.just("泵坏"), max_size=6)


@given(DOCUMENT, st.lists(ASPECT | ANY_JSON, max_size=3) | ANY_JSON, st.booleans())
def test_no_document_raises(document, aspects, by_name):
    columns = {"text": "content", "start": "aspect.0.start", "label": "sScore.a"} if by_name else {}
    source = SOURCE.model_copy(update={"columns": columns, "constants": {"channel": "京东"}})
    for found in document_records({**document, "aspect": aspects}, "d.c#1", source):
        assert isinstance(found, Record | Rejection)
        if isinstance(found, Record):
            assert isinstance(found.text, str)
            assert isinstance(found.term, str)
            assert all(isinstance(value, str) for value in found.meta.values())
            assert found.label is None or isinstance(found.label, str)
            assert {type(found.start), type(found.end)} <= {int, type(None)}


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (
            {"text": "review.bodi"},
            r"no field 'review\.bodi' for text in the first 1 documents; .*_id, review, tag",
        ),
        (
            {"text": "review.body", "label": "review.stars"},
            r"no field 'review\.stars' for label .*columns\.label",
        ),
        ({"label": "review.sentiment"}, "no field 'text' for text"),
        ({"text": "review.body", "lable": "tag"}, "columns.lable: ours are .*did you mean 'label'"),
    ],
)
def test_a_wrong_column_is_named_before_anything_is_read(tmp_path, columns, message):
    document = {"_id": 1, "review": {"body": REVIEW, "sentiment": 0}, "tag": "x"}
    with pytest.raises(DataError, match=message) as caught:
        read(tmp_path, document, columns=columns)
    assert REVIEW not in str(caught.value)
