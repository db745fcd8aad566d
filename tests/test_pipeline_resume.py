"""A training killed with -9 resumes in its draft, with or without the stamp, to the same bytes."""

import os
import shutil
import signal
import subprocess
import sys

import pytest

from attar import pipeline
from attar.io.files import file_hash
from attar.recipe.load import Recipe

pytestmark = pytest.mark.slow

KILLED = """
import os, signal, sys
from pathlib import Path
from attar import pipeline
from attar.recipe.load import Recipe
from attar.training.state import TrainingStates
save, saves = TrainingStates.save, []
def killing(self, *arguments):
    save(self, *arguments)
    saves.append(1)
    if len(saves) == 2:
        os.kill(os.getpid(), signal.SIGKILL)
TrainingStates.save = killing
recipe, data, out = sys.argv[1:]
pipeline.train(Recipe.model_validate_json(recipe), Path(data), Path(out))
"""


@pytest.fixture(scope="module")
def recipe(encoder_folder):
    train = {"encoder": str(encoder_folder), "epochs": 2, "precision": "fp32", "checkpoint_minutes": 1e-5}
    return Recipe.model_validate({"name": "r", "encode": {"max_tokens": 24}, "train": train})


@pytest.fixture(scope="module")
def data(tmp_path_factory, recipe, make_rows):
    folder = tmp_path_factory.mktemp("resume")
    return pipeline.prepare(recipe, [make_rows(folder / "rows.jsonl", 90)], folder / "data")


@pytest.fixture(scope="module")
def whole(recipe, data):
    """The weights of the uninterrupted training."""
    return file_hash(pipeline.train(recipe, data, data.parent / "whole") / "model.safetensors")


@pytest.fixture(scope="module")
def killed(recipe, data):
    """The draft that a training leaves which was killed with -9 behind its second saved state."""
    out = data.parent / "killed"
    command = [sys.executable, "-c", KILLED, recipe.model_dump_json(), data, out]
    done = subprocess.run(command, capture_output=True, text=True, env=dict(os.environ), check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert not out.exists()
    draft = out.with_name("killed.draft")
    assert len(list((draft / "state").glob("step-*.pt"))) == 2
    return draft


@pytest.mark.parametrize("lost", [(), ("metrics.jsonl", ".attar")])
def test_a_killed_training_resumes_to_the_same_bytes(recipe, data, whole, killed, tmp_path, caplog, lost):
    out = tmp_path / "teacher"
    draft = shutil.copytree(killed, tmp_path / "teacher.draft")
    for name in lost:
        shutil.rmtree(draft / name) if (draft / name).is_dir() else (draft / name).unlink()
    with caplog.at_level("INFO", "attar"):
        pipeline.train(recipe, data, out)
    assert f"train: resuming in {draft}" in caplog.text
    assert "resuming after step" in caplog.text
    assert file_hash(out / "model.safetensors") == whole
    assert {path.name for path in tmp_path.iterdir()} == {"teacher"}
