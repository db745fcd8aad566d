"""Two processes train the model that one trains."""

import json
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from safetensors.torch import load_file

from attar.recipe import load_recipe
from attar.stages import prepare, train

RECIPE = """
seed = 4
[data]
sources = ["rows.jsonl"]
[encode]
max_tokens = 24
[train]
encoder = "{encoder}"
epochs = 2
batch_size = 15
accumulate = 2
learning_rate = 1e-4
dropout = 0.0
precision = "fp32"
layer_decay = 0.8
hard_loss = "logit_adjusted"
"""


def free_port():
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return held.getsockname()[1]


@pytest.mark.slow
def test_two_processes_give_the_weights_of_one(tmp_path, make_rows, encoder_folder):
    make_rows(tmp_path / "rows.jsonl", 80)
    (tmp_path / "tiny.toml").write_text(RECIPE.format(encoder=encoder_folder), "utf-8")
    recipe = load_recipe(tmp_path / "tiny.toml")
    data = prepare(recipe, recipe.data.sources, tmp_path / "data")
    train(recipe, data, tmp_path / "one")
    script = Path(__file__).with_name("two_processes.py")
    launch = ["-m", "torch.distributed.run", "--nproc-per-node=2", f"--master-port={free_port()}"]
    done = subprocess.run(
        [sys.executable, *launch, script, tmp_path / "tiny.toml", data, tmp_path / "two"],
        capture_output=True, text=True, timeout=600, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    one, two = (load_file(tmp_path / name / "model.safetensors") for name in ("one", "two"))
    assert one.keys() == two.keys()
    for name, value in one.items():
        if "key.bias" not in name:  # attention does not depend on it: its gradient is rounding alone
            assert (value - two[name]).abs().max() < 1e-5, name
    notes = [
        json.loads((tmp_path / name / "attar.json").read_text("utf-8"))["notes"] for name in ("one", "two")
    ]
    assert notes[0] == notes[1]
    assert sorted(p.name for p in (tmp_path / "two").iterdir()) == sorted(
        p.name for p in (tmp_path / "one").iterdir()
    )
    rows, drawn = zip(
        *(json.loads((tmp_path / f"rows-{rank}.json").read_text()) for rank in (0, 1)), strict=True
    )
    assert not {*drawn[0]} & {*drawn[1]}  # no process hides what another one hides
    assert len({*drawn[1]}) > len(drawn[1]) / 3  # nor the same in each step
    seen = [sorted(row for part in parts for row in part) for parts in rows]
    everything = list(range(notes[0]["num_train"]))
    assert sorted(seen[0] + seen[1]) == sorted(2 * everything)  # each row once an epoch
    assert min(len(part) for part in seen) > 0.9 * len(everything)
    # What two processes made is what one process keeps.
    before = (tmp_path / "two" / "model.safetensors").stat().st_mtime_ns
    train(recipe, data, tmp_path / "two")
    assert (tmp_path / "two" / "model.safetensors").stat().st_mtime_ns == before
