"""Uploaded files: scored as ``attar score`` scores them, bounded, cancelled, and gone afterwards."""

from __future__ import annotations

import csv
import io
import json
import os
import tempfile
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

import attar
from attar.artifact import publish_artifact
from attar.scoring.stage import ScoreOptions, score_file
from attar.serving.app import AppOptions, create_app
from attar.serving.limits import Problem
from attar.serving.models import Models
from attar.serving.rows import KnownTerms
from attar.serving.uploads import DEFAULT_FILE_LIMITS, FileStore
from attar.terms.term_list import read_term_list

HANG_S = 600
ROWS = "id,评论,词\n1,口红好，口红香,口红\n2,香味差,香味\n3,,口红\n4,持妆好,粉底\n"


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    return tmp_path / "temporary"


@pytest.fixture
def terms(tmp_path):
    path = tmp_path / "terms.csv"
    path.write_text("term,synonyms,category\n口红,唇膏,彩妆\n气味,香味,感官\n", "utf-8")
    return read_term_list(path)


def service(predictor, **options):
    return TestClient(create_app(predictor, options=AppOptions(**options)))


def upload(client, content=ROWS, name="评论.csv"):
    return client.post(
        "/v1/files",
        params={"name": name},
        content=content if isinstance(content, bytes) else content.encode(),
    )


def ended(client, held):
    deadline = time.monotonic() + HANG_S
    while (now := client.get(f"/v1/files/{held['id']}").json())["state"] in ("waiting", "running"):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return now


def scored(client, held, **asked):
    reply = client.post(f"/v1/files/{held['id']}/score", json=asked)
    assert reply.status_code == 202, reply.text
    return ended(client, held)


def test_a_file_is_scored_as_attar_score_does(predictor, tmp_path, place):
    with service(predictor) as client:
        made = upload(client)
        assert made.status_code == 201
        held = made.json()
        assert (held["state"], held["name"], held["columns"]) == (
            "uploaded",
            "评论.csv",
            ["id", "评论", "词"],
        )
        assert client.get(f"/v1/files/{held['id']}/scored").json()["code"] == "not_scored"
        done = scored(client, held, text="评论", term="词")
        assert done["state"] == "done", done
        assert (done["rows"], done["rows_done"], done["has_rejected"]) == (4, 4, True)
        assert done["facts"]["rejected"] == {"empty_text": 1, "term_not_found": 1}
        assert (done["facts"]["mentions"], done["facts"]["model"]) == (3, "artifact")
        reply = client.get(f"/v1/files/{held['id']}/scored")
        assert reply.headers["content-disposition"].endswith("''%E8%AF%84%E8%AE%BA.scored.csv")
        # The same bytes as from the command line.
        source, out = tmp_path / "评论.csv", tmp_path / "out.csv"
        source.write_text(ROWS, "utf-8")
        score_file(predictor, source, out, ScoreOptions(text="评论", term="词"))
        assert reply.content == out.read_bytes()
        rejected = client.get(f"/v1/files/{held['id']}/rejected").text.splitlines()
        assert [json.loads(line)["where"] for line in rejected] == ["评论.csv:4", "评论.csv:5"]
        assert str(place) not in client.get(f"/v1/files/{held['id']}/rejected").text
        # What was uploaded is gone; the rest goes when it is told to, or with the service.
        assert [path.name for path in place.rglob("*.csv")] == ["scored.csv"]
        assert client.delete(f"/v1/files/{held['id']}").status_code == 204
        assert client.get(f"/v1/files/{held['id']}").json()["code"] == "no_such_file"
        assert list(place.rglob("*.csv")) == []
        assert client.get("/v1/files").json()["held"] == 0
        upload(client)
        assert len(list(place.rglob("*.csv"))) == 1
    assert list(place.iterdir()) == []


@pytest.mark.parametrize("ending", ["xlsx", "jsonl", "tsv"])
def test_any_table_in_and_out(predictor, tmp_path, ending):
    source = tmp_path / f"in.{ending}"
    if ending == "xlsx":
        openpyxl = pytest.importorskip("openpyxl")
        book = openpyxl.Workbook()
        for row in (["text", "term"], ["口红好", "口红"]):
            book.active.append(row)
        book.save(source)
    else:
        line = (
            json.dumps({"text": "口红好", "term": "口红"})
            if ending == "jsonl"
            else "text\tterm\n口红好\t口红"
        )
        source.write_text(line + "\n", "utf-8")
    with service(predictor) as client:
        held = upload(client, source.read_bytes(), source.name).json()
        done = scored(client, held, format="csv")
        assert done["state"] == "done", done
        text = client.get(f"/v1/files/{held['id']}/scored").content.decode("utf-8-sig")
        (row,) = csv.DictReader(io.StringIO(text))
        assert row["label"] in ("坏", "中", "好")
        again = upload(client, source.read_bytes(), source.name).json()
        assert scored(client, again)["state"] == "done"
        disposition = client.get(f"/v1/files/{again['id']}/scored").headers["content-disposition"]
        assert disposition.endswith(f"in.scored.{ending}")


def test_a_workbook_calls_the_file_as_the_client_does(predictor, place):
    openpyxl = pytest.importorskip("openpyxl")
    with service(predictor) as client:
        held = upload(client).json()
        assert scored(client, held, text="评论", term="词", format="xlsx")["state"] == "done"
        reply = client.get(f"/v1/files/{held['id']}/scored")
    book = openpyxl.load_workbook(io.BytesIO(reply.content))
    cells = [cell.value for page in book for row in page for cell in row]
    assert cells[cells.index("source") + 1] == "评论.csv"
    assert not [cell for cell in cells if str(place) in str(cell)]


@pytest.mark.parametrize(
    ("language", "summary", "note"), [("zh", "汇总", "未采用"), ("en", "summary", "rejected")]
)
def test_a_workbook_is_in_the_language_that_is_asked_for(predictor, language, summary, note):
    openpyxl = pytest.importorskip("openpyxl")
    with service(predictor) as client:
        held = upload(client).json()
        asked = {"text": "评论", "term": "词", "format": "xlsx", "language": language}
        assert scored(client, held, **asked)["state"] == "done"
        reply = client.get(f"/v1/files/{held['id']}/scored")
        wrong = client.post(f"/v1/files/{held['id']}/score", json={"language": "fr"})
        assert (wrong.status_code, wrong.json()["code"]) == (422, "invalid_request")
    book = openpyxl.load_workbook(io.BytesIO(reply.content))
    assert summary in book.sheetnames
    cells = [str(cell.value) for row in book[summary] for cell in row]
    assert any(note in each for each in cells)


def test_files_are_scored_with_a_refused_artifact_that_is_served_all_the_same(predictor, tmp_path):
    condition = {"name": "max_mb", "status": "refuse", "said": "It is too large."}
    card = {"status": "refuse", "headline": "Large.", "conditions": [condition]}
    publish_artifact(predictor.artifact, card, tmp_path / "refused")
    refused = attar.load(tmp_path / "refused", workers=1)
    with service(refused) as client:
        done = scored(client, upload(client).json(), text="评论", term="词")
    assert (done["state"], done["problem"]) == ("done", "")
    refused.close()


def test_the_services_terms_are_found_where_no_column_is_named(predictor, terms):
    with service(predictor, terms=KnownTerms.of(terms)) as client:
        assert client.get("/v1/files").json()["terms"] == 2
        held = upload(client, "text\n唇膏好，香味差\n一般\n").json()
        done = scored(client, held)
        assert (done["facts"]["mentions"], done["facts"]["without_term"]) == (2, 1)
        text = client.get(f"/v1/files/{held['id']}/scored").content.decode("utf-8-sig")
        assert [row["term"] for row in csv.DictReader(io.StringIO(text))] == ["口红", "气味"]


def test_a_file_that_cannot_be_scored_says_why_and_may_be_asked_again(predictor, place):
    with service(predictor) as client:
        held = upload(client, "text,term,other\n口红好,眼影,口红\n").json()
        failed = scored(client, held)
        assert failed["state"] == "failed"
        assert failed["problem"].startswith("评论.csv: none of its 1 rows can be used")
        assert str(place) not in failed["problem"]
        assert scored(client, held, term="other")["state"] == "done"
        twice = client.post(f"/v1/files/{held['id']}/score", json={})
        assert (twice.status_code, twice.json()["code"]) == (409, "file_busy")


@pytest.mark.parametrize(
    ("name", "content", "status", "code"),
    [
        ("a.doc", b"text\n", 422, "unknown_format"),
        ("", b"text\n", 422, "unknown_format"),
        (".csv", b"text\n", 422, "unknown_format"),
        ("a.csv", b"", 422, "bad_file"),
        ("a.xlsx", b"PK no workbook", 422, "bad_file"),
        ("a.csv", b"text,text\n1,2\n", 422, "bad_file"),
        ("a.csv", b"x" * 2000, 413, "body_too_large"),
    ],
)
def test_an_upload_that_is_refused_leaves_nothing(predictor, place, name, content, status, code):
    limits = replace(DEFAULT_FILE_LIMITS, max_file_bytes=1000)
    with service(predictor, file_limits=limits) as client:
        reply = upload(client, content, name)
        assert (reply.status_code, reply.json()["code"]) == (status, code)
        assert str(place) not in reply.text
        assert client.get("/v1/files").json()["held"] == 0
        assert [path for path in place.rglob("*") if path.is_dir()] == [*place.iterdir()]


def test_names_cannot_lead_out_of_the_folder(predictor, place):
    with service(predictor) as client:
        for name in ("../../etc/x.csv", "a\0b.csv", "b.xlsx#c.csv", "é" * 300 + ".csv", "*.csv"):
            assert upload(client, ROWS, name).status_code == 201, name
        found = list(place.rglob("*.csv"))
        assert len(found) == 5
        assert {path.parent.parent.parent for path in found} == {place}


@pytest.mark.parametrize(
    ("limit", "value", "said"),
    [
        ("max_file_rows", 3, "more than 3 rows"),
        ("max_row_chars", 8, "more than 8 characters"),
        ("max_file_mentions", 2, "more than 2 times"),
    ],
)
def test_limits_of_a_file(predictor, limit, value, said):
    with service(predictor, file_limits=replace(DEFAULT_FILE_LIMITS, **{limit: value})) as client:
        failed = scored(client, upload(client).json(), text="评论", term="词")
        assert failed["state"] == "failed"
        assert said in failed["problem"]
        assert client.get("/v1/files").json()["limits"][limit] == value


def test_a_result_that_grows_too_long(predictor):
    rows = "text,term\n" + "口红,口红\n" * 9000
    with service(predictor, file_limits=replace(DEFAULT_FILE_LIMITS, max_result_bytes=1000)) as client:
        assert "exceed 1,000 bytes" in scored(client, upload(client, rows).json())["problem"]


def test_too_many_files_and_odd_questions(predictor):
    with service(predictor, file_limits=replace(DEFAULT_FILE_LIMITS, max_files=2)) as client:
        held = upload(client).json()
        assert upload(client).status_code == 201
        full = upload(client)
        assert (full.status_code, full.json()["code"], full.headers["retry-after"]) == (
            503,
            "too_many_files",
            "30",
        )
        ask = f"/v1/files/{held['id']}/score"
        assert client.post(ask, json={"text": "nein"}).json()["code"] == "no_such_column"
        assert client.post(ask, json={"other": 1}).json()["code"] == "invalid_request"
        assert (
            client.post(ask, json={"text": "评论", "term": "词", "format": "doc"}).json()["code"]
            == "unknown_format"
        )
        assert (
            client.post(ask, json={"text": "评论", "term": "词", "model": "x"}).json()["code"]
            == "no_such_model"
        )
        packed = client.post("/v1/files?name=a.csv", content=b"x", headers={"content-encoding": "gzip"})
        assert packed.status_code == 415
        assert client.get(f"/v1/files/{held['id']}/rejected").json()["code"] == "not_found"
        assert client.post("/v1/files/nobody/score", json={}).status_code == 404


def test_files_need_the_key_and_no_log_holds_an_id(predictor, caplog):
    caplog.set_level("INFO")
    app = create_app(predictor, api_key="abc")
    key = {"Authorization": "Bearer abc"}
    with TestClient(app) as client:
        assert upload(client).status_code == client.get("/v1/files").status_code == 401
        held = client.post("/v1/files?name=secret.csv", content=ROWS.encode(), headers=key).json()
        client.get(f"/v1/files/{held['id']}", headers=key)
        metrics = client.get("/metrics", headers=key).text
    lines = [
        f"{record.getMessage()} {getattr(record, 'fields', '')}"
        for record in caplog.records
        if record.name.startswith("attar")
    ]
    assert any("/v1/files/{id}" in line for line in lines)
    assert not [line for line in lines if held["id"] in line or "secret" in line]
    assert held["id"] not in metrics
    assert "attar_files_held 1.0" in metrics


class Slow:
    """A predictor that waits for a sign before the second of its batches."""

    def __init__(self, predictor):
        self.artifact, self.task, self.workers = predictor.artifact, predictor.task, 1
        self.real, self.entered, self.go = predictor.predict_probs, threading.Event(), threading.Event()
        self.num_asked = 0

    def predict_probs(self, examples):
        self.num_asked += 1
        if len(examples) > 1:
            self.entered.set()
            assert self.go.wait(HANG_S)
        return self.real(examples)


def test_a_file_is_forgotten_while_it_is_scored(predictor, place):
    slow = Slow(predictor)
    with service(slow) as client:
        held = upload(client, "text,term\n" + "口红好,口红\n" * 5000).json()
        client.post(f"/v1/files/{held['id']}/score", json={})
        assert slow.entered.wait(HANG_S)
        waiting = upload(client).json()
        behind = client.post(f"/v1/files/{waiting['id']}/score", json={"text": "评论", "term": "词"}).json()
        assert (behind["state"], behind["before"]) == ("waiting", 1)
        running = client.get(f"/v1/files/{held['id']}").json()
        assert (running["state"], running["rows"]) == ("running", 5000)
        # A request is answered meanwhile: the file gives its place up after each batch.
        assert client.delete(f"/v1/files/{held['id']}").status_code == 204
        slow.go.set()
        assert ended(client, waiting)["state"] == "done"
        assert 'attar_files_total{result="cancelled"} 1.0' in client.get("/metrics").text
        assert len(list(place.rglob("*.csv"))) == 1


def test_a_service_that_ends_stops_the_work_and_removes_the_files(predictor, place):
    slow = Slow(predictor)
    with service(slow) as client:
        held = upload(client, "text,term\n" + "口红好,口红\n" * 5000).json()
        client.post(f"/v1/files/{held['id']}/score", json={})
        assert slow.entered.wait(HANG_S)
        threading.Timer(0.5, slow.go.set).start()
    assert list(place.iterdir()) == []


def test_the_models_of_a_file(predictor):
    models = Models({"one": predictor, "two": predictor})
    with TestClient(create_app(models)) as client:
        done = scored(client, upload(client).json(), text="评论", term="词", model="two")
        assert done["facts"]["model"] == "two"


def test_files_go_when_their_time_is_up(place):
    now = [0.0]
    store = FileStore(replace(DEFAULT_FILE_LIMITS, kept_s=100), clock=lambda: now[0])
    held = store.add("a.csv", ".csv")
    now[0] = 500
    assert store.get(held.id) is held  # it is still being uploaded
    store.set_state(held, "uploaded")
    now[0] = 599
    assert store.get(held.id) is held
    now[0] = 601
    with pytest.raises(Problem, match="no such file"):
        store.get(held.id)
    assert not held.folder.exists()
    store.close()
    assert list(place.iterdir()) == []


def test_what_a_killed_service_left_is_removed_and_nothing_else(place):
    child = os.fork()
    if child == 0:
        FileStore(DEFAULT_FILE_LIMITS).add("a.csv", ".csv").path.write_text("x", "utf-8")
        os._exit(0)
    os.waitpid(child, 0)
    (left,) = place.iterdir()
    living = FileStore(DEFAULT_FILE_LIMITS)
    held = living.add("b.csv", ".csv")
    assert not left.exists()
    others = place / "attar-files-mine"  # has no lock: somebody's own
    others.mkdir()
    (place / "attar-files-link").symlink_to(others)
    second = FileStore(DEFAULT_FILE_LIMITS)
    second.add("c.csv", ".csv")
    assert held.folder.is_dir()
    assert others.is_dir()
    second.close()
    living.close()
    assert sorted(path.name for path in place.iterdir()) == ["attar-files-link", "attar-files-mine"]


def test_a_disk_without_space_is_said(predictor, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    with service(predictor) as client:
        monkeypatch.setattr(Path, "mkdir", full)
        reply = upload(client)
    assert (reply.status_code, reply.json()["code"]) == (507, "no_space")
