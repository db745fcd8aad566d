"""The distill stage: who may teach whom, and what the student's checkpoint says."""

import json

import numpy as np
import pytest

from attar.distillation.stage import distill, finetune_student
from attar.errors import RecipeError
from attar.models.checkpoint import load_checkpoint, predict_logits, save_checkpoint
from attar.recipe import Recipe
from attar.records.prepared import load_split
from attar.stages import prepare
from attar.task import Task

STUDENT = {"layers": 1, "hidden": 16, "heads": 2, "intermediate": 32, "vocab_margin": 5}
FIT = {"precision": "fp32", "dropout": 0.0, "learning_rate": 1e-3, "batch_size": 16, "epochs": 4}


@pytest.fixture
def recipe(encoder_folder):
    return Recipe(
        name="tiny",
        encode={"max_tokens": 24},
        train=FIT | {"encoder": str(encoder_folder)},
        student=STUDENT,
        distill=FIT | {"temperature": 2, "soft_weight": 1.0, "hard_weight": 0.0, "epochs": 20},
    )


@pytest.fixture
def data(tmp_path, recipe, make_rows):
    return prepare(recipe, [make_rows(tmp_path / "rows.jsonl", 90)], tmp_path / "data")


def test_the_student_comes_nearer_to_its_teacher(tmp_path, recipe, data, make_checkpoint):
    teacher = make_checkpoint(seed=6)
    save_checkpoint(teacher, tmp_path / "teacher")
    assert distill(recipe, data, tmp_path / "teacher", tmp_path / "student") == tmp_path / "student"
    student = load_checkpoint(tmp_path / "student")
    assert student.model.config.hidden_size == 16
    assert student.encoder.tokenizer.get_vocab_size() < teacher.encoder.tokenizer.get_vocab_size()
    assert student.encoder.spec.max_tokens == 24
    notes = student.notes
    assert (notes["role"], notes["num_train"]) == ("student", len(load_split(data, "train")))
    assert 0 <= notes["dev_score"] <= 1
    lines = [json.loads(line) for line in (tmp_path / "student" / "metrics.jsonl").read_text().splitlines()]
    losses = [line["loss/soft"] for line in lines if "loss/soft" in line]
    assert losses[-1] < 0.7 * losses[0]
    assert all(line["loss/hard"] == 0 for line in lines if "loss/hard" in line)
    assert not (tmp_path / "student" / "state").exists()
    assert list((tmp_path / "student" / "teacher-answers").glob("logits-*.npy"))


@pytest.mark.parametrize("labels", [("积极", "中性", "消极"), ("消极", "积极"), ("a", "b", "c")])
def test_other_labels_are_refused(tmp_path, recipe, data, make_checkpoint, labels):
    save_checkpoint(make_checkpoint(task=Task("other", labels)), tmp_path / "teacher")
    with pytest.raises(RecipeError, match="labels and their order must be the same") as error:
        distill(recipe, data, tmp_path / "teacher", tmp_path / "student")
    assert str(tmp_path / "teacher") in str(error.value)
    assert not (tmp_path / "student").exists()


def test_finetuned_is_the_same_student_without_a_teacher(tmp_path, recipe, data):
    finetune_student(recipe, data, tmp_path / "finetuned")
    student = load_checkpoint(tmp_path / "finetuned")
    assert student.model.config.hidden_size == 16
    assert student.notes["role"] == "finetuned"
    lines = [json.loads(line) for line in (tmp_path / "finetuned" / "metrics.jsonl").read_text().splitlines()]
    assert any(line.get("loss/hard", 0) > 0 for line in lines)
    assert not any("loss/soft" in line for line in lines)
    assert np.isfinite(predict_logits(student, load_split(data, "dev"))).all()
