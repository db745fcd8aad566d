"""A share of the torture's damage: each file of each kind of folder, in each way, and some flipped bits."""

import random
import shutil

import pytest

NAMES = (
    "artifact",
    "checkpoint",
    "prepared folder",
    "training state",
    "metrics.jsonl",
    "teacher outputs",
    "pieces",
)


@pytest.fixture(scope="module")
def damage(bench):
    return bench("torturing.damage")


@pytest.fixture(scope="module")
def folders(damage, tmp_path_factory, artifact_folder, make_checkpoint):
    root = tmp_path_factory.mktemp("whole")
    for number in range(2):
        for name, kind in damage.KINDS.items():
            kind.make(root / f"{name} {number}", number, artifact_folder, make_checkpoint())
    return root


def test_every_kind_is_here(damage):
    assert tuple(damage.KINDS) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_damage_is_named_or_mended(damage, folders, make_checkpoint, tmp_path, name):
    checkpoint, rng = make_checkpoint(), random.Random(0)  # noqa: S311
    counts, failures = damage.check_kind(
        damage.KINDS[name],
        (folders / f"{name} 0", folders / f"{name} 1"),
        checkpoint,
        tmp_path / "folder",
        num_flips=6,
        rng=rng,
    )
    assert failures == []
    assert sum(counts.values()) > 7


def test_what_is_read_otherwise_in_silence_fails(damage, tmp_path):
    kind = damage.Kind(lambda *_: None, lambda *_: "other")
    with pytest.raises(AssertionError, match="read other"):
        damage.outcome_of(kind, tmp_path, "whole", None)
    shutil.rmtree(tmp_path)
