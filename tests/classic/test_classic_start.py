"""What is wrong is said before anything slow is imported, in words of the command line; and the bar."""

import argparse
import importlib
import io
import json
import logging
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from attar.errors import RecipeError

CLASSIC = Path(__file__).parents[2] / "classic"
ROWS = [["这款口红很好", "口红", 1], ["这款口红很差", "口红", -1]]
BIO = "".join(f"{c}\t{tag}\n" for c, tag in zip("胶原好", ("B-COM", "I-COM", "O"), strict=True))
START = """
import sys
from original.start import main
code = main("trainer", sys.argv[1:])
slow = {"torch", "transformers", "sklearn", "accelerate"} & set(sys.modules)
print(code, sorted(slow))
"""


@pytest.fixture
def original(monkeypatch):
    """``original(module)``: a module of classic/original."""
    monkeypatch.syspath_prepend(str(CLASSIC))
    return lambda name: importlib.import_module(f"original.{name}")


@pytest.fixture
def folder(tmp_path, encoder_folder):
    """A folder with the files of a model and of a task; the weights are no real ones."""
    config = json.loads((encoder_folder / "config.json").read_text("utf-8"))
    (tmp_path / "config.json").write_text(json.dumps(config), "utf-8")
    (tmp_path / "vocab.txt").write_bytes((encoder_folder / "vocab.txt").read_bytes())
    (tmp_path / "model.bin").write_bytes(b"PK\x03\x04")
    (tmp_path / "junk.bin").write_bytes(b"<html>")
    for stem in ("train", "dev"):
        (tmp_path / f"{stem}.json").write_text(json.dumps(ROWS, ensure_ascii=False), "utf-8")
    for name in ("bio", "nodev"):
        (tmp_path / name).mkdir()
    (tmp_path / "nodev/train.json").write_bytes((tmp_path / "train.json").read_bytes())
    for stem in ("train", "dev"):
        (tmp_path / f"bio/{stem}.txt").write_text(BIO, "utf-8")
    return tmp_path


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ("--data_dir nodev", "nodev: no dev.json or dev.txt for the task components; there: train.json"),
        ("--data_dir nodev", "--do_train evaluates every checkpoint on dev"),
        ("--init_checkpoint_S none.bin", "none.bin: no such file"),
        ("--init_checkpoint_S junk.bin", "junk.bin: no file of torch.save"),
        ("--vocab_file none.txt", "none.txt: no such file"),
        ("--vocab_file config.json", "config.json: no vocabulary of BERT's, it lacks [PAD]"),
        ("--max_seq_length 90", "--max_seq_length 90: config.json has 80 positions"),
        ("--train_batch_size 3", "2 training examples do not fill one batch"),
        ("--data_dir bio", "bio/train.txt: BIO (a character, a tab and a tag a line); components expects"),
        ("--data_dir bio", "run attar prepare bio/train.txt bio/dev.txt --task components --out FOLDER"),
    ],
)
def test_files_and_sizes_are_checked_before_torch_is_imported(folder, flags, said):
    given = {
        "--vocab_file": "vocab.txt", "--output_dir": "out", "--bert_config_file_T": "none",
        "--bert_config_file_S": "config.json", "--init_checkpoint_S": "model.bin", "--data_dir": ".",
        "--task_name": "components", "--train_batch_size": "2", "--max_seq_length": "70",
    }  # fmt: skip
    given |= dict([flags.split()])
    (folder / "train.json").write_text(
        json.dumps([[*r[:2], (r[2] > 0 and "是") or "否"] for r in ROWS]), "utf-8"
    )
    (folder / "dev.json").write_bytes((folder / "train.json").read_bytes())
    command = [sys.executable, "-c", START, *(part for pair in given.items() for part in pair), "--do_train"]
    path = os.pathsep.join([str(CLASSIC), *sys.path])
    done = subprocess.run(
        command,
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PYTHONPATH": path},
    )
    assert done.stdout.split("\n")[0] == "2 []", done.stderr
    errors = [line for line in done.stderr.splitlines() if " - ERROR - " in line]
    assert len(errors) == 1
    assert said in errors[0]


def test_bio_files_are_read_by_the_command_that_is_named(folder, attar_main):
    # The texts must differ enough to fill three splits.
    for stem in ("train", "dev", "test"):
        texts = [BIO.replace("好\t", f"{chr(0x5000 + n + 40 * len(stem))}\t") for n in range(20)]
        (folder / f"bio/{stem}.txt").write_text("\n".join(texts), "utf-8")
    files = [folder / f"bio/{stem}.txt" for stem in ("train", "dev", "test")]
    code, _out, err = attar_main("prepare", *files, "--task", "components", "--out", folder / "data")
    assert code == 0, err
    rows = json.loads((folder / "data/train.json").read_text("utf-8"))
    assert {(row[1], row[4]) for row in rows} == {("胶原", "是")}


@pytest.mark.parametrize(
    ("message", "said"),
    [
        (
            (
                "collapsed. Lower learning_rate, set dropout = 0, start the head from a probe "
                "(head_init = 'linear_probe'), or train longer."
            ),
            (
                "collapsed. Lower --learning_rate, set hidden_dropout_prob to 0 in --bert_config_file_S, or "
                "raise --num_train_epochs."
            ),
        ),
        (
            "lower learning_rate or set precision = 'fp32'",
            "lower --learning_rate, or leave out --fp16 and --bf16",
        ),
        (
            'matches: cos@4-12 wants layer 12 of the teacher; choose among them, or matches = "auto"',
            "--matches: cos@4-12 wants layer 12 of the teacher",
        ),
        ("set train.batch_size lower", "set --train_batch_size lower"),
        # Files, and what is a flag already, stay as they are.
        ("data/train.json: --learning_rate is", "data/train.json: --learning_rate is"),
        ("/x/batch_size/log_interval.txt", "/x/batch_size/log_interval.txt"),
    ],
)
def test_recipe_keys_become_flags_in_messages(original, message, said):
    assert original("wording").in_flags(message) == said


def test_those_messages_are_still_in_attar():
    """The clauses that are put into other words stand in attar as they are."""
    texts = "".join(path.read_text("utf-8") for path in (CLASSIC.parent / "src/attar").rglob("*.py"))
    joined = re.sub(r'"\s*\n\s*f?"', "", texts)
    for part in (
        "set dropout = 0, start the head from a probe (head_init = 'linear_probe'), or train longer",
        "lower learning_rate or set precision = 'fp32'",
        "precision = 'fp16' needs a GPU; ",
        "set cache = 'logits'",
        'choose among them, or matches = "auto"',
        "Leave matches out to learn from logits alone; or name first a teacher trained with this [encode]",
    ):
        assert part in joined, part


def test_a_bad_value_of_the_config_is_named_with_its_file(original, folder):
    config = json.loads((folder / "config.json").read_text("utf-8")) | {"hidden_dropout_prob": 2}
    (folder / "s.json").write_text(json.dumps(config), "utf-8")
    flags = (
        f"--vocab_file v --output_dir o --bert_config_file_T none --bert_config_file_S {folder}/s.json "
        "--do_train --load_model_type none --task_name cosmetics"
    )
    args = original("arguments").parse_arguments("trainer", flags.split())
    with pytest.raises(RecipeError, match=r"s.json: hidden_dropout_prob must be 1.0 or less, it is 2$"):
        original("translate").to_recipe(args, [], marks=True)


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize("is_terminal", [True, False])
def test_the_bar_has_percent_count_and_speed(
    original, make_checkpoint, make_examples, monkeypatch, caplog, is_terminal
):
    stream = Terminal() if is_terminal else io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    args = argparse.Namespace(predict_batch_size=8, do_predict=True, script="trainer", task_name="cosmetics")
    evaluation = original("evaluate").Evaluation(args, make_checkpoint(), {"cosmetics": make_examples(36)})
    with caplog.at_level(logging.INFO, logger="Main"):
        evaluation.score()
    figures = r"100%\S* 5/5 \[\d\d:\d\d<00:00, +\d+\.\d\dit/s\]"
    on_bar = re.search(rf"Evaluating: {figures}", stream.getvalue())
    in_log = [m for m in caplog.messages if re.fullmatch(rf"Evaluating: {figures}", m)]
    assert (bool(on_bar), len(in_log)) == ((True, 0) if is_terminal else (False, 1))
    assert torch.is_tensor(next(evaluation.checkpoint.model.parameters()))
