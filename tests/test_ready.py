"""A ready model is found by its name wherever a folder of an artifact is asked for."""

import json
import re
import shutil
from pathlib import Path

import pytest

import attar
from attar import ready
from attar.artifact import load_artifact
from attar.errors import ArtifactError
from attar.io.files import folder_hashes

NAME = "zh-reviews"
CARRIED = Path(ready.__file__).with_name("ready_models") / NAME
REVIEW = "面膜很好用，就是物流太慢了，包装一般"


@pytest.fixture
def carried(artifact_folder, tmp_path, monkeypatch):
    """A package that carries the artifact ``tiny``, and a working folder without it."""
    shutil.copytree(artifact_folder, tmp_path / "package" / "tiny")
    (tmp_path / "here").mkdir()
    monkeypatch.setattr(ready, "_READY", tmp_path / "package")
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "package" / "tiny"


def test_it_is_found_by_its_name_alone(carried, artifact_folder):
    assert ready.ready_models() == ["tiny"]
    assert load_artifact(Path("tiny")).folder == carried
    assert attar.load("tiny").artifact.version == load_artifact(artifact_folder).version
    with pytest.raises(ArtifactError, match=r"^other: no such folder.*, or the name of a ready model, tiny$"):
        load_artifact(Path("other"))
    with pytest.raises(ArtifactError, match="no such folder"):
        load_artifact(Path("there/tiny"))


def test_a_folder_of_that_name_comes_first(carried):  # noqa: ARG001
    Path("tiny").mkdir()
    with pytest.raises(ArtifactError, match="no artifact"):
        load_artifact(Path("tiny"))


@pytest.mark.usefixtures("carried")
def test_every_verb_that_takes_an_artifact_takes_the_name(attar_main, make_rows, tmp_path):
    rows = tmp_path / "rows.jsonl"
    make_rows(rows, 20)
    assert attar_main("verify", "tiny")[0] == 0
    assert attar_main("score", "tiny", "--in", rows, "--out", "scored.jsonl")[0] == 0
    assert attar_main("compare", "scored.jsonl", "tiny", "--out", "compared.csv")[0] == 0
    code, out, err = attar_main(
        "score", "tiny", "--in", rows, "--out", tmp_path / "package" / "tiny" / "x.csv"
    )
    assert (code, out) == (2, ""), err


class TestCarried:
    """The one that this package carries."""

    def test_it_is_small_whole_and_says_what_it_is(self):
        artifact = load_artifact(Path(NAME))
        assert artifact.folder == CARRIED
        assert sum(path.stat().st_size for path in CARRIED.iterdir()) <= 8_000_000
        assert (artifact.precision, artifact.task.name) == ("int8", "cosmetics")
        assert {path.name for path in CARRIED.iterdir()} == {*artifact.files, "attar.json"}
        assert artifact.scores == {}  # it is not judged on reviews by its own author
        card = (CARRIED / "README.md").read_text("utf-8")
        for said in ("What it was taught", "Where it fails", "Licence", "make ready-model"):
            assert said in card
        assert "/" not in json.dumps(artifact.notes)  # no folder of its maker's

    def test_it_answers_and_proves_itself(self, attar_main):
        terms = ["面膜", "物流", "包装"]
        found = attar.load(NAME).predict([REVIEW] * 3, terms)
        assert [one.label for one in found] == ["积极", "消极", "中性"]
        code, out, err = attar_main("verify", NAME)
        assert code == 0, err
        assert re.search(r"stored inputs +│ 64 ", out)
        assert re.search(r"labels that differ +│ 0 ", out)

    def test_no_command_writes_into_it(self, attar_main, tmp_path, make_rows):
        rows, before = tmp_path / "rows.jsonl", folder_hashes(CARRIED, ("attar.json", "model.onnx"))
        make_rows(rows, 4)
        assert attar_main("score", NAME, "--in", rows, "--out", CARRIED / "scored.jsonl")[0] == 2
        assert folder_hashes(CARRIED, ("attar.json", "model.onnx")) == before
