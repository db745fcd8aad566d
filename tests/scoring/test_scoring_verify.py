"""``attar verify`` on the command line: a table, and an exit code that a script can go by."""

from __future__ import annotations

import json
import shutil

import pytest
from typer.testing import CliRunner

from attar.artifact import load_artifact
from attar.cli.app import app
from attar.errors import ArtifactError
from attar.scoring.verify import verify


def test_a_whole_artifact_gives_the_logits_of_its_export(artifact_folder):
    done = CliRunner().invoke(app, ["verify", str(artifact_folder)])
    assert done.exit_code == 0, done.output
    for row in ("processor", "ONNX Runtime", "int8", "64", "largest difference", "the same as where"):
        assert row in done.output
    found = verify(artifact_folder)
    assert found.compared.passed
    assert (found.compared.num, found.compared.changed, found.precision) == (64, 0, "int8")


def test_other_logits_are_an_error(artifact_folder, tmp_path, edit_card):
    copy = tmp_path / "copy"
    shutil.copytree(artifact_folder, copy)
    stored = json.loads((copy / "checks.json").read_text("utf-8"))
    stored["passes"] = [[[-logit for logit in row] for row in logits] for logits in stored["passes"]]
    (copy / "checks.json").write_text(json.dumps(stored), "utf-8")
    edit_card(copy)
    done = CliRunner().invoke(app, ["verify", str(copy)])
    assert "not as where it was exported" in done.output
    assert isinstance(done.exception, ArtifactError)  # which main() turns into exit code 2
    with pytest.raises(ArtifactError, match="gives other logits here"):
        from attar.scoring.predictor import Predictor
        from attar.task import Example

        Predictor(load_artifact(copy), 1).predict_probs([Example("遮瑕好", 0, 2)])


def test_an_artifact_without_stored_inputs_says_what_to_do(artifact_folder, tmp_path, edit_card):
    copy = tmp_path / "copy"
    shutil.copytree(artifact_folder, copy)
    (copy / "checks.json").unlink()
    edit_card(copy)
    with pytest.raises(ArtifactError, match=r"no checks\.json to verify.*attar convert"):
        verify(copy)
