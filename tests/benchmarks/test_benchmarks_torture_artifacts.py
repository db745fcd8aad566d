"""Every hostile artifact of the torture is refused in words, in one process."""

import shutil

import pytest

import attar
from attar.errors import ArtifactError


@pytest.fixture(scope="module")
def hostile(bench):
    return bench("torturing.artifacts").HOSTILE_ARTIFACTS


def test_hostile_artifacts_are_refused_in_words(hostile, artifact_folder, tmp_path):
    assert len(hostile) >= 60
    wrong = []
    for number, (what, change) in enumerate(hostile.items()):
        folder = tmp_path / str(number)
        shutil.copytree(artifact_folder, folder)
        change(folder)
        try:
            attar.load(folder, workers=1).predict(["香味很好"], ["香味"])
        except ArtifactError as error:
            if str(folder) not in str(error) or "\n" in str(error):
                wrong.append(f"{what}: {error}")
        else:
            wrong.append(f"{what}: was used")
    assert wrong == []
