"""Two processes distil, projections and several teachers included, as one does."""

import socket
import subprocess
import sys
from pathlib import Path

import pytest
from safetensors.torch import load_file

from attar.models.checkpoint import save_checkpoint
from attar.recipe import load_recipe
from attar.stages import distill, prepare

RECIPE = """
seed = 4
[data]
sources = ["rows.jsonl"]
[encode]
max_tokens = 24
[student]
layers = 1
hidden = 16
heads = 2
intermediate = 32
vocab_margin = 5
[distill]
epochs = 2
batch_size = 15
learning_rate = 3e-3
dropout = 0.0
precision = "fp32"
cache = "features"
matches = ["auto", {loss = "hidden_mse", teacher_layer = 2, student_layer = 1, weight = 30.0}]
"""


def free_port():
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return held.getsockname()[1]


@pytest.mark.slow
def test_two_processes_give_the_student_of_one(tmp_path, make_rows, make_checkpoint):
    make_rows(tmp_path / "rows.jsonl", 80)
    (tmp_path / "tiny.toml").write_text(RECIPE, "utf-8")
    recipe = load_recipe(tmp_path / "tiny.toml")
    data = prepare(recipe, recipe.data.sources, tmp_path / "data")
    save_checkpoint(make_checkpoint(seed=6), tmp_path / "teacher")
    distill(recipe, data, [tmp_path / "teacher", "linear"], tmp_path / "one")
    launch = [
        "-m",
        "torch.distributed.run",
        "--nproc-per-node=2",
        f"--master-port={free_port()}",
        "--no-python",
    ]
    verb = [Path(sys.executable).with_name("attar"), "distill", tmp_path / "tiny.toml", "--data", data]
    teachers = ["--teacher", tmp_path / "teacher", "--teacher", "linear"]
    done = subprocess.run(
        [sys.executable, *launch, *verb, *teachers, "--out", tmp_path / "two"],
        capture_output=True, text=True, timeout=600, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    one, two = (load_file(tmp_path / name / "model.safetensors") for name in ("one", "two"))
    assert one.keys() == two.keys()
    for name, value in one.items():
        if "key.bias" not in name:  # attention does not depend on it: its gradient is rounding alone
            assert (value - two[name]).abs().max() < 1e-5, name
