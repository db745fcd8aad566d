"""The README's commands of the original, from inside classic/: they run, write and say what they did."""

import json
import math
import re
import runpy
import shlex
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from attar.classic.weights import read_weights
from attar.models.checkpoint import load_checkpoint, predict_logits
from attar.task import Example, task_by_name

CLASSIC = Path(__file__).parents[2] / "classic"
COMMON = (
    "--do_lower_case --do_train --do_predict --max_seq_length 70 --train_batch_size 24 --random_seed 9580 "
    "--ckpt_frequency 1 --schedule slanted_triangular --s_opt1 30 --gradient_accumulation_steps 1 "
    "--output_att_sum false --output_attention_layers false"
)
TRAIN = (
    "main.trainer.py --model_architecture {kind} --vocab_file {model}/vocab.txt "
    "--data_dir data_root_dir/{task} --bert_config_file_T none --bert_config_file_S {model}/config.json "
    "--init_checkpoint_S {model}/pytorch_model.bin --num_train_epochs 6 --learning_rate 2e-5 "
    "--output_dir output_root_dir/{out} --task_name {task} --output_encoded_layers false " + COMMON
)
EVALUATE = (
    "main.trainer.py --model_architecture {kind} --vocab_file {model}/vocab.txt "
    "--data_dir data_root_dir/{task} --bert_config_file_T none --bert_config_file_S {model}/config.json "
    "--tuned_checkpoint_S {weights} "
    "--load_model_type all --do_lower_case --do_predict --max_seq_length 70 --train_batch_size 24 "
    "--random_seed 9580 --num_train_epochs 6 --learning_rate 2e-5 --ckpt_frequency 1 "
    "--schedule slanted_triangular --s_opt1 30 --output_dir output_root_dir/{out} "
    "--gradient_accumulation_steps 1 --task_name {task} --output_att_sum false --output_encoded_layers false "
    "--output_attention_layers false"
)
DISTILL = (
    "main.distill.py --vocab_file mac_bert_model/vocab.txt --data_dir data_root_dir/cosmetics "
    "--bert_config_file_T mac_bert_model/config.json "
    "--bert_config_file_S config/chinese_bert_config_L4t.json "
    "--tuned_checkpoint_T trained_teacher_model/gs3024.pkl --load_model_type none --num_train_epochs 40 "
    "--learning_rate 10e-5 --temperature 8 "
    "--output_dir output_root_dir/t8_TbaseST4tiny_AllSmmdH1_lr10e40_bs24 "
    "--task_name cosmetics --output_encoded_layers true --matches L4t_hidden_mse L4_hidden_smmd " + COMMON
)
EVALUATE_STUDENT = (
    "main.distill.py  --vocab_file mac_bert_model/vocab.txt --data_dir data_root_dir/cosmetics "
    "--bert_config_file_T mac_bert_model/config.json "
    "--bert_config_file_S config/chinese_bert_config_L4t.json "
    "--tuned_checkpoint_T trained_teacher_model/gs3024.pkl --load_model_type all "
    "--tuned_checkpoint_S distil_model/gs8316.pkl  --do_predict --max_seq_length 70  --random_seed 9580 "
    "--output_dir output_root_dir/t8_TbaseST4tiny_eval  --temperature 8 --task_name cosmetics"
)
MULTITEACHER = (
    "main.multiteacher.py --vocab_file mac_bert_model/vocab.txt --data_dir data_root_dir/cosmetics "
    "--tuned_checkpoint_Ts trained_teacher_model/gs3024.pkl electra_teacher/gs2.pkl "
    "--bert_config_file_T mac_bert_model/config.json electra_model/config.json "
    "--vocab_file_T mac_bert_model/vocab.txt electra_model/vocab.txt "
    "--bert_config_file_S small.json --load_model_type none --num_train_epochs 2 --learning_rate 1e-3 "
    "--output_dir output_root_dir/multi --temperature 8 --task_name cosmetics --output_encoded_layers false "
    + COMMON
)
LINE = re.compile(r"\d{4}/\d\d/\d\d \d\d:\d\d:\d\d - (INFO|WARNING|ERROR) - ([\w.]+) -  (.*)")
# What the original drew in random order is kept short: every epoch is the same work again.
SHORT = " --num_train_epochs 2"


def rows(task, examples):
    for e in examples:
        if task == "newcos":
            yield [e.text, e.term, e.label]
        else:
            yield [e.text, e.term, e.start, e.end, e.label, e.meta["channel"], e.meta["wordtype"]]


def write_rows(folder, task, examples, name):
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(list(rows(task, examples)), ensure_ascii=False)
    (folder / f"{name}.json").write_text(text, "utf-8")


@pytest.fixture(scope="module")
def built(tmp_path_factory, make_model, make_examples, encoder_folder):
    """The folder that the README's paths start from, with tiny models and data."""
    home = tmp_path_factory.mktemp("home")
    vocab = (encoder_folder / "vocab.txt").read_text("utf-8")
    for folder, kind, layers in (
        ("mac_bert_model", "bert", 12), ("bert_model", "bert", 2),
        ("electra_model", "electra", 2), ("albert_model", "albert", 2),
    ):  # fmt: skip
        model = make_model(kind, seed=3, num_hidden_layers=layers)
        place = home / folder
        place.mkdir()
        config = {k: v for k, v in model.config.to_dict().items() if k not in ("id2label", "label2id")}
        (place / "config.json").write_text(json.dumps(config), "utf-8")
        (place / "vocab.txt").write_text(vocab, "utf-8")
        torch.save(model.state_dict(), place / "pytorch_model.bin")
    for task in ("cosmetics", "newcos", "components"):
        made = make_examples(72, task=task_by_name(task))
        write_rows(home / "data_root_dir" / task, task, made[:56], "train")
        write_rows(home / "data_root_dir" / task, task, made[56:], "dev")
    small = json.loads((home / "bert_model" / "config.json").read_text("utf-8"))
    (home / "small.json").write_text(
        json.dumps(small | {"hidden_size": 16, "intermediate_size": 32}), "utf-8"
    )
    (home / "config").symlink_to(CLASSIC / "config")
    return home


@pytest.fixture
def home(built, monkeypatch):
    """The same as the working directory."""
    monkeypatch.chdir(built)
    monkeypatch.syspath_prepend(str(CLASSIC))
    return built


@pytest.fixture
def run(home, monkeypatch, capsys):
    """``run(command)``: exit code, stdout, log lines as (level, name, message)."""
    assert home

    def go(command):
        script, *argv = shlex.split(command)
        monkeypatch.setattr(sys, "argv", [script, *argv])
        with pytest.raises(SystemExit) as left:
            runpy.run_path(str(CLASSIC / script), run_name="__main__")
        said = capsys.readouterr()
        return left.value.code, said.out, LINE.findall(said.err)

    return go


def messages(lines, name="Main"):
    return [message for _, who, message in lines if who == name]


def short_of(command):
    return command + SHORT


@pytest.mark.parametrize(
    ("kind", "model", "task"),
    [
        ("bert", "mac_bert_model", "cosmetics"),
        ("bert", "bert_model", "newcos"),
        ("electra", "electra_model", "newcos"),
        ("electra", "electra_model", "components"),
        ("albert", "albert_model", "components"),
    ],
)
def test_a_teacher_is_trained_and_evaluated_as_the_readme_says(run, home, kind, model, task):
    out = home / "output_root_dir" / f"{task}_{model}"
    names = {"kind": kind, "model": model, "task": task, "out": out.name}
    code, _, lines = run(short_of(TRAIN.format(**names)))
    assert code == 0, lines
    said = messages(lines)
    dev = json.loads((home / f"data_root_dir/{task}/dev.json").read_text("utf-8"))
    assert sorted(p.name for p in out.glob("gs*.pkl")) == ["gs2.pkl", "gs4.pkl"]
    assert {"训练数据集已加载", "预测数据集已加载", "Model loaded", f"task:,{task}"} <= set(said)
    assert f"***** Eval results 4 task {task} *****" in said
    answers = json.loads((out / f"eval_results-{task}.json").read_text("utf-8"))
    order = ["是", "否"] if task == "components" else ["消极", "中性", "积极"]
    hits = [
        order[i] == (row[4] if len(row) > 3 else row[2]) for (i, _), row in zip(answers, dev, strict=True)
    ]
    written = (out / f"eval_results-{task}.txt").read_text("utf-8")
    figures = re.findall(r"step: (\d+) \*\*\*\*\n acc = ([\d.]+)\n", written)
    assert [step for step, _ in figures] == ["2", "4"]
    assert math.isclose(float(figures[-1][1]), np.mean(hits), abs_tol=1e-9)
    assert all(1 / len(order) <= prob <= 1 for _, prob in answers)
    assert set(read_weights(out / "gs4.pkl")) >= {
        "classifier.weight" if kind == "bert" else f"{kind}.embeddings.word_embeddings.weight"
    }
    assert list((out / "attar" / "tensorboard").iterdir())

    evaluated = EVALUATE.format(**names | {"weights": out / "gs4.pkl", "out": "evaluated"})
    code, stdout, lines = run(evaluated)
    assert code == 0
    assert json.loads(stdout.replace("'", '"')) == {"acc": float(figures[-1][1])}
    assert f"***** Eval results 0 task {task} *****" in messages(lines)
    assert any("从缓存加载features" in message for message in messages(lines, "utils"))


def test_a_student_is_distilled_evaluated_and_readable(run, home):
    teacher = home / "trained_teacher_model"
    teacher.mkdir(exist_ok=True)
    source = (
        TRAIN.format(kind="bert", model="mac_bert_model", task="cosmetics", out="teacher")
        + " --num_train_epochs 1"
    )
    assert run(source)[0] == 0
    (teacher / "gs3024.pkl").write_bytes((home / "output_root_dir/teacher/gs2.pkl").read_bytes())
    code, _, lines = run(DISTILL + " --num_train_epochs 1 --PRINT_EVERY 1")
    assert code == 0, lines
    out = home / "output_root_dir/t8_TbaseST4tiny_AllSmmdH1_lr10e40_bs24"
    fit = messages(lines, "attar.training.fit")
    assert any(
        "step 1 of 2" in line and "mmd@4-12 loss" in line and "hidden_mse@4-12 loss" in line for line in fit
    )
    text = (out / "recipe.toml").read_text("utf-8")
    assert 'soft_loss = "ce"' in text
    assert "temperature = 8.0" in text
    (home / "distil_model").mkdir(exist_ok=True)
    for ending in ("pkl", "json"):
        (out / f"gs2.{ending}").rename(home / f"distil_model/gs8316.{ending}")

    code, stdout, lines = run(EVALUATE_STUDENT)
    assert code == 0
    acc = json.loads(stdout.replace("'", '"'))["acc"]
    said = messages(lines)
    assert f"acc = {acc}" in said
    spent = [
        re.fullmatch(r"--- 评估16条数据的总耗时是 (\S+) seconds, 每条耗时 (\S+) seconds ---", m) for m in said
    ]
    whole, each = next(float(m[1]) for m in spent if m), next(float(m[2]) for m in spent if m)
    assert math.isclose(whole / 16, each)

    # attar's own folder beside is the same model.
    checkpoint = load_checkpoint(out / "attar")
    from attar.classic.checkpoint import load_classic
    from attar.classic.files import ClassicFiles

    files = ClassicFiles(
        home / "config/chinese_bert_config_L4t.json", home / "mac_bert_model/vocab.txt",
        home / "distil_model/gs8316.pkl",
    )  # fmt: skip
    examples = [Example("粉底很好，口红差。", 5, 7)]
    theirs = load_classic(files, task_by_name("cosmetics"), 70)
    np.testing.assert_allclose(
        predict_logits(checkpoint, examples), predict_logits(theirs, examples), atol=1e-5
    )


def test_two_architectures_teach_one_student(run, home, make_model):
    (home / "trained_teacher_model").mkdir(exist_ok=True)
    (home / "electra_teacher").mkdir(exist_ok=True)
    torch.save(
        make_model("bert", num_hidden_layers=12).state_dict(), home / "trained_teacher_model/gs3024.pkl"
    )
    torch.save(make_model("electra").state_dict(), home / "electra_teacher/gs2.pkl")
    code, _, lines = run(MULTITEACHER)
    assert code == 0, lines
    assert {"Teacher 1: bert", "Teacher 2: electra", "Data loaded"} <= set(messages(lines))
    notes = load_checkpoint(home / "output_root_dir/multi/attar").notes
    assert notes["teachers"] == [["gs3024.pkl", 0.5], ["gs2.pkl", 0.5]]


@pytest.mark.parametrize(
    "flags", ["--no_logits", "--no_inputs_mask", "--teacher_cached", "--weight 0.5 --bf16"]
)
def test_flags_that_the_original_ignored_have_an_effect(run, home, make_model, flags):
    (home / "electra_teacher").mkdir(exist_ok=True)
    torch.save(make_model("albert", num_hidden_layers=12).state_dict(), home / "electra_teacher/albert.pkl")
    albert = json.loads((home / "albert_model/config.json").read_text("utf-8"))
    (home / "albert12.json").write_text(json.dumps(albert | {"num_hidden_layers": 12}), "utf-8")
    student = json.loads((home / "small.json").read_text("utf-8"))
    (home / "small4.json").write_text(json.dumps(student | {"num_hidden_layers": 4}), "utf-8")
    command = (
        "main.distill.py --vocab_file bert_model/vocab.txt --bert_config_file_T albert12.json "
        "--bert_config_file_S small4.json --tuned_checkpoint_T electra_teacher/albert.pkl "
        "--load_model_type none "
        f"--output_dir output_root_dir/{flags.replace(' ', '')} --task_name cosmetics --num_train_epochs 1 "
        f"--matches L4t_hidden_mse L4_hidden_smmd --PRINT_EVERY 1 {flags} " + COMMON
    )
    code, _, lines = run(command)
    assert code == 0, lines
    said = next(m for m in messages(lines, "attar.training.fit") if "step 1 of" in m)
    assert ("soft loss" in said) == (flags != "--no_logits")
    out = home / "output_root_dir" / flags.replace(" ", "")
    text = (out / "recipe.toml").read_text("utf-8")
    kept = {"--no_inputs_mask": "mask_padding = false", "--teacher_cached": 'cache = "features"'}
    assert kept.get(flags, "") in text
    assert list((out / "attar/teacher-answers").glob("features-*")) or flags != "--teacher_cached"


def test_an_aux_task_adds_its_train_set(run, home):
    command = TRAIN.format(kind="bert", model="bert_model", task="cosmetics", out="aux")
    command += " --num_train_epochs 1"
    newcos = "--aux_task_name newcos --aux_data_dir data_root_dir/newcos"
    code, _, lines = run(f"{command} {newcos}")
    assert (code, lines[-1][0]) == (2, "ERROR")
    assert "rows of both generations: data_root_dir/cosmetics/train.json (rows of seven" in lines[-1][2]
    assert "data_root_dir/newcos/train.json (rows of three columns)" in lines[-1][2]
    code, _, lines = run(f"{command} {newcos} --marks on")
    assert code == 0, lines
    assert "  样本数是 = 112" in messages(lines)
    assert (home / "data_root_dir/newcos/cached_train_70_newcos").is_file()
    code, _, lines = run(f"{command} --aux_task_name components --aux_data_dir data_root_dir/components")
    assert (code, lines[-1][0]) == (2, "ERROR")
    assert "--aux_task_name components: its labels" in lines[-1][2]


def test_an_error_is_one_line_and_writes_nothing(run, home):
    command = TRAIN.format(kind="bert", model="bert_model", task="cosmetics", out="none")
    for flags, said in (
        ("--train_batch_size 57", "56 training examples do not fill one batch"),
        ("--init_checkpoint_S nowhere/gs1.pkl", "nowhere/gs1.pkl: no such file"),
        ("--max_seq_length 90", "--max_seq_length 90: bert_model/config.json has 80 positions"),
        ("--data_dir nowhere", "nowhere: no train.json or train.txt for the task cosmetics"),
    ):
        code, _, lines = run(f"{command} {flags}")
        assert (code, [level for level, _, _ in lines].count("ERROR")) == (2, 1)
        assert said in lines[-1][2]
    assert not list((home / "output_root_dir/none").glob("*.pkl"))


def test_an_interrupted_training_resumes_and_a_finished_one_is_up_to_date(run, home, monkeypatch):
    from original import run as running
    from original import translate

    settings = translate._fit_settings
    monkeypatch.setattr(
        translate, "_fit_settings", lambda args: settings(args) | {"checkpoint_minutes": 1e-9}
    )
    command = TRAIN.format(kind="bert", model="bert_model", task="cosmetics", out="{}") + SHORT
    assert run(command.format("whole"))[0] == 0

    save, calls = running.save_classic, []

    def killed(checkpoint, path):
        if calls:
            raise KeyboardInterrupt
        calls.append(path)
        save(checkpoint, path)

    with monkeypatch.context() as patch, pytest.raises(SystemExit, match="130"):
        patch.setattr(running, "save_classic", killed)
        patch.setattr(sys, "argv", [*shlex.split(command.format("killed"))])
        runpy.run_path(str(CLASSIC / "main.trainer.py"), run_name="__main__")
    code, _, lines = run(command.format("killed"))
    assert code == 0
    assert any("resuming after step 3" in message for message in messages(lines, "attar.training.fit"))
    whole, resumed = (read_weights(home / f"output_root_dir/{name}/gs4.pkl") for name in ("whole", "killed"))
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)

    stamp = (home / "output_root_dir/killed/gs4.pkl").stat().st_mtime_ns
    _, _, lines = run(command.format("killed"))
    assert any("trained before" in message for message in messages(lines))
    assert (home / "output_root_dir/killed/gs4.pkl").stat().st_mtime_ns == stamp
    (home / "output_root_dir/killed/gs4.pkl").unlink()
    assert run(command.format("killed"))[0] == 0
    assert (home / "output_root_dir/killed/gs4.pkl").is_file()
