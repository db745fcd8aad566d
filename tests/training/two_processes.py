"""Run by test_training_torchrun.py, once in one process and once in two: the train verb."""

import json
import os
import sys
from pathlib import Path

import torch

import attar.training.stage
from attar.recipe import load_recipe
from attar.stages import train
from attar.training.objectives import HardLabels

SEEN: list[list[int]] = []
DRAWN: list[float] = []


class Watching(HardLabels):
    """Labels, keeping which rows this process was given, and what it would draw."""

    def forward(self, model, inputs, rows):
        SEEN.append(rows.tolist())
        state = torch.get_rng_state()
        DRAWN.append(float(torch.rand(())))
        torch.set_rng_state(state)
        return super().forward(model, inputs, rows)


if __name__ == "__main__":
    recipe, data, out = (Path(argument) for argument in sys.argv[1:])
    torch.set_num_threads(1)
    attar.training.stage.HardLabels = Watching
    train(load_recipe(recipe), data, out)
    out.with_name(f"rows-{os.environ['RANK']}.json").write_text(json.dumps([SEEN, DRAWN]))
    # Every process may go on with what the stage wrote.
    assert (out / "attar.json").is_file()
