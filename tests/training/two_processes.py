"""Run by test_training_torchrun.py in each of two processes: distil, train, a command of the original."""

import json
import os
import runpy
import sys
from pathlib import Path

import torch
from accelerate.state import PartialState

import attar.training.stage
from attar import cli
from attar.pipeline import train
from attar.recipe.load import load_recipe
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


def run_classic(port, script, argv):
    """A command of the original, which has to set up the processes itself: those there are parted first."""
    torch.distributed.destroy_process_group()
    PartialState._reset_state()
    # The launcher's own store still holds the addresses of the first time.
    os.environ |= {"MASTER_PORT": port, "TORCHELASTIC_USE_AGENT_STORE": "False"}
    sys.path.insert(0, str(Path(script).parent))
    sys.argv = [script, *argv]
    try:
        runpy.run_path(script, run_name="__main__")
    except SystemExit as left:
        assert not left.code, left.code
    assert torch.distributed.get_world_size() == 2


if __name__ == "__main__":
    recipe, data, teacher, out = (Path(argument) for argument in sys.argv[1:5])
    port, script, *classic = sys.argv[5:]
    torch.set_num_threads(1)
    # The verb comes first: it has to set up the processes, and to share a cache before it does.
    sys.argv = ["attar", "distill", str(recipe), "--data", str(data), "--teacher", str(teacher)]
    sys.argv += ["--teacher", "linear", "--out", str(out / "student")]
    try:
        cli.main()
    except SystemExit as left:
        assert not left.code, left.code
    attar.training.stage.HardLabels = Watching
    train(load_recipe(recipe), data, out / "trained")
    (out / f"rows-{os.environ['RANK']}.json").write_text(json.dumps([SEEN, DRAWN]))
    # Every process may go on with what the stage wrote.
    assert (out / "trained" / "attar.json").is_file()
    run_classic(port, script, classic)
