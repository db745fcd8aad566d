"""Requests made from the service's own schema, valid ones and others: none meets an error of ours."""

from __future__ import annotations

import json
import warnings

import hypothesis
import pytest
from fastapi.testclient import TestClient
from hypothesis import strategies

from attar.serving.app import AppOptions, create_app
from attar.serving.keys import Keys

NUM_CASES = 40  # benchmarks/service_faults.py has thousands


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_no_request_of_the_schema_is_an_error_of_the_service(predictor, tmp_path, monkeypatch):
    schemathesis = pytest.importorskip("schemathesis")
    from schemathesis.generation import GenerationMode

    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))  # for uploads
    app = create_app(predictor, options=AppOptions(keys=Keys({"ATTAR_ADMIN_KEY": "admin"})))
    with TestClient(app) as client:
        schema = schemathesis.openapi.from_dict(client.get("/openapi.json").json())
        operations = [one.ok() for one in schema.get_all_operations()]
        assert {one.path for one in operations} >= {"/v1/score", "/v1/model", "/v1/files/{id}/score"}
        cases = strategies.one_of(
            [
                one.as_strategy(mode)
                for one in operations
                for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)
            ]
        )
        statuses = set()

        @hypothesis.settings(
            max_examples=NUM_CASES, deadline=None, database=None, derandomize=True,
            suppress_health_check=list(hypothesis.HealthCheck),
        )  # fmt: skip
        @hypothesis.given(cases)
        def send(case):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                sent = case.as_transport_kwargs(base_url="http://testserver")
            reply = client.request(
                sent["method"], sent["url"], params=sent.get("params"), headers=dict(sent["headers"]),
                content=content_of(sent),
            )  # fmt: skip
            statuses.add(reply.status_code)
            assert reply.status_code < 500 or reply.status_code == 503
            if reply.status_code >= 400 and case.method != "HEAD":
                assert {"code", "message"} <= reply.json().keys()

        send()
    assert 200 in statuses
    assert statuses & {400, 404, 422}


def content_of(sent):
    if sent.get("json") is not None:
        return json.dumps(sent["json"]).encode()
    data = sent.get("data")
    return data if isinstance(data, bytes | str) or data is None else repr(data).encode()
