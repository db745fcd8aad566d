"""The tiny artifact of the scoring tests, and clients of apps around it."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from attar.artifact import load_artifact
from attar.scoring.predictor import Predictor
from attar.serving.app import create_app
from attar.task import Task


def _scoring():
    path = Path(__file__).parents[1] / "scoring" / "conftest.py"
    spec = importlib.util.spec_from_file_location("scoring_conftest", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


scoring = _scoring()


@pytest.fixture(scope="session")
def some_examples():
    return scoring.random_examples


@pytest.fixture(scope="session")
def artifact_folder(tmp_path_factory):
    task = Task("tiny", ("坏", "中", "好"), aliases={"-1": "坏"})
    return scoring._artifact(tmp_path_factory.mktemp("served") / "pair", task)


@pytest.fixture(scope="session")
def single_folder(tmp_path_factory):
    task = Task("whole", ("坏", "好"), "single")
    return scoring._artifact(tmp_path_factory.mktemp("served") / "single", task)


@pytest.fixture(scope="session")
def predictor(artifact_folder):
    made = Predictor(load_artifact(artifact_folder), workers=2)
    yield made
    made.close()


@pytest.fixture(scope="module")
def client(predictor):
    with TestClient(create_app(predictor)) as made:
        yield made
