"""Run by test_training_torchrun.py, once in one process and once in two: the train verb."""

import sys
from pathlib import Path

import torch

from attar.recipe import load_recipe
from attar.stages import train

if __name__ == "__main__":
    recipe, data, out = (Path(argument) for argument in sys.argv[1:])
    torch.set_num_threads(1)
    train(load_recipe(recipe), data, out)
    # Every process may go on with what the stage wrote.
    assert (out / "attar.json").is_file()
