"""Several artifacts in a service, and new ones without a restart."""

from __future__ import annotations

import shutil
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from fastapi.testclient import TestClient

from attar.artifact import load_artifact, publish_artifact
from attar.errors import ArtifactError, RecipeError
from attar.serving.app import AppOptions, create_app
from attar.serving.keys import Keys
from attar.serving.limits import Problem
from attar.serving.models import load_models, named_folders
from attar.serving.service import VERSION_HEADER
from attar.task import Task

ROW = {"text": "口红好，香味不好", "term": "香味"}
ADMIN = {"Authorization": "Bearer admin"}


@pytest.fixture(scope="module")
def other_folder(export_tiny):
    return export_tiny(Task("other", ("差", "好")))


def ask(client, name=None):
    return client.post("/v1/score", json={"rows": [ROW]}, params={} if name is None else {"model": name})


def client_of(models):
    return TestClient(create_app(models, options=AppOptions(keys=Keys({"ATTAR_ADMIN_KEY": "admin"}))))


def replaced(folder, by):
    shutil.rmtree(folder)
    shutil.copytree(by, folder)


def test_folders_by_name():
    named = named_folders(["runs/a/artifact", "runs/b", "c=runs/a/artifact", "x/y=z"])
    assert {name: str(path) for name, path in named.items()} == {
        "a": "runs/a/artifact",
        "b": "runs/b",
        "c": "runs/a/artifact",
        "y=z": "x/y=z",
    }
    with pytest.raises(RecipeError, match="NAME=FOLDER"):
        named_folders(["runs/a/artifact", "other/a"])


def test_each_request_chooses_its_model(artifact_folder, other_folder):
    models = load_models({"first": artifact_folder, "second": other_folder}, 1)
    with client_of(models) as client:
        cards = client.get("/v1/models").json()["models"]
        assert [one["name"] for one in cards] == ["first", "second"]
        first, second = (ask(client, name) for name in ("first", "second"))
        assert list(first.json()["rows"][0]["mentions"][0]["probs"]) == ["坏", "中", "好"]
        assert list(second.json()["rows"][0]["mentions"][0]["probs"]) == ["差", "好"]
        assert ask(client).content == first.content
        for card, reply in zip(cards, (first, second), strict=True):
            assert card["version"] == reply.json()["version"] == reply.headers[VERSION_HEADER]
            assert ask(client, card["version"]).content == reply.content
            assert client.get("/v1/model", params={"model": card["name"]}).json() == card
        missing = ask(client, "third")
        assert (missing.status_code, missing.json()["code"]) == (404, "no_such_model")
        assert client.get("/v1/model", params={"model": "third"}).status_code == 404
    models.close()


def test_a_new_artifact_is_served_without_a_lost_request(tmp_path, artifact_folder, other_folder):
    folder = tmp_path / "current"
    shutil.copytree(artifact_folder, folder)
    models = load_models({"a": folder}, 1)
    labels = {
        load_artifact(one).version: list(load_artifact(one).task.labels) for one in (folder, other_folder)
    }
    stop = threading.Event()

    def load():
        replies = []
        while not stop.is_set():
            replies.append(ask(client))
        return replies

    with client_of(models) as client, ThreadPoolExecutor(2) as pool:
        loads = [pool.submit(load) for _ in range(2)]
        for by in (other_folder, artifact_folder, other_folder):
            replaced(folder, by)
            reply = client.post("/admin/reload", headers=ADMIN)
            assert reply.json() == {"changed": ["a"], "models": {"a": load_artifact(by).version}}
            assert ask(client).json()["version"] == load_artifact(by).version
        stop.set()
        replies = [reply for one in loads for reply in one.result()]
        assert client.post("/admin/reload", headers=ADMIN).json()["changed"] == []
        text = client.get("/metrics").text
    assert {reply.status_code for reply in replies} == {200}
    for reply in replies:
        found = reply.json()
        assert list(found["rows"][0]["mentions"][0]["probs"]) == labels[found["version"]]
    assert 'attar_reloads_total{result="done"} 4.0' in text
    assert f'attar_model_info{{model="a",version="{load_artifact(other_folder).version}"}} 1.0' in text
    models.close()


def test_a_damaged_artifact_is_refused_and_the_old_one_stays(tmp_path, artifact_folder, other_folder):
    folders = {"good": tmp_path / "good", "bad": tmp_path / "bad"}
    for one in folders.values():
        shutil.copytree(artifact_folder, one)
    models = load_models(folders, 1)
    with client_of(models) as client:
        wanted = ask(client).content
        replaced(folders["good"], other_folder)
        (folders["bad"] / "model.onnx").write_bytes(b"0")
        reply = client.post("/admin/reload", headers=ADMIN)
        assert (reply.status_code, reply.json()["code"]) == (409, "reload_failed")
        assert ask(client).content == wanted
        assert 'attar_reloads_total{result="failed"} 1.0' in client.get("/metrics").text
        shutil.rmtree(folders["bad"])
        with pytest.raises(ArtifactError):
            models.reload()
    models.close()


def test_an_artifact_that_changes_while_it_is_loaded_is_refused(
    tmp_path, artifact_folder, other_folder, monkeypatch
):
    folder = tmp_path / "a"
    shutil.copytree(artifact_folder, folder)
    models = load_models({"a": folder}, 1)
    shutil.rmtree(folder)
    shutil.copytree(other_folder, folder)
    monkeypatch.setattr("attar.serving.models.warm_up", lambda _: replaced(folder, artifact_folder))
    with pytest.raises(ArtifactError, match="was changed while it was loaded"):
        models.reload()
    models.close()


def test_an_artifact_that_the_routes_cannot_use_is_refused(tmp_path, artifact_folder, single_folder):
    def check(predictor):
        if not predictor.task.has_term:
            raise RecipeError("no term")

    folder = tmp_path / "a"
    shutil.copytree(artifact_folder, folder)
    models = load_models({"a": folder}, 1, check)
    replaced(folder, single_folder)
    with pytest.raises(RecipeError, match="no term"):
        models.reload()
    assert models.default.version == load_artifact(artifact_folder).version
    models.close()


def test_only_an_admin_may_reload(predictor):
    app = create_app(predictor, api_key="abc")
    with TestClient(app) as client:
        known = {"Authorization": "Bearer abc"}
        assert client.post("/admin/reload", headers=known).status_code == 404
    keys = Keys({"ATTAR_API_KEY": "abc", "ATTAR_ADMIN_KEY": "admin"})
    with TestClient(create_app(predictor, options=AppOptions(keys=keys))) as client:
        for headers in ({}, known):
            assert client.post("/admin/reload", headers=headers).status_code == 401
        # This service has no folder to reload from.
        assert client.post("/admin/reload", headers=ADMIN).status_code == 409
        assert client.get("/v1/model", headers=ADMIN).status_code == 200


def test_no_such_model_names_those_that_there_are(predictor):
    app = create_app(predictor)
    with TestClient(app) as client:
        assert "served are artifact" in ask(client, "x").json()["message"]
    with pytest.raises(Problem):
        load_models({"b": predictor.artifact.folder}, 1).get("nobody")


def test_a_refused_artifact_is_served_only_where_that_is_said(
    artifact_folder, tmp_path, attar_main, monkeypatch
):
    condition = {"name": "max_mb", "status": "refuse", "said": "It is too large."}
    card = {"status": "refuse", "headline": "Large.", "conditions": [condition]}
    publish_artifact(load_artifact(artifact_folder), card, tmp_path / "refused")
    code, _, err = attar_main("serve", tmp_path / "refused", "--port", "0")
    assert code == 3
    assert "It is too large. --accept-refused takes it all the same" in err
    served = []

    def serve(app, listener, **_):
        served.append(app)
        listener.close()

    monkeypatch.setattr("attar.serving.server.serve", serve)
    code, out, err = attar_main("serve", tmp_path / "refused", "--port", "0", "--accept-refused")
    assert (code, len(served)) == (0, 1), err
    assert "serving:" in out
