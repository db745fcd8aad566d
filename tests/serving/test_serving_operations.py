"""Metrics, ids of requests, the log, CORS, /docs, and SIGHUP."""

from __future__ import annotations

import json
import logging
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from datetime import datetime

import pytest
from fastapi.testclient import TestClient

from attar.serving.app import AppOptions, create_app
from attar.serving.request_log import JsonLines
from attar.task import Task

HANG_S = 600
ROW = {"text": "口红好，香味不好", "term": "香味"}


def test_the_metrics_count_requests_rows_and_batches(predictor):
    with TestClient(create_app(predictor)) as client:
        client.post("/v1/score", json={"rows": [ROW, {"text": "好", "term": "坏"}, 5]})
        client.post("/v1/score", content=b"{")
        reply = client.get("/metrics")
    assert reply.headers["content-type"].startswith("text/plain; version=")
    for line in (
        'attar_requests_total{route="/v1/score",status="200"} 1.0',
        'attar_requests_total{route="/v1/score",status="400"} 1.0',
        'attar_rows_total{model="artifact"} 3.0',
        'attar_rows_rejected_total{model="artifact",reason="term_not_found"} 1.0',
        'attar_rows_rejected_total{model="artifact",reason="bad_row"} 1.0',
        'attar_batch_examples_count{model="artifact"} 1.0',
        'attar_inference_seconds_count{model="artifact"} 1.0',
        "attar_queue_requests 0.0",
        f'attar_model_info{{model="artifact",version="{predictor.artifact.version}"}} 1.0',
    ):
        assert line in reply.text.splitlines(), line
    assert "香味" not in reply.text


def test_the_metrics_need_the_key(predictor):
    with TestClient(create_app(predictor, api_key="abc")) as client:
        assert client.get("/metrics").status_code == 401
        assert client.get("/metrics", headers={"Authorization": "Bearer abc"}).status_code == 200


def test_every_reply_has_the_id_of_its_request(client):
    for route in ("/live", "/v1/model", "/nowhere", "/docs"):
        assert client.get(route, headers={"X-Request-ID": "shop-1"}).headers["x-request-id"] == "shop-1"
        assert re.fullmatch("[0-9a-f]{16}", client.get(route).headers["x-request-id"])
    for bad in (b"a b", b"x" * 129, "密".encode(), b""):
        made = client.post("/v1/score", json={"rows": []}, headers={"X-Request-ID": bad})
        assert re.fullmatch("[0-9a-f]{16}", made.headers["x-request-id"])


def test_a_log_line_is_json_with_a_date_and_no_text(client, caplog):
    caplog.set_level(logging.INFO)
    client.post("/v1/score", json={"rows": [ROW]}, headers={"X-Request-ID": "shop-1"})
    (record,) = (one for one in caplog.records if one.name == "attar.serving.service")
    line = json.loads(JsonLines().format(record))
    assert datetime.fromisoformat(line["time"]).tzinfo is not None
    assert (line["level"], line["request_id"], line["route"]) == ("info", "shop-1", "/v1/score")
    assert (line["status"], line["rows"], line["model"]) == (200, 1, "artifact")
    assert "香味" not in json.dumps(line, ensure_ascii=False)


def test_cors_is_off_unless_an_origin_is_named(predictor):
    headers = {"Origin": "https://shop.example", "Access-Control-Request-Method": "POST"}
    with TestClient(create_app(predictor)) as client:
        assert client.options("/v1/score", headers=headers).status_code == 405
        assert "access-control-allow-origin" not in client.get("/live", headers=headers).headers
    options = AppOptions(cors=("https://shop.example",))
    with TestClient(create_app(predictor, options=options)) as client:
        allowed = client.options("/v1/score", headers=headers)
        assert allowed.headers["access-control-allow-origin"] == "https://shop.example"
        score = client.post("/v1/score", json={"rows": [ROW]}, headers=headers)
        assert score.headers["access-control-allow-origin"] == "https://shop.example"
        other = client.get("/live", headers={"Origin": "https://other.example"})
        assert "access-control-allow-origin" not in other.headers


def test_docs_come_whole_from_the_service(predictor):
    with TestClient(create_app(predictor, api_key="abc")) as client:
        page = client.get("/docs")
        assert page.headers["content-security-policy"].startswith("default-src 'none'; script-src 'self'")
        files = re.findall(r'(?:src|href)="([^"]+)"', page.text)
        assert sorted(files) == ["docs/docs.css", "docs/docs.js", "openapi.json"]
        for one in files:
            assert client.get(f"/{one}").status_code == 200
        script = client.get("/docs/docs.js").text
        assert "http://" not in page.text + script
        assert "https://" not in page.text + script
        # What the page offers to send.
        routes = client.get("/openapi.json").json()["paths"]
        assert set(re.findall(r'"POST (/v1/\S+)"', script)) <= set(routes)
        row = re.search(r"\{ id: 2.*\}", script)[0]
        row = json.loads(re.sub(r"(\w+):", r'"\1":', row))
        key = {"Authorization": "Bearer abc"}
        reply = client.post("/v1/score", json={"rows": [row]}, headers=key)
        assert "error" not in reply.json()["rows"][0]


@pytest.fixture(scope="module")
def other_folder(export_tiny):
    return export_tiny(Task("other", ("差", "好")))


def test_sighup_reads_keys_and_artifacts_again(tmp_path, artifact_folder, other_folder):
    folder, keys = tmp_path / "model", tmp_path / "keys"
    shutil.copytree(artifact_folder, folder)
    keys.write_text("old", "utf-8")
    command = [sys.executable, "-c", "from attar.cli import main; main()", "serve", f"m={folder}"]
    started = subprocess.Popen(
        [*command, "--port", "0", "--workers", "1", "--keys", keys],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ,
    )  # fmt: skip
    address = started.stdout.readline().split()[-1]

    def card(key):
        asked = urllib.request.Request(f"{address}/v1/model", headers={"Authorization": f"Bearer {key}"})  # noqa: S310
        with urllib.request.urlopen(asked, timeout=HANG_S) as reply:  # noqa: S310
            return json.load(reply)

    try:
        assert card("old")["task"] == "tiny"
        shutil.rmtree(folder)
        shutil.copytree(other_folder, folder)
        keys.write_text("old\nnew", "utf-8")
        started.send_signal(signal.SIGHUP)
        for _ in range(20 * HANG_S):
            if card("old")["task"] == "other":
                break
            time.sleep(0.05)
        assert card("new")["name"] == "m"
    finally:
        started.send_signal(signal.SIGTERM)
        _, log = started.communicate(timeout=HANG_S)
    assert started.returncode == 0
    lines = [json.loads(line) for line in log.splitlines()]
    assert "reloaded: m" in [line["message"] for line in lines]
    assert "Traceback" not in log
