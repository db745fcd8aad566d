"""The README's three steps, as typed, on files of both generations; and a model without marks all the way."""

import json
import re
import runpy
import shlex
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from fastapi.testclient import TestClient

from attar.classic.routes import create_classic_app
from attar.classic.weights import read_weights
from attar.models.checkpoint import load_checkpoint, predict_logits
from attar.serving.limits import CLASSIC_LIMITS
from attar.task import Example

CLASSIC = Path(__file__).parents[2] / "classic"
STEPS = (
    "python main.trainer.py --vocab_file mac_bert_model/vocab.txt --data_dir data_root_dir/cosmetics --bert_config_file_T none --bert_config_file_S mac_bert_model/config.json --init_checkpoint_S mac_bert_model/pytorch_model.bin --do_lower_case --do_train --do_predict --max_seq_length 70 --train_batch_size 24 --random_seed 9580 --num_train_epochs 6 --learning_rate 2e-5 --ckpt_frequency 1 --schedule slanted_triangular --s_opt1 30 --output_dir output_root_dir/mnli_base_lr2e3_bs24_teacher --gradient_accumulation_steps 1 --task_name cosmetics --output_att_sum false --output_encoded_layers false --output_attention_layers false",  # noqa: E501 - as typed
    "python main.distill.py --vocab_file mac_bert_model/vocab.txt --data_dir data_root_dir/cosmetics --bert_config_file_T mac_bert_model/config.json --bert_config_file_S config/chinese_bert_config_L4t.json --tuned_checkpoint_T trained_teacher_model/gs3024.pkl --load_model_type none --do_lower_case --do_train --do_predict --max_seq_length 70 --train_batch_size 24 --random_seed 9580 --num_train_epochs 40 --learning_rate 10e-5 --ckpt_frequency 1 --schedule slanted_triangular --s_opt1 30 --output_dir output_root_dir/t8_TbaseST4tiny_AllSmmdH1_lr10e40_bs24 --gradient_accumulation_steps 1 --temperature 8 --task_name cosmetics --output_att_sum false --output_encoded_layers true --output_attention_layers false --matches L4t_hidden_mse L4_hidden_smmd",  # noqa: E501
    "python main.distill.py  --vocab_file mac_bert_model/vocab.txt --data_dir data_root_dir/cosmetics --bert_config_file_T mac_bert_model/config.json --bert_config_file_S config/chinese_bert_config_L4t.json --tuned_checkpoint_T trained_teacher_model/gs3024.pkl --load_model_type all --tuned_checkpoint_S distil_model/gs8316.pkl  --do_predict --max_seq_length 70  --random_seed 9580 --output_dir output_root_dir/t8_TbaseST4tiny_eval  --temperature 8 --task_name cosmetics",  # noqa: E501
)
LINE = re.compile(r"\d{4}/\d\d/\d\d \d\d:\d\d:\d\d - (INFO|WARNING|ERROR) - ([\w.]+) -  (.*)")
BAR = re.compile(r"Evaluating: 100% (\d+)/\1 \[\d\d:\d\d<00:00, +\d+\.\d\dit/s\]")
NUMBERS = {"消极": "-1", "中性": "0", "积极": "1"}


def write_rows(folder, stem, examples, generation):
    """The same examples as each generation had them; capitals, and letters next to the keyword."""
    folder.mkdir(parents=True, exist_ok=True)
    made = [(f"ABC{e.text[: e.start]}BEST", "Vc0", f"X{e.text[e.end :]}", e.label) for e in examples]
    if generation == "three-line":
        lines = "".join(f"{left}$T$ {right}\n{term}\n{NUMBERS[label]}\n" for left, term, right, label in made)
        (folder / f"{stem}.txt").write_text(lines, "utf-8")
        return
    rows = [
        [f"{left}{term}{right}", term, len(left), len(left) + len(term), label, "", ""]
        for left, term, right, label in made
    ]
    (folder / f"{stem}.json").write_text(json.dumps(rows, ensure_ascii=False), "utf-8")


@pytest.fixture(scope="module", params=["three-line", "seven columns"])
def steps(request, tmp_path_factory, make_model, make_examples, encoder_folder):
    """What the three steps said, for each generation of files: (home, [(code, stdout, lines)])."""
    home = tmp_path_factory.mktemp("home")
    examples = make_examples(46)  # one step an epoch
    write_rows(home / "data_root_dir/cosmetics", "train", examples[:30], request.param)
    write_rows(home / "data_root_dir/cosmetics", "dev", examples[30:], request.param)
    model = make_model("bert", seed=3, num_hidden_layers=12)
    config = {k: v for k, v in model.config.to_dict().items() if k not in ("id2label", "label2id")}
    for folder in ("mac_bert_model", "config", "trained_teacher_model", "distil_model"):
        (home / folder).mkdir()
    (home / "mac_bert_model/config.json").write_text(json.dumps(config), "utf-8")
    (home / "mac_bert_model/vocab.txt").write_bytes((encoder_folder / "vocab.txt").read_bytes())
    torch.save(model.state_dict(), home / "mac_bert_model/pytorch_model.bin")
    small = config | {"num_hidden_layers": 4, "hidden_size": 16, "intermediate_size": 32}
    (home / "config/chinese_bert_config_L4t.json").write_text(json.dumps(small), "utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(home)
        patch.syspath_prepend(str(CLASSIC))
        said = [run(patch, STEPS[0])]
        move(home, "mnli_base_lr2e3_bs24_teacher/gs6", "trained_teacher_model/gs3024")
        said.append(run(patch, STEPS[1]))
        move(home, "t8_TbaseST4tiny_AllSmmdH1_lr10e40_bs24/gs40", "distil_model/gs8316")
        said.append(run(patch, STEPS[2]))
    return request.param, home, said


def move(home, source, target):
    for ending in ("pkl", "json"):
        (home / "output_root_dir" / f"{source}.{ending}").rename(home / f"{target}.{ending}")


def run(patch, command):
    import contextlib
    import io

    _, script, *argv = shlex.split(command)
    patch.setattr(sys, "argv", [script, *argv])
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), pytest.raises(SystemExit) as left:
        runpy.run_path(str(CLASSIC / script), run_name="__main__")
    return left.value.code, out.getvalue(), [found for line in err.getvalue().splitlines() if (
        found := LINE.fullmatch(line))]  # fmt: skip


def messages(lines):
    return [line[3] for line in lines]


def test_the_steps_of_the_readme_as_typed(steps):
    generation, home, said = steps
    assert [code for code, *_ in said] == [0, 0, 0], said
    marks = generation == "seven columns"
    shape = "a three-line file" if generation == "three-line" else "rows of seven columns"
    for _, _, lines in said[:2]:
        word = "with marks (_)" if marks else "without marks"
        assert any(m.startswith(f"keywords are read {word}: ") and shape in m for m in messages(lines))
    # The third says nothing of capitals, and the student was evaluated at the end of the second.
    told = messages(said[2][2])
    assert "--do_lower_case is not given, but texts are read lower-case: gs8316.json says so" in told
    out = home / "output_root_dir"
    figures = [
        re.findall(r"step: (\d+) \*\*\*\*\n acc = ([\d.]+)\n", path.read_text("utf-8"))
        for path in sorted(out.glob("*/eval_results-cosmetics.txt"))
    ]
    teacher, student, evaluated = figures
    assert (len(teacher), len(student), evaluated) == (6, 40, [("0", student[-1][1])])
    assert said[2][1].strip() == str({"acc": float(student[-1][1])})
    assert len([m for m in told if BAR.fullmatch(m)]) == 1
    card = json.loads((home / "distil_model/gs8316.json").read_text("utf-8"))
    assert (card["marks"], card["lower_case"], card["max_seq_length"]) == (marks, True, 70)
    assert all(torch.is_tensor(value) for value in read_weights(home / "distil_model/gs8316.pkl").values())
    assert "style" in (out / "t8_TbaseST4tiny_eval/recipe.toml").read_text("utf-8") or marks


def test_a_checkpoint_without_a_card_is_assumed_to_fit_the_rows(steps, monkeypatch):
    generation, home, said = steps
    monkeypatch.chdir(home)
    monkeypatch.syspath_prepend(str(CLASSIC))
    beside = home / "distil_model/gs8316.json"
    kept = beside.read_bytes()
    beside.unlink()
    try:
        code, stdout, lines = run(monkeypatch, STEPS[2])
    finally:
        beside.write_bytes(kept)
    assert (code, stdout) == (0, said[2][1])
    word = "with marks (_)" if generation == "seven columns" else "without marks"
    assert any(
        f"gs8316.pkl: no gs8316.json beside it says how it was trained; assumed to be trained {word}" in m
        for m in messages(lines)
    )
    vocab = "mac_bert_model/vocab.txt has no capitals"
    assert sum(vocab in m for m in messages(lines)) == 1


def dev_rows(home, generation):
    """[text, keyword, label] and the places of the dev rows, read without attar."""
    folder = home / "data_root_dir/cosmetics"
    if generation == "seven columns":
        rows = json.loads((folder / "dev.json").read_text("utf-8"))
        return [[row[0], row[1], row[4]] for row in rows], [row[2:4] for row in rows]
    lines = (folder / "dev.txt").read_text("utf-8").splitlines()
    labels = {number: label for label, number in NUMBERS.items()}
    groups = list(zip(lines[::3], lines[1::3], lines[2::3], strict=True))
    sides = [[part.strip() for part in text.partition("$T$")] for text, *_ in groups]
    rows = [[f"{a}{k}{b}", k, labels[n]] for (a, _, b), (_, k, n) in zip(sides, groups, strict=True)]
    places = [[len(a), len(a) + len(k)] for (a, *_), (_, k, _) in zip(sides, groups, strict=True)]
    return rows, places


def test_accuracy_is_equal_in_a_folder_and_in_a_service(steps, monkeypatch, tmp_path, caplog):
    generation, home, said = steps
    monkeypatch.chdir(home)
    monkeypatch.syspath_prepend(str(CLASSIC))
    accuracy = float(re.search(r"[\d.]+", said[2][1].partition(":")[2])[0])
    rows, places = dev_rows(home, generation)
    files = ["distil_model/gs8316.pkl", "config/chinese_bert_config_L4t.json", "mac_bert_model/vocab.txt"]
    from original.tool import run_tool

    convert = runpy.run_path(str(CLASSIC / "utils/convert_pkl.py"), run_name="tool")["main"]
    out = tmp_path / "folder"
    assert run_tool(convert, [files[0], str(out), "--config", files[1], "--vocab", files[2]]) == 0
    assert run_tool(convert, [files[0], str(tmp_path / "gs1.pkl"), "--old"]) == 0
    assert (tmp_path / "gs1.json").read_bytes() == (home / "distil_model/gs8316.json").read_bytes()
    checkpoint = load_checkpoint(out)
    examples = [Example(text, *place) for (text, *_), place in zip(rows, places, strict=True)]
    chosen = predict_logits(checkpoint, examples).argmax(1)
    right = [checkpoint.task.labels[at] == row[2] for at, row in zip(chosen, rows, strict=True)]
    assert sum(right) / len(right) == accuracy
    if generation == "three-line":  # read as the trainer read them, where the place is known and where not
        unplaced = [Example(text, 0, 0, second=keyword) for text, keyword, _ in rows]
        np.testing.assert_array_equal(
            predict_logits(checkpoint, examples), predict_logits(checkpoint, unplaced)
        )

    from original.service import models_of, read_flags

    defaults = runpy.run_path(str(CLASSIC / "api_absa.py"), run_name="api")["DEFAULTS"]
    models, close = models_of(read_flags(defaults, ["--model", *files, "--output_dir", str(tmp_path / "t")]))
    with TestClient(create_classic_app(models, limits=CLASSIC_LIMITS)) as client, caplog.at_level("INFO"):
        seven = [[*row[:2], *place, row[2], "", ""] for row, place in zip(rows, places, strict=True)]
        for sent in (rows, seven, [row[:5] for row in seven]):
            found = client.post("/api/predict_macbert", json={"data": sent}).json()
            right = [answer[0] == row[2] for answer, row in zip(found, rows, strict=True)]
            assert sum(right) / len(right) == accuracy
        found = client.post("/api/predict", json={"data": [row[:2] for row in rows]}).json()
        assert sum(a[0] == row[2] for a, row in zip(found, rows, strict=True)) / len(rows) == accuracy
    close()
    assert f"accuracy {accuracy:.4f} of {len(rows)} rows" in caplog.text


def test_marks_change_the_labels_of_a_model_trained_without(steps, monkeypatch):
    generation, home, _ = steps
    monkeypatch.chdir(home)
    monkeypatch.syspath_prepend(str(CLASSIC))
    logits = []
    from attar.classic.checkpoint import load_classic
    from attar.classic.files import ClassicFiles
    from attar.task import task_by_name

    rows, places = dev_rows(home, generation)
    examples = [Example(text, *place) for (text, *_), place in zip(rows, places, strict=True)]
    for marks in (None, True, False):
        files = ClassicFiles(
            home / "config/chinese_bert_config_L4t.json", home / "mac_bert_model/vocab.txt",
            home / "distil_model/gs8316.pkl", marks=marks,
        )  # fmt: skip
        logits.append(predict_logits(load_classic(files, task_by_name("cosmetics"), 70), examples))
    same, other = (1, 2) if generation == "seven columns" else (2, 1)
    assert (logits[0] == logits[same]).all()
    assert abs(logits[0] - logits[other]).max() > 1e-4
