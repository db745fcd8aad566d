"""Whether a disk is large enough for a training is known before its first step."""

import shutil
from collections import namedtuple

import pytest
import torch
from torch import nn

from attar.errors import RunError
from attar.training.room import check_training_room, state_bytes
from attar.training.state import TrainingStates

Usage = namedtuple("Usage", "total used free")


@pytest.fixture
def free(monkeypatch):
    """``free(num_bytes)``: so much is free on every disk."""
    return lambda num: monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(num, 0, num))


def test_a_state_is_as_large_as_said(tmp_path):
    model, objective = nn.Linear(300, 200), nn.Linear(10, 10)
    model.bias.requires_grad_(False)
    trained = [p for part in (model, objective) for p in part.parameters() if p.requires_grad]
    optimiser = torch.optim.AdamW(trained)
    (model(torch.ones(300)).sum() + objective(torch.ones(10)).sum()).backward()
    optimiser.step()
    best = {key: value.clone() for key, value in model.state_dict().items()}
    state = {"model": model.state_dict(), "objective": objective.state_dict(), "best": best}
    TrainingStates(tmp_path).save(1, state | {"optimiser": optimiser.state_dict()})
    (path,) = tmp_path.glob("*.pt")
    assert state_bytes(model, objective) == pytest.approx(path.stat().st_size, rel=0.02)


def test_too_little_room_is_said_in_a_line(tmp_path, free):
    model, objective = nn.Linear(1000, 1000), nn.Linear(1, 1)
    needed = 4_004_000 + 3 * state_bytes(model, objective) + (4 << 20)
    free(needed)
    check_training_room(model, objective, tmp_path / "out.draft", checkpoint_minutes=2)
    free(needed - 1)
    with pytest.raises(RunError, match=r"needs up to 56 MB .* 3 x 16 .* 56 MB are free.*--out") as caught:
        check_training_room(model, objective, tmp_path / "out.draft", checkpoint_minutes=2)
    assert "\n" not in str(caught.value)
    check_training_room(model, objective, tmp_path / "out.draft", checkpoint_minutes=600)
    states = tmp_path / "out.draft" / "state"
    states.mkdir(parents=True)
    (states / "step-1.pt").write_bytes(b"x")
    check_training_room(model, objective, tmp_path / "out.draft", checkpoint_minutes=2)
