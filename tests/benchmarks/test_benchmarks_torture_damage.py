"""A share of the torture's damage: each file of each kind of folder, in each way, and some flipped bits."""

import random
import shutil

import pytest

NAMES = (
    "artifact",
    "linear",
    "cascade",
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
    found = damage.check_kind(
        damage.KINDS[name],
        (folders / f"{name} 0", folders / f"{name} 1"),
        checkpoint,
        tmp_path / "folder",
        num_flips=6,
        rng=rng,
    )
    assert found.failures == []
    assert found.unfinished == ()
    assert found.counts.total() > 7


def test_files_take_turns_and_what_was_cut_off_is_said(damage, tmp_path):
    read = []
    for folder in ("one", "other"):
        (tmp_path / folder).mkdir()
        for name in ("a", "b"):
            (tmp_path / folder / name).write_text(f"{folder} {name}")

    def read_all(folder, _):
        found = {path.name: path.read_bytes() if path.is_file() else b"" for path in folder.iterdir()}
        read.append([name for name in ("a", "b") if found.get(name) != f"one {name}".encode()])

    left = [5]

    def is_over():
        left[0] -= 1
        return left[0] < 0

    kind = damage.Kind(lambda *_: None, read_all)
    found = damage.check_kind(
        kind, (tmp_path / "one", tmp_path / "other"), None, tmp_path / "folder",
        num_flips=2, rng=random.Random(0), is_over=is_over,  # noqa: S311
    )  # fmt: skip
    assert read == [[], ["a"], ["b"], ["a"], ["b"]][: len(read)]
    assert len(read) > 3
    assert found.unfinished == ("a", "b")


def test_what_is_read_otherwise_in_silence_fails(damage, tmp_path):
    kind = damage.Kind(lambda *_: None, lambda *_: "other")
    with pytest.raises(AssertionError, match="read other"):
        damage.outcome_of(kind, tmp_path, "whole", None)
    shutil.rmtree(tmp_path)
