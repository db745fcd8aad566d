"""Two processes train and distil the models that one does, with attar's verbs and the original's command."""

import json
import re
import runpy
import shlex
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from attar.classic.weights import read_weights
from attar.models.checkpoint import save_checkpoint
from attar.pipeline import distill, prepare, train
from attar.recipe.load import load_recipe
from attar.task import task_by_name

pytestmark = pytest.mark.slow

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
gradient_accumulation_steps = 2
learning_rate = 1e-4
dropout = 0.0
precision = "fp32"
layer_decay = 0.8
hard_loss = "logit_adjusted"
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
matches = ["auto", {{loss = "hidden_mse", teacher_layer = 2, student_layer = 1, weight = 30.0}}]
"""
CLASSIC = Path(__file__).parents[2] / "classic" / "main.trainer.py"
COMMAND = (
    "--model_architecture bert --vocab_file {model}/vocab.txt --data_dir {data} --bert_config_file_T none "
    "--bert_config_file_S {model}/config.json --init_checkpoint_S {model}/pytorch_model.bin "
    "--do_lower_case --do_train --do_predict --max_seq_length 70 --train_batch_size 24 --random_seed 9580 "
    "--num_train_epochs 1 --learning_rate 1e-4 --ckpt_frequency 1 --schedule slanted_triangular --s_opt1 30 "
    "--output_dir {out} --gradient_accumulation_steps 1 --task_name newcos"
)


def free_port():
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return held.getsockname()[1]


def write_classic(folder, make_model, make_examples, vocab):
    """``classic/``: data and a model that draws nothing (no dropout), for a command of the original."""
    folder.mkdir()
    rows = [[e.text, e.term, e.label] for e in make_examples(72, task=task_by_name("newcos"))]
    for name, part in (("train", rows[:56]), ("dev", rows[56:])):
        (folder / f"{name}.json").write_text(json.dumps(part, ensure_ascii=False), "utf-8")
    model = make_model("bert", seed=3, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)
    model.config.to_json_file(folder / "config.json", use_diff=False)
    (folder / "vocab.txt").write_bytes(vocab.read_bytes())
    torch.save(model.state_dict(), folder / "pytorch_model.bin")


def classic_flags(folder, out):
    return shlex.split(COMMAND.format(model=folder / "classic", data=folder / "classic", out=out))


@pytest.fixture(scope="module")
def launched(tmp_path_factory, make_rows, encoder_folder, make_checkpoint, make_model, make_examples):
    """A folder with a recipe, data, a teacher, and in ``two/`` what one launch of two processes made."""
    folder = tmp_path_factory.mktemp("torchrun")
    make_rows(folder / "rows.jsonl", 80)
    (folder / "tiny.toml").write_text(RECIPE.format(encoder=encoder_folder), "utf-8")
    recipe = load_recipe(folder / "tiny.toml")
    prepare(recipe, recipe.data.sources, folder / "data")
    save_checkpoint(make_checkpoint(seed=6), folder / "teacher")
    write_classic(folder / "classic", make_model, make_examples, encoder_folder / "vocab.txt")
    (folder / "two").mkdir()
    launch = ["-m", "torch.distributed.run", "--nproc-per-node=2", f"--master-port={free_port()}"]
    arguments = [folder / name for name in ("tiny.toml", "data", "teacher", "two")]
    arguments += [str(free_port()), CLASSIC, *classic_flags(folder, folder / "two" / "classic")]
    done = subprocess.run(
        [sys.executable, *launch, Path(__file__).with_name("two_processes.py"), *arguments],
        capture_output=True, text=True, timeout=3600, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    (folder / "two" / "stderr.txt").write_text(done.stderr, "utf-8")
    return folder


def assert_same_weights(one, two):
    one, two = (load_file(folder / "model.safetensors") for folder in (one, two))
    assert one.keys() == two.keys()
    for name, value in one.items():
        if "key.bias" not in name:  # attention does not depend on it: its gradient is rounding alone
            assert (value - two[name]).abs().max() < 1e-5, name


def test_two_processes_give_the_weights_of_one(launched, tmp_path):
    recipe, two = load_recipe(launched / "tiny.toml"), launched / "two" / "trained"
    train(recipe, launched / "data", tmp_path / "one")
    assert_same_weights(tmp_path / "one", two)
    notes = [
        json.loads((folder / "attar.json").read_text("utf-8"))["notes"] for folder in (tmp_path / "one", two)
    ]
    assert notes[0] == notes[1]
    assert sorted(p.name for p in two.iterdir()) == sorted(p.name for p in (tmp_path / "one").iterdir())
    rows, drawn = zip(
        *(json.loads((launched / "two" / f"rows-{rank}.json").read_text()) for rank in (0, 1)), strict=True
    )
    assert not {*drawn[0]} & {*drawn[1]}  # no process hides what another one hides
    assert len({*drawn[1]}) > len(drawn[1]) / 3  # nor the same in each step
    seen = [sorted(row for part in parts for row in part) for parts in rows]
    everything = list(range(notes[0]["num_train"]))
    assert sorted(seen[0] + seen[1]) == sorted(2 * everything)  # each row once an epoch
    assert min(len(part) for part in seen) > 0.9 * len(everything)
    # What two processes made is what one process keeps.
    before = (two / "model.safetensors").stat().st_mtime_ns
    train(recipe, launched / "data", two)
    assert (two / "model.safetensors").stat().st_mtime_ns == before


def test_two_processes_give_the_student_of_one(launched, tmp_path):
    """With projections of the losses and several teachers."""
    recipe = load_recipe(launched / "tiny.toml")
    distill(recipe, launched / "data", [launched / "teacher", "linear"], tmp_path / "one")
    assert_same_weights(tmp_path / "one", launched / "two" / "student")


def test_two_processes_of_a_classic_command_give_the_weights_of_one(launched, tmp_path, monkeypatch):
    two = launched / "two" / "classic"
    said = re.findall(r" - INFO - Main -  (.*)", (launched / "two" / "stderr.txt").read_text("utf-8"))
    assert len([line for line in said if line.startswith("***** Eval results")]) == 1  # one of them speaks
    monkeypatch.syspath_prepend(str(CLASSIC.parent))
    monkeypatch.setattr(sys, "argv", [str(CLASSIC), *classic_flags(launched, tmp_path / "one")])
    with pytest.raises(SystemExit) as left:
        runpy.run_path(str(CLASSIC), run_name="__main__")
    assert left.value.code == 0
    before = torch.load(launched / "classic" / "pytorch_model.bin", weights_only=True)
    first, second = (read_weights(folder / "gs2.pkl") for folder in (tmp_path / "one", two))
    assert first.keys() == second.keys()
    for name, value in first.items():
        if "key.bias" not in name:
            assert (value - second[name]).abs().max() < 1e-5, name
    dense = "bert.encoder.layer.0.output.dense.weight"
    assert (first[dense] - before[dense]).abs().max() > 1e-5
