"""Every hostile artifact of the torture is refused in words, in one process."""

import shutil

import pytest

import attar
from attar.errors import ArtifactError


def names():
    from importlib.util import module_from_spec, spec_from_file_location
    from pathlib import Path

    path = Path(__file__).resolve().parents[2] / "benchmarks" / "torturing" / "artifacts.py"
    spec = spec_from_file_location("hostile_artifacts", path)
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.HOSTILE_ARTIFACTS


HOSTILE = names()


@pytest.mark.parametrize("what", HOSTILE)
def test_a_hostile_artifact_is_refused_in_words(artifact_folder, tmp_path, what):
    folder = tmp_path / "artifact"
    shutil.copytree(artifact_folder, folder)
    HOSTILE[what](folder)
    with pytest.raises(ArtifactError) as refused:
        attar.load(folder, workers=1).predict(["香味很好"], ["香味"])
    assert str(folder) in str(refused.value)
    assert "\n" not in str(refused.value)


def test_there_are_sixty():
    assert len(HOSTILE) >= 60
