"""HEAD, and compressed bodies."""

from __future__ import annotations

import gzip
import json
import tracemalloc
import zlib

import pytest
from fastapi.testclient import TestClient

from attar.serving.app import create_app
from attar.serving.content_coding import decompress
from attar.serving.limits import Limits, Problem

BODY = json.dumps({"rows": [{"text": "口红好，香味不好", "term": "香味"}]}).encode()


def raw_deflate(data):
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(data) + packer.flush()


def post(client, body, coding):
    return client.post("/v1/score", content=body, headers={"Content-Encoding": coding})


@pytest.mark.parametrize(
    ("coding", "pack"),
    [
        ("gzip", gzip.compress),
        ("x-gzip", gzip.compress),
        ("GZIP", gzip.compress),
        ("gzip", lambda body: gzip.compress(body[:9]) + gzip.compress(body[9:])),
        ("deflate", zlib.compress),
        ("deflate", raw_deflate),
        ("deflate, gzip", lambda body: gzip.compress(zlib.compress(body))),
        ("identity", bytes),
        (" identity , gzip,", gzip.compress),
        ("", bytes),
    ],
)
def test_a_packed_body_gets_the_answer_of_a_plain_one(client, coding, pack):
    reply = post(client, pack(BODY), coding)
    assert reply.status_code == 200
    assert reply.content == client.post("/v1/score", content=BODY).content


def test_several_headers_are_one_list(client):
    headers = [("Content-Encoding", "deflate"), ("Content-Encoding", "gzip")]
    reply = client.post("/v1/score", content=gzip.compress(zlib.compress(BODY)), headers=headers)
    assert reply.status_code == 200


@pytest.mark.parametrize("coding", ["br", "zstd", "compress", "gzip, br", "gzip, gzip, gzip", "utf-8"])
def test_other_codings_are_refused_with_those_that_are_taken(client, coding):
    reply = post(client, BODY, coding)
    assert (reply.status_code, reply.json()["code"]) == (415, "unsupported_encoding")
    assert "gzip or deflate" in reply.json()["message"]
    assert reply.headers["accept-encoding"] == "gzip, deflate"


PACKED = gzip.compress(BODY, mtime=0)


@pytest.mark.parametrize(
    ("body", "coding"),
    [
        (BODY, "gzip"),
        (PACKED[:-1], "gzip"),
        (PACKED[:20], "gzip"),
        (PACKED + b"x", "gzip"),
        (PACKED[:-8] + bytes(8), "gzip"),
        (gzip.compress(b"", mtime=0) * 65, "gzip"),
        (BODY, "deflate"),
        (PACKED, "deflate"),
        (zlib.compress(BODY)[:-2], "deflate"),
        (zlib.compress(BODY) + b"x", "deflate"),
    ],
)
def test_a_body_that_is_not_packed_so_is_refused(client, body, coding):
    reply = post(client, body, coding)
    assert (reply.status_code, reply.json()["code"]) == (400, "invalid_encoding")
    assert coding in reply.json()["message"]


def test_an_empty_packed_body_is_empty(client):
    for body in (b"", gzip.compress(b"")):
        assert post(client, body, "gzip").json()["message"] == "the body is empty; send JSON"


def test_the_limit_counts_what_comes_out(predictor):
    with TestClient(create_app(predictor, limits=Limits(max_body_bytes=500))) as client:
        exact = BODY + b" " * (500 - len(BODY))
        assert post(client, gzip.compress(exact), "gzip").status_code == 200
        for pack, coding in ((gzip.compress, "gzip"), (zlib.compress, "deflate")):
            reply = post(client, pack(exact + b" "), coding)
            assert (reply.status_code, reply.json()["code"]) == (413, "body_too_large")


def test_a_bomb_takes_no_memory():
    bomb = gzip.compress(gzip.compress(bytes(64 << 20)))
    tracemalloc.start()
    with pytest.raises(Problem) as refused:
        decompress(bomb, ("gzip", "gzip"), Limits(max_body_bytes=1 << 16))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert refused.value.status == 413
    assert peak < 4 << 20


def test_head_is_get_without_a_body(predictor):
    app = create_app(predictor, api_key="abc")
    unstarted = TestClient(app)
    assert unstarted.head("/live").status_code == 200
    assert unstarted.head("/ready").status_code == 503
    with TestClient(app) as client:
        known = {"Authorization": "Bearer abc"}
        for route in ("/live", "/ready", "/v1/model", "/openapi.json", "/nowhere", "/v1/score"):
            for headers in ({"X-Request-ID": "1"}, known | {"X-Request-ID": "1"}):
                got, head = client.get(route, headers=headers), client.head(route, headers=headers)
                assert (head.status_code, head.content) == (got.status_code, b"")
                assert head.headers == got.headers
