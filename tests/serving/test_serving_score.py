"""/v1, /live and /ready: their responses and their errors."""

from __future__ import annotations

import json
import logging
import subprocess
import sys

import pytest
from fastapi.testclient import TestClient
from hypothesis import given, settings
from hypothesis import strategies as st

from attar.artifact import load_artifact
from attar.io.tables.rows import as_text
from attar.scoring.predictor import Predictor
from attar.serving.app import create_app
from attar.serving.limits import Limits
from attar.serving.service import VERSION_HEADER

TEXT = "口红好，香味不好，口红差。"


def score(client, *rows, **more):
    return client.post("/v1/score", json={"rows": list(rows)}, **more)


def strict_score(client, *rows):
    """As before rows had errors of their own."""
    return client.post("/v1/score", json={"rows": list(rows), "strict": True})


def refusal(reply):
    found = reply.json()
    assert set(found) == {"code", "message"}
    return reply.status_code, found["code"], found["message"]


def test_every_occurrence_is_scored_as_the_predictor_scores_it(client, predictor):
    reply = score(client, {"text": TEXT, "term": "口红"}, {"text": TEXT, "term": "香味"})
    assert reply.status_code == 200
    assert reply.headers["content-type"] == "application/json"
    wanted = predictor.predict([TEXT] * 3, ["口红", "口红", "香味"], [(0, 2), (9, 11), (4, 6)])
    found = reply.json()
    assert found["version"] == predictor.artifact.version == reply.headers[VERSION_HEADER]
    assert [len(row["mentions"]) for row in found["rows"]] == [2, 1]
    for mention, one in zip((m for row in found["rows"] for m in row["mentions"]), wanted, strict=True):
        assert (mention["label"], mention["start"], mention["end"]) == (one.label, one.start, one.end)
        assert mention["prob"] == mention["probs"][one.label] == round(one.prob, 6)
        assert list(mention["probs"]) == list(predictor.task.labels)
        assert sum(mention["probs"].values()) == pytest.approx(1, abs=2e-6)


def test_offsets_choose_an_occurrence_with_or_without_the_term(client):
    both = score(client, {"text": TEXT, "term": "口红"}).json()["rows"][0]["mentions"]
    for row in ({"text": TEXT, "term": "口红", "start": 9, "end": 11}, {"text": TEXT, "start": 9, "end": 11}):
        assert score(client, row).json()["rows"][0]["mentions"] == [both[1]]


def test_offsets_count_code_points(client):
    mention = score(client, {"text": "😀口红好", "term": "口红"}).json()["rows"][0]["mentions"][0]
    assert (mention["start"], mention["end"]) == (1, 3)


@pytest.mark.parametrize("term", ["香味\u200b", "\ufeff香味", "香\u00ad味 "])
@pytest.mark.parametrize("offsets", [{}, {"start": 4, "end": 6}])
def test_what_nobody_sees_in_a_term_is_looked_past(client, term, offsets):
    (mention,) = score(client, {"text": TEXT, "term": term, **offsets}).json()["rows"][0]["mentions"]
    assert (mention["start"], mention["end"]) == (4, 6)


def test_a_term_that_does_not_occur_has_no_mentions(client):
    reply = score(client, {"text": TEXT, "term": "粉底"}, {"text": TEXT, "term": "香味"})
    assert [len(row["mentions"]) for row in reply.json()["rows"]] == [0, 1]
    assert score(client).json()["rows"] == []


def test_single_sentences_need_no_term(single_folder):
    predictor = Predictor(load_artifact(single_folder), workers=1)
    with TestClient(create_app(predictor)) as client:
        assert client.get("/ready").status_code == 200
        (mention,) = score(client, {"text": TEXT}).json()["rows"][0]["mentions"]
    assert mention["label"] == predictor.predict([TEXT])[0].label
    predictor.close()


def test_the_model_card_and_limits(client, predictor):
    found = client.get("/v1/model").json()
    assert found["version"] == predictor.artifact.version
    assert (found["task"], found["labels"], found["style"]) == ("tiny", ["坏", "中", "好"], "marked_pair")
    assert found["limits"]["max_tokens"] == 48
    assert found["limits"]["max_rows"] == Limits().max_rows


def test_ready_only_after_warm_up(predictor):
    app = create_app(predictor)
    unstarted = TestClient(app)
    assert unstarted.get("/live").json() == {"status": "live"}
    assert refusal(unstarted.get("/ready"))[:2] == (503, "not_ready")
    with TestClient(app) as started:
        assert started.get("/ready").json() == {"status": "ready"}
    assert unstarted.get("/ready").status_code == 503


WRONG = [
    (b"", 400, "invalid_json"),
    (b"{", 400, "invalid_json"),
    (b"\xff\xfe", 400, "invalid_json"),
    (b'{"rows": [{"text": "\xed\xa0\x80", "term": "a"}]}', 400, "invalid_json"),
    (b'{"rows": [{"text": "a\\ud800", "term": "a"}]}', 400, "invalid_text"),
    (b'{"rows": [], "\\uDFFF": 1}', 400, "invalid_text"),
    (b"[" * 200_000, 400, "invalid_json"),
    (b'{"rows": NaN}', 400, "invalid_json"),
    (b'{"rows": 1e999}', 400, "invalid_json"),
    (b'{"rows": %s}' % (b"9" * 5000), 400, "invalid_json"),
    (b"null", 422, "invalid_request"),
    (b"{}", 422, "invalid_request"),
    (b'{"rows": {}}', 422, "invalid_request"),
    (b'{"rows": [1]}', 422, "invalid_request"),
    (b'{"rows": [{"text": ["a"], "term": "a"}]}', 422, "invalid_request"),
    (b'{"rows": [{"text": "a", "term": {"a": 1}}]}', 422, "invalid_request"),
    (b'{"rows": [{"text": true, "term": "a"}]}', 422, "invalid_request"),
    (b'{"rows": [{"text": null, "term": "a"}]}', 422, "invalid_request"),
    (b'{"rows": [{"text": 1}]}', 422, "empty_term"),
    (b'{"rows": [], "rows": []}', 400, "invalid_json"),
    (b'{"rows": [{"text": "a", "text": "b", "term": "a"}]}', 400, "invalid_json"),
    (b'{"rows": [{"text": "a", "term": "a", "start": 0.5, "end": 1}]}', 422, "invalid_request"),
    (b'{"rows": [{"text": "a", "term": "a", "start": true, "end": 1}]}', 422, "invalid_request"),
    (b'{"rows": [], "strict": 1}', 422, "invalid_request"),
    (b'{"rows": [], "strcit": true}', 422, "invalid_request"),
    (b'{"rows": [{"text": "a", "terms": ["a"], "term": "a"}]}', 422, "invalid_request"),
    (b'{"rows": [{"text": "a", "terms": []}]}', 422, "empty_term"),
    (b'{"rows": [{"text": "a", "terms": ["a", " "]}]}', 422, "empty_term"),
    (b'{"rows": [{"text": "a", "terms": "a"}]}', 422, "invalid_request"),
    (b'{"rows": [{"text": "a", "term": "a", "mentions": []}]}', 422, "invalid_request"),
    (b'{"rows": [{"text": "a"}]}', 422, "empty_term"),
    (b'{"rows": [{"text": " ", "term": "a"}]}', 422, "empty_text"),
    (b'{"rows": [{"text": "s3://b/1.txt", "start": 0, "end": 2}]}', 422, "empty_text"),
    (b'{"rows": [{"text": "a", "term": ""}]}', 422, "empty_term"),
    (b'{"rows": [{"text": "a", "term": "a", "start": 0}]}', 422, "bad_offsets"),
    (b'{"rows": [{"text": "a", "term": "a", "start": 0, "end": 2}]}', 422, "bad_offsets"),
    (b'{"rows": [{"text": "a", "start": 0, "end": %s}]}' % (b"9" * 400), 422, "bad_offsets"),
    (b'{"rows": [{"text": "ab", "term": "a", "start": 1, "end": 2}]}', 422, "offsets_not_at_term"),
]


@pytest.mark.parametrize(("body", "status", "code"), WRONG, ids=range(len(WRONG)))
def test_what_cannot_be_used_is_refused_with_a_stable_code(client, body, status, code):
    strict = body.removesuffix(b"}") + b', "strict": true}' if body.endswith(b"]}") else body
    assert refusal(client.post("/v1/score", content=strict))[:2] == (status, code)


def test_a_body_may_begin_with_a_byte_order_mark(client):
    body = '{"rows": [{"text": "泵坏", "term": "泵"}]}'.encode()
    plain, marked = (client.post("/v1/score", content=start + body) for start in (b"", b"\xef\xbb\xbf"))
    assert plain.status_code == marked.status_code == 200
    assert plain.json() == marked.json()


def test_numbers_are_their_text_as_in_a_file(client):
    wanted = score(client, {"text": "买了618的口红", "term": "618", "start": 2, "end": 5}).json()
    for row in ({"term": 618}, {"term": 618.0, "start": 2.0, "end": 5.0}):
        assert score(client, {"text": "买了618的口红"} | row).json() == wanted
    mentions = score(client, {"text": 618, "term": 3.5}, {"text": 3.5, "term": 3.5}).json()["rows"]
    assert [len(one["mentions"]) for one in mentions] == [0, 1]


@pytest.mark.parametrize("term", ["H&M ", "H&amp;M", "\u3000H&M"])
def test_a_term_is_found_as_in_a_file(client, term):
    (mention,) = score(client, {"text": "在H&M买的", "term": term}).json()["rows"][0]["mentions"]
    assert (mention["start"], mention["end"]) == (1, 4)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "is empty"),
        (b" \n", "is empty"),
        (b"\xef\xbb\xbf", "is not JSON"),
        ('{"rows": []}'.encode("utf-16"), "send UTF-8"),
        ('{"rows": [{"text": "口红", "term": "口红"}]}'.encode("gbk"), "send UTF-8, not GBK"),
        (b'{"rows": [{"text": "a", "term": NaN}]}', "holds NaN, which JSON does not have"),
        (b'{"rows": [-Infinity]}', "holds -Infinity"),
        (b"rows=%5B%5D&x=1", "looks like a form"),
        (b'--x1\r\nContent-Disposition: form-data; name="rows"\r\n\r\n[]\r\n--x1--', "looks like a form"),
        (b'{"rows": [{"text": "a", "te\\u0078t": "b"}]}', "same key twice"),
    ],
)
def test_a_body_that_is_not_json_is_told_why(client, body, words):
    reply = client.post("/v1/score", content=body, headers={"Content-Type": "application/json; charset=gbk"})
    status, code, message = refusal(reply)
    assert (status, code) == (400, "invalid_json")
    assert words in message


def test_json_is_taken_whatever_content_type_says(client):
    wanted = score(client, {"text": "泵坏", "term": "泵"}).json()
    for named in ("application/x-www-form-urlencoded", "text/plain; charset=gbk", "nonsense"):
        body = '{"rows": [{"text": "泵坏", "term": "泵"}]}'.encode()
        assert client.post("/v1/score", content=body, headers={"Content-Type": named}).json() == wanted


def test_an_error_names_the_row_and_quotes_nothing(client):
    private = "悄悄话"
    good = {"text": "好", "term": "好"}
    for row, place in (
        ({"text": private, "term": private, "start": 1, "end": 2}, "rows[1]: "),
        ({"text": [private], "term": "x"}, "rows[1].text: "),
        ({"text": "x", "terms": [private, [private]]}, "rows[1].terms[1]: "),
    ):
        _, _, message = refusal(strict_score(client, good, row))
        assert message.startswith(place)
        assert private not in message


def test_limits_on_rows_characters_and_mentions(predictor):
    limits = Limits(max_rows=2, max_chars=10, max_mentions=5)
    with TestClient(create_app(predictor, limits=limits)) as client:
        good = {"text": "好好好", "term": "好"}
        assert score(client, good).status_code == 200
        assert refusal(score(client, good, good, good))[:2] == (422, "too_many_rows")
        assert refusal(strict_score(client, {"text": "好" * 11, "term": "好"}))[:2] == (422, "text_too_long")
        assert refusal(score(client, good, good))[:2] == (422, "too_many_mentions")


def test_a_body_that_is_too_long(predictor):
    limits = Limits(max_body_bytes=200)
    row = {"text": "好" * 40, "term": "香"}
    with TestClient(create_app(predictor, limits=limits)) as client:
        assert score(client, row).status_code == 200
        assert refusal(score(client, row, row))[:2] == (413, "body_too_large")
        # Without a Content-Length.
        chunks = (b"[" for _ in range(201))
        assert refusal(client.post("/v1/score", content=chunks))[:2] == (413, "body_too_large")


def test_unknown_routes_and_methods_are_json_too(client):
    assert refusal(client.get("/v2/score"))[:2] == (404, "not_found")
    assert refusal(client.get("/v1/score"))[:2] == (405, "method_not_allowed")
    assert client.get("/v1/score").headers["allow"] == "POST"
    assert refusal(client.post("/api/predict", json={"data": []}))[:2] == (404, "not_found")


def test_the_key_is_checked_if_there_is_one(predictor):
    with TestClient(create_app(predictor, api_key="open-sesame")) as client:
        row = {"text": TEXT, "term": "口红"}
        for headers in ({}, {"Authorization": "Bearer open"}, {"Authorization": "Basic open-sesame"}):
            reply = score(client, row, headers=headers)
            assert refusal(reply)[:2] == (401, "unauthorized")
            assert reply.headers["www-authenticate"] == "Bearer"
            assert "sesame" not in reply.text
        assert client.get("/v1/model").status_code == 401
        known = {"Authorization": "Bearer open-sesame"}
        assert score(client, row, headers=known).status_code == 200
        assert client.get("/v1/model", headers=known).status_code == 200
        assert client.get("/live").status_code == client.get("/ready").status_code == 200


def test_the_log_has_counts_and_no_text(predictor, monkeypatch, caplog):
    caplog.set_level(logging.DEBUG)
    with TestClient(create_app(predictor)) as client:
        score(client, {"text": TEXT, "term": "口红"})
        strict_score(client, {"text": TEXT, "term": "口红", "start": 1, "end": 2})

        def broken(_):
            raise KeyError(TEXT)

        monkeypatch.setattr(predictor, "predict_probs", broken)
        assert refusal(score(client, {"text": TEXT, "term": "口红"}))[:2] == (500, "internal")
    ours = [record.getMessage() for record in caplog.records if record.name.startswith("attar")]
    assert ours[0].startswith("/v1/score 200: 1 rows, ")
    assert ours[1].startswith("/v1/score 422: 0 rows, ")
    assert ours[2].startswith("KeyError at test_serving_score.py:")
    assert not any("口红" in record.getMessage() or record.exc_info for record in caplog.records)


def test_openapi_describes_the_rows(client):
    paths = client.get("/openapi.json").json()["paths"]
    body = paths["/v1/score"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    row = body["properties"]["rows"]["items"]
    assert set(row["properties"]) == {"text", "term", "terms", "start", "end", "id"}
    assert "$ref" not in json.dumps(body)
    assert {"200", "401", "413", "422", "503"} <= set(paths["/v1/score"]["post"]["responses"])


ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["rows", "text", "term", "start", "end", "x"]), inner, max_size=5)
    ),
    max_leaves=20,
)
ROW = st.fixed_dictionaries(
    {
        "text": st.text("口红好😀 _a", max_size=12) | ANY_JSON,
        "term": st.sampled_from(["口红", "好", "", "a"]),
    },
    optional={"start": st.integers(-2, 14), "end": st.integers(-2, 14)},
)


@settings(max_examples=150)
@given(st.lists(ROW, max_size=4).map(lambda rows: {"rows": rows}) | ANY_JSON)
def test_any_json_is_handled(client, value):
    reply = client.post("/v1/score", content=json.dumps(value).encode())
    assert reply.status_code in (200, 400, 422)
    if reply.status_code == 200:
        for row, answer in zip(value["rows"], reply.json()["rows"], strict=True):
            assert bool(answer["mentions"]) != ("error" in answer)
            for mention in answer["mentions"]:
                text = as_text(row["text"])
                assert text[mention["start"] : mention["end"]] == row["term"] or not row["term"]


@settings(max_examples=60)
@given(st.binary(max_size=60))
def test_any_bytes_are_handled(client, body):
    assert client.post("/v1/score", content=body).status_code in (400, 422)


def test_serving_loads_no_torch():
    code = (
        "import sys, attar.serving.server, attar.serving.app, attar.classic.routes\n"
        "sys.stdout.write(' '.join(name.split('.')[0] for name in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert "fastapi" in loaded
    assert loaded & {"torch", "transformers", "sklearn", "onnx", "accelerate", "pyarrow"} == set()
