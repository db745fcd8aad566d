from __future__ import annotations

import pickle
import zipfile

import pytest
import torch

from attar.classic import pickles
from attar.classic.pickles import LIMIT_VARIABLE, check_bounds
from attar.classic.weights import read_weights, write_weights
from attar.errors import CheckpointError, RecipeError

WEIGHTS = {"bert.w": torch.arange(6.0).reshape(2, 3), "classifier.bias": torch.zeros(3)}


@pytest.fixture(params=[True, False], ids=["zip", "old"])
def saved(request, tmp_path):
    path = tmp_path / "gs1.pkl"
    write_weights(WEIGHTS, path, zipped=request.param)
    return path


def test_weights_of_both_formats_pass(saved):
    assert {name: value.tolist() for name, value in read_weights(saved).items()} == {
        name: value.tolist() for name, value in WEIGHTS.items()
    }


def test_the_limit_is_named_and_can_be_raised(saved, monkeypatch):
    monkeypatch.setenv(LIMIT_VARIABLE, "1e-8")
    with pytest.raises(CheckpointError, match=f"more than the 1e-08 GB .* set {LIMIT_VARIABLE}"):
        read_weights(saved)
    monkeypatch.setenv(LIMIT_VARIABLE, "1")
    assert read_weights(saved)


@pytest.mark.parametrize("value", ["", "much", "0", "-1", "nan"])
def test_a_limit_that_is_none(saved, monkeypatch, value):
    monkeypatch.setenv(LIMIT_VARIABLE, value)
    with pytest.raises(RecipeError, match=LIMIT_VARIABLE):
        check_bounds(saved)


def test_a_long_program_is_refused_before_it_is_read(saved, monkeypatch):
    monkeypatch.setattr(pickles, "_MAX_OPCODES", 10)
    with pytest.raises(CheckpointError, match="nothing in it was run"):
        read_weights(saved)


def test_a_large_value_is_refused_before_it_is_read(tmp_path, monkeypatch):
    monkeypatch.setattr(pickles, "_MAX_PROGRAM_BYTES", 1_000)
    path = tmp_path / "gs1.pkl"
    path.write_bytes(pickle.dumps({"a": "x" * 5_000}))
    with pytest.raises(CheckpointError, match="larger than any checkpoint's"):
        read_weights(path)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", b"\x00" * 5_000)
    with pytest.raises(CheckpointError, match="larger than any checkpoint's"):
        read_weights(path)


def test_a_zip_that_unfolds_is_measured_before_it_unfolds(tmp_path, monkeypatch):
    path = tmp_path / "gs1.pkl"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", pickle.dumps({}))
        archive.writestr("archive/data/0", b"\x00" * 3_000_000)
    assert path.stat().st_size < 10_000
    monkeypatch.setenv(LIMIT_VARIABLE, "0.002")
    with pytest.raises(CheckpointError, match=r"unfolded, more than the 0\.002 GB"):
        read_weights(path)


@pytest.mark.parametrize(
    "content", [b"", b"PK\x03\x04", b"garbage", b"\x80\x02", b"PK\x03\x04" + b"\x00" * 99]
)
def test_damage_is_left_to_torch(tmp_path, content):
    path = tmp_path / "gs1.pkl"
    path.write_bytes(content)
    check_bounds(path)
    with pytest.raises(CheckpointError):
        read_weights(path)
