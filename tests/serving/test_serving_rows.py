"""Rows of /v1/score: echoed fields, several terms, a list of terms, errors beside answers."""

from __future__ import annotations

import pytest
from fastapi.testclient import TestClient

from attar.serving.app import AppOptions, create_app
from attar.serving.limits import Limits
from attar.serving.rows import KnownTerms
from attar.terms.term_list import Term, TermList

TEXT = "口红好，香味不好，口红差。"


def score(client, *rows, **more):
    return client.post("/v1/score", json={"rows": list(rows), **more})


def rows_of(client, *rows):
    reply = score(client, *rows)
    assert reply.status_code == 200, reply.text
    return reply.json()["rows"]


@pytest.fixture(scope="module")
def knowing(predictor):
    terms = TermList.of(
        [Term("口红", ("口红", "唇膏"), "彩妆", "a:1"), Term("气味", ("气味", "香味"), "感官", "a:2")]
    )
    with TestClient(create_app(predictor, options=AppOptions(terms=KnownTerms.of(terms)))) as client:
        yield client


def test_the_id_and_further_fields_are_echoed(client):
    row = {"id": 7, "text": TEXT, "term": "香味", "shop": {"name": "京东", "tags": ["a", None]}}
    (found,) = rows_of(client, row)
    assert list(found) == ["id", "shop", "mentions"]
    assert (found["id"], found["shop"]) == (7, row["shop"])
    (bare,) = rows_of(client, {"text": TEXT, "term": "香味"})
    assert list(bare) == ["mentions"]
    assert bare["mentions"] == found["mentions"]


def test_a_mention_names_its_term(client):
    (by_term, by_place) = rows_of(
        client, {"text": TEXT, "term": "香味"}, {"text": TEXT, "start": 4, "end": 6}
    )
    assert [one["term"] for one in by_term["mentions"] + by_place["mentions"]] == ["香味", "香味"]


def test_several_terms_of_a_row(client):
    one, other = rows_of(client, {"text": TEXT, "term": "口红"}, {"text": TEXT, "term": "香味"})
    found, some, none = rows_of(
        client,
        {"text": TEXT, "terms": ["口红", "香味", "口红"]},
        {"text": TEXT, "terms": ["粉底", "香味"]},
        {"text": TEXT, "terms": ["粉底", "眼影"]},
    )
    assert found == {"mentions": one["mentions"] + other["mentions"]}
    assert some == {"mentions": other["mentions"], "not_found": ["粉底"]}
    assert (none["mentions"], none["error"]["code"]) == ([], "term_not_found")


def test_a_loaded_list_finds_the_terms_of_a_row(knowing):
    found, named, none = rows_of(
        knowing, {"text": "唇膏好，香味差"}, {"text": "唇膏好，香味差", "term": "唇膏"}, {"text": "一般"}
    )
    assert [(one["term"], one["found"], one["category"], one["start"]) for one in found["mentions"]] == [
        ("口红", "唇膏", "彩妆", 0),
        ("气味", "香味", "感官", 4),
    ]
    assert [(one["term"], "found" in one) for one in named["mentions"]] == [("唇膏", False)]
    assert named["mentions"][0]["prob"] == found["mentions"][0]["prob"]
    assert none["error"]["code"] == "term_not_found"
    assert rows_of(knowing, {"text": " "}, {"text": "x", "start": 1})[0]["error"]["code"] == "empty_text"
    assert knowing.get("/v1/model").json()["terms"] == 2


BAD = [
    (5, "bad_row"),
    (None, "bad_row"),
    ({}, "empty_text"),
    ({"text": None, "term": "a"}, "empty_text"),
    ({"text": ["a"], "term": "a"}, "bad_row"),
    ({"text": " ", "term": "a"}, "empty_text"),
    ({"text": "s3://b/1.txt", "term": "b"}, "empty_text"),
    ({"text": "a"}, "empty_term"),
    ({"text": "a", "terms": []}, "empty_term"),
    ({"text": "a", "terms": ["a"] * 257}, "bad_row"),
    ({"text": "a", "terms": ["a"], "start": 0, "end": 1}, "bad_row"),
    ({"text": "a", "term": "b"}, "term_not_found"),
    ({"text": "a", "term": "a", "start": 0}, "bad_offsets"),
    ({"text": "a", "start": 0, "end": 2}, "bad_offsets"),
    ({"text": "ab", "term": "a", "start": 1, "end": 2}, "bad_offsets"),
    ({"text": "a", "term": "a", "start": 0.5, "end": 1}, "bad_offsets"),
    ({"text": "a" * 5001, "term": "a"}, "too_long"),
    ({"text": "a", "term": "a", "error": 1}, "bad_row"),
]


@pytest.mark.parametrize(("bad", "code"), BAD, ids=range(len(BAD)))
def test_a_row_without_an_answer_has_its_reason_beside_the_others(client, bad, code):
    good = {"text": TEXT, "term": "香味"}
    wanted = rows_of(client, good)
    first, found, last = rows_of(client, good, bad, good)
    assert [first, last] == wanted * 2
    assert found["mentions"] == []
    assert found["error"]["code"] == code
    assert set(found["error"]) == {"code", "message"}
    strict = score(client, good, bad, strict=True)
    assert strict.status_code == (200 if code == "term_not_found" else 422)


def test_an_error_keeps_the_id_and_quotes_nothing(client):
    (found,) = rows_of(client, {"id": "r1", "text": "悄悄话", "term": "悄悄", "start": 1, "end": 3})
    assert found["id"] == "r1"
    assert "悄" not in found["error"]["message"]


def test_the_limit_on_terms(predictor):
    with TestClient(create_app(predictor, limits=Limits(max_terms=1))) as client:
        assert "error" not in rows_of(client, {"text": TEXT, "terms": ["香味"]})[0]
        assert rows_of(client, {"text": TEXT, "terms": ["香味", "口红"]})[0]["error"]["code"] == "bad_row"


@pytest.mark.parametrize("depth", [50, 300, 320, 330, 900, 960, 990, 100_000])
def test_an_echo_of_any_depth(client, depth):
    deep = f'{{"rows": [{{"text": "a", "term": "a", "x": {"[" * depth}{"]" * depth}}}]}}'
    reply = client.post("/v1/score", content=deep)
    assert reply.status_code in (200, 400)
    if reply.status_code == 200:
        assert b'"mentions":[{' in reply.content  # a client may be unable to read that depth
    else:
        assert reply.json()["code"] == "invalid_json"
