from __future__ import annotations

import json

import pytest

from attar.artifact import Artifact, load_artifact, publish_artifact, refusal, write_artifact
from attar.errors import ArtifactError
from attar.io.folders import remove_folder
from attar.io.leftovers import leftovers
from attar.task import task_by_name

SPEC = {"style": "single", "max_tokens": 16, "window_chars": None, "token_types": False}


@pytest.fixture
def folder(tmp_path):
    artifact = Artifact(tmp_path / "a", task_by_name("components"), SPEC, "int8", temperature=1.5)
    write_artifact(artifact, model=b"graph", tokenizer="{}", checks={"inputs": []})
    return tmp_path / "a"


def _edit(folder, **changes):
    path = folder / "attar.json"
    path.write_text(json.dumps(json.loads(path.read_text("utf-8")) | changes), "utf-8")


def test_round_trip(folder):
    artifact = load_artifact(folder)
    assert artifact.to_json() == json.loads((folder / "attar.json").read_text("utf-8"))
    assert artifact.temperature == 1.5
    assert artifact.size_bytes == sum(p.stat().st_size for p in folder.iterdir())
    assert artifact.model_path.read_bytes() == b"graph"
    assert len(artifact.version) == 12


def test_a_failed_write_leaves_the_earlier_artifact(folder, monkeypatch):
    before = {p.name: p.read_bytes() for p in folder.iterdir()}
    monkeypatch.setattr("attar.artifact.model_card", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        write_artifact(load_artifact(folder), model=b"other", tokenizer="{}", checks=None)
    assert {p.name: p.read_bytes() for p in folder.iterdir()} == before
    assert [p.name for p in folder.parent.iterdir()] == ["a"]


def test_what_a_kill_leaves_is_in_sight_and_known(folder, monkeypatch):
    """The next files are written in a folder whose name says so; nothing of it is hidden."""

    def killed(*_):
        raise SystemExit

    with monkeypatch.context() as patch, pytest.raises(SystemExit):
        patch.setattr("attar.artifact.model_card", killed)
        patch.setattr("attar.io.folders.shutil.rmtree", lambda *_, **__: None)
        write_artifact(load_artifact(folder), model=b"other", tokenizer="{}", checks={"inputs": []})
    (folder / "incoming.draft" / ".attar.attar-0123abcd.json").touch()  # was being written
    assert load_artifact(folder).model_path.read_bytes() == b"graph"
    assert [left.path for left in leftovers(folder)] == [folder / "incoming.draft"]
    for left in leftovers(folder.parent):  # which may be removed while others are looked for
        remove_folder(left.path)
    write_artifact(load_artifact(folder), model=b"other", tokenizer="{}", checks=None)
    assert list(leftovers(folder.parent)) == []
    (folder / "incoming.draft").mkdir()
    (folder / "incoming.draft" / "thesis.tex").touch()
    assert list(leftovers(folder)) == []


def test_a_first_write_that_fails_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr("attar.artifact.model_card", lambda *_: 1 / 0)
    artifact = Artifact(tmp_path / "a" / "b", task_by_name("components"), SPEC, "int8")
    with pytest.raises(ZeroDivisionError):
        write_artifact(artifact, model=b"graph", tokenizer="{}", checks=None)
    assert not (tmp_path / "a" / "b").exists()


def test_rewriting_replaces(folder):
    write_artifact(load_artifact(folder), model=b"other", tokenizer="{}", checks=None)
    assert load_artifact(folder).model_path.read_bytes() == b"other"


def test_no_such_folder(tmp_path):
    with pytest.raises(ArtifactError, match="no such folder"):
        load_artifact(tmp_path / "nowhere")


def test_a_folder_that_is_no_artifact_says_what_is_there(tmp_path):
    (tmp_path / "holiday.jpg").touch()
    with pytest.raises(ArtifactError, match=r"no artifact.*holiday\.jpg"):
        load_artifact(tmp_path)


def test_a_checkpoint_is_no_artifact(folder):
    _edit(folder, format="attar-checkpoint-1")
    with pytest.raises(ArtifactError, match="attar export"):
        load_artifact(folder)


def test_newer_format(folder):
    _edit(folder, format="attar-artifact-3")
    with pytest.raises(ArtifactError, match="update attar"):
        load_artifact(folder)


@pytest.mark.parametrize("name", ["model.onnx", "tokenizer.json", "README.md"])
def test_truncated_and_missing_files(folder, name):
    path = folder / name
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ArtifactError, match=rf"{name} \(\d+ bytes\) truncated"):
        load_artifact(folder)
    path.unlink()
    with pytest.raises(ArtifactError, match=f"{name} missing"):
        load_artifact(folder)


def test_truncated_card(folder):
    path = folder / "attar.json"
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(ArtifactError, match="truncated"):
        load_artifact(folder)


@pytest.mark.parametrize(
    "changes", [{"task": {}}, {"files": {}}, {"temperature": 0}, {"input": {}}, {"task": None}]
)
def test_incomplete_card(folder, changes):
    _edit(folder, **changes)
    with pytest.raises(ArtifactError, match="export again"):
        load_artifact(folder)


def test_a_flipped_bit_of_the_card_is_named(folder):
    """Every 17th; ``benchmarks/torture.py --part damage`` flips them all."""
    path = folder / "attar.json"
    was = path.read_bytes()
    for bit in range(0, 8 * len(was), 17):
        changed = bytearray(was)
        changed[bit // 8] ^= 1 << bit % 8
        path.write_bytes(changed)
        with pytest.raises(ArtifactError, match=r"attar\.json|format"):
            load_artifact(folder)


def test_a_figure_that_is_no_number_is_written_as_none(folder):
    made = Artifact(folder, task_by_name("components"), SPEC, "int8", scores={"f1": float("nan")})
    write_artifact(made, model=b"graph", tokenizer="{}", checks=None)
    assert load_artifact(folder).scores == {"f1": None}


@pytest.mark.parametrize("name", ["model.onnx", "attar.json", "checks.json"])
def test_a_link_is_not_followed(folder, name):
    (folder / name).rename(folder.parent / name)
    (folder / name).symlink_to(folder.parent / name)
    with pytest.raises(ArtifactError, match=rf"{name} is a symbolic link.*cp -rL"):
        load_artifact(folder)


def test_a_file_that_is_too_large_is_not_read(folder):
    with (folder / "README.md").open("r+b") as stream:
        stream.truncate(1 << 30)
    with pytest.raises(ArtifactError, match=r"README\.md: 1,073,741,824 bytes, more than"):
        load_artifact(folder)


def test_a_card_without_a_seal_is_read_as_before(folder):
    card = json.loads((folder / "attar.json").read_text("utf-8"))
    del card["seal"], card["layers"], card["products"], card["files"]["checks.json"]
    (folder / "attar.json").write_text(json.dumps(card), "utf-8")
    assert load_artifact(folder).task == task_by_name("components")


REFUSED = {
    "status": "refuse",
    "headline": "The small model keeps 80.0 % of the teacher's macro-F1.",
    "conditions": [
        {
            "name": "max_loss_to_teacher",
            "status": "refuse",
            "said": "It loses 9 points.",
            "advice": "Deploy x.",
        },
        {"name": "labels", "status": "pass", "said": "Every label has examples."},
    ],
}


def test_a_verdict_is_published_in_a_copy(folder, tmp_path):
    before = {p.name: p.read_bytes() for p in folder.iterdir()}
    assert refusal(load_artifact(folder)) is None
    publish_artifact(load_artifact(folder), REFUSED, tmp_path / "judged")
    judged = load_artifact(tmp_path / "judged")
    assert judged.verdict == REFUSED
    assert refusal(judged) == "It loses 9 points."
    assert "refuse: It loses 9 points." in (judged.folder / "README.md").read_text("utf-8")
    assert json.loads((judged.folder / "attar.json").read_text("utf-8"))["format"] == "attar-artifact-2"
    assert {p.name: p.read_bytes() for p in folder.iterdir()} == before
    assert (judged.version, judged.model_bytes) == (load_artifact(folder).version, 5)
    passed = {**REFUSED, "status": "warn"}
    publish_artifact(load_artifact(folder), passed, tmp_path / "passed")
    assert refusal(load_artifact(tmp_path / "passed")) is None
