"""The room that a training needs on its disk, asked before its first step.

A training writes its checkpoint at the end, but its states, each several times as large, while it runs: a
disk that is too small for them would end it after hours.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import torch
from torch import nn

from attar.errors import RunError

__all__ = ["check_training_room", "state_bytes"]

_STATES = 3  # the last two, and the next one while it is written
_NEVER_MINUTES = 600.0  # a longer interval says that nobody wants a state
_RESERVE_BYTES = 4 << 20  # metrics, TensorBoard, stamps


def state_bytes(model: nn.Module, objective: nn.Module) -> int:
    """The size of a state: the weights and the best so far, and two values of Adam for each trained one."""
    weights = sum(_size(tensor) for part in (model, objective) for tensor in part.state_dict().values())
    best = sum(_size(tensor) for tensor in model.state_dict().values())
    trained = [p for part in (model, objective) for p in part.parameters() if p.requires_grad]
    return weights + best + 2 * sum(map(_size, trained))


def check_training_room(
    model: nn.Module, objective: nn.Module, folder: Path, *, checkpoint_minutes: float
) -> None:
    """Check that the states and the checkpoint of a training can be written.

    Args:
        model: In training.
        objective: May have weights of its own.
        folder: Gets them; what a resumed training has written there is overwritten.
        checkpoint_minutes: Between two states.

    Raises:
        RunError: Too little is free.
    """
    checkpoint = sum(_size(tensor) for tensor in model.state_dict().values())
    count = _STATES if checkpoint_minutes < _NEVER_MINUTES else 0
    state = state_bytes(model, objective)
    place = next(path for path in (folder, *folder.resolve().parents) if path.is_dir())
    there = sum(path.stat().st_size for path in (folder / "state").glob("*.pt"))
    needed = checkpoint + count * state + _RESERVE_BYTES
    free = shutil.disk_usage(place).free + there
    if free < needed:
        raise RunError(
            f"{folder}: this training needs up to {needed / 1e6:,.0f} MB there, {checkpoint / 1e6:,.0f} for "
            f"its checkpoint and {count} x {state / 1e6:,.0f} for what a killed one resumes from, and "
            f"{free / 1e6:,.0f} MB are free; free some, name an --out on another disk, or do without states: "
            f"checkpoint_minutes = {_NEVER_MINUTES:.0f}"
        )


def _size(tensor: torch.Tensor) -> int:
    return tensor.numel() * tensor.element_size()
