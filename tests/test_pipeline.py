"""What each verb's result depends on, and on nothing else."""

import itertools
import shutil
import subprocess
import sys
from dataclasses import replace
from typing import get_args

import pytest

from attar import pipeline
from attar.errors import DataError, RecipeError
from attar.evaluation.settings import EvaluateSettings
from attar.evaluation.stage import evaluate_models
from attar.gate.conditions import Gate
from attar.gate.placing import place_candidate
from attar.io.files import write_json
from attar.model_card import model_card
from attar.models.checkpoint import save_checkpoint
from attar.recipe.load import Recipe, SourceRecipe
from attar.task import InputStyle


@pytest.fixture
def recipe(tmp_path, encoder_folder):
    shutil.copytree(encoder_folder, tmp_path / "encoder")
    return Recipe(name="r", train={"encoder": str(tmp_path / "encoder")})


@pytest.fixture
def data(tmp_path, recipe, make_rows):
    return pipeline.prepare(recipe, [make_rows(tmp_path / "rows.jsonl", 60)], tmp_path / "data")


@pytest.fixture
def asked(monkeypatch):
    """The verbs whose work was asked for; the work itself only leaves a file."""
    import attar.distillation.stage
    import attar.training.stage

    calls, numbers = [], itertools.count()

    def leaves(name):
        def work(*arguments):
            calls.append(name)
            (arguments[-1] / "weights").write_text(f"{name} {next(numbers)}")

        return work

    monkeypatch.setattr(attar.training.stage, "train", leaves("train"))
    monkeypatch.setattr(attar.distillation.stage, "distill", leaves("distill"))
    monkeypatch.setattr(attar.distillation.stage, "finetune_student", leaves("finetune"))
    return calls


def line(recipe, data):
    """Train, distill, finetune; what was done."""
    teacher = pipeline.train(recipe, data, data.parent / "teacher")
    pipeline.distill(recipe, data, teacher, data.parent / "student")
    pipeline.finetune(recipe, data, data.parent / "finetuned")


WITHOUT_TORCH = """
import logging, sys
from pathlib import Path
sys.modules["torch"] = None
from attar.pipeline import run_recipe
from attar.recipe.load import Recipe
logging.basicConfig(level=logging.INFO)
run_recipe(Recipe.model_validate_json(sys.argv[1]), Path(sys.argv[2]), print)
"""


@pytest.mark.usefixtures("asked", "narrow_search")
def test_a_finished_run_is_up_to_date_without_torch(recipe, tmp_path, make_rows, monkeypatch):
    def leave_a_file(*arguments):
        (arguments[3] / "result").write_text("")

    def leave_a_verdict(*arguments):
        verdict = {"status": "pass", "headline": "Good.", "conditions": []}
        write_json(arguments[3] / "report.json", {"verdict": verdict})

    monkeypatch.setattr(pipeline, "_export", leave_a_file)
    monkeypatch.setattr("attar.evaluation.stage.evaluate_models", leave_a_verdict)
    monkeypatch.setattr("attar.gate.placing._publish", lambda *arguments: leave_a_file(None, *arguments))
    matches = ({"preset": "auto"},)
    whole = {"data": {"sources": [make_rows(tmp_path / "rows.jsonl", 60)]}, "distill": {"matches": matches}}
    recipe = Recipe.model_validate({**recipe.model_dump(), **whole})
    at = pipeline.RunFolders.under(tmp_path)
    pipeline.prepare(recipe, recipe.data.sources, at.data)
    line(recipe, at.data)
    pipeline.fit_linear(recipe, at.data, at.linear)
    pipeline.export(recipe, at.student, at.data, at.candidate)
    models = pipeline.Models(at.teacher, at.student, at.finetuned, at.candidate)
    pipeline.evaluate(recipe, at.data, models, at.report)
    place_candidate(at.candidate, at.report, at.artifact, Gate())
    command = [sys.executable, "-c", WITHOUT_TORCH, recipe.model_dump_json(), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("up to date") == 8


@pytest.mark.parametrize(
    ("section", "change", "redone"),
    [
        ("train", {"epochs": 9}, ["train", "distill"]),
        ("encode", {"max_tokens": 33}, ["train", "distill", "finetune"]),
        ("student", {"layers": 1}, ["distill", "finetune"]),
        ("distill", {"epochs": 9}, ["distill", "finetune"]),
        ("distill", {"temperature": 9.0}, ["distill"]),
        ("distill", {"soft_weight": 0.3}, ["distill"]),
        ("export", {"max_flips": 0.5}, []),
        ("evaluate", {"bootstrap": 9}, []),
    ],
)
def test_a_setting_redoes_what_depends_on_it(recipe, data, asked, section, change, redone):
    line(recipe, data)
    assert asked == ["train", "distill", "finetune"]
    asked.clear()
    changed = recipe.model_copy(update={section: getattr(recipe, section).model_copy(update=change)})
    line(changed, data)
    assert asked == redone


def test_other_transfer_text_redoes_the_student_alone(tmp_path, recipe, data, asked, make_rows):
    source = make_rows(tmp_path / "more.jsonl", 10, seed=4)
    more = recipe.distill.model_copy(update={"transfer": (SourceRecipe(path=str(source)),)})
    recipe = recipe.model_copy(update={"distill": more})
    for count in (11, 12):
        line(recipe, data)
        asked.clear()
        make_rows(source, count, seed=4)
        line(recipe, data)
        assert asked == ["distill"]
    source.unlink()
    with pytest.raises(RecipeError, match=r"more.jsonl does not exist"):
        line(recipe, data)


def test_other_unlabelled_text_or_terms_redo_the_student_alone(tmp_path, recipe, data, asked):
    source, terms = tmp_path / "reviews.txt", tmp_path / "terms.txt"
    found = {"sources": (SourceRecipe(path=str(source)),), "terms": str(terms)}
    more = type(recipe.distill).model_validate(recipe.distill.model_dump() | {"unlabelled": found})
    recipe = recipe.model_copy(update={"distill": more})
    for path in (source, terms):
        source.write_text("口红不错\n", "utf-8")
        terms.write_text("睫毛膏\n", "utf-8")
        line(recipe, data)
        asked.clear()
        path.write_text("口红不行\n", "utf-8")
        line(recipe, data)
        assert asked == ["distill"]


def test_the_seed_and_the_task_redo_everything(recipe, data, asked):
    line(recipe, data)
    for update in ({"seed": 99}, {"encode": recipe.encode.model_copy(update={"window_chars": 9})}):
        asked.clear()
        line(recipe.model_copy(update=update), data)
        assert asked == ["train", "distill", "finetune"]


def test_other_weights_of_a_local_encoder_are_another_encoder(tmp_path, recipe, data, asked):
    line(recipe, data)
    with (tmp_path / "encoder" / "vocab.txt").open("a", encoding="utf-8") as stream:
        stream.write("新\n")
    asked.clear()
    line(recipe, data)
    assert asked == ["train", "distill", "finetune"]


def test_other_rows_are_other_data(tmp_path, recipe, data, asked, make_rows):
    line(recipe, data)
    make_rows(tmp_path / "rows.jsonl", 61)
    pipeline.prepare(recipe, [tmp_path / "rows.jsonl"], data)
    asked.clear()
    line(recipe, data)
    assert asked == ["train", "distill", "finetune"]


def test_data_of_other_labels_is_refused_before_any_work(tmp_path, recipe, data, asked):
    other = recipe.model_copy(update={"task": "components"})
    for verb in (pipeline.train, pipeline.finetune):
        with pytest.raises(
            RecipeError, match="prepared for the labels 消极, 中性, 积极; the recipe's task has 否, 是"
        ):
            verb(other, data, tmp_path / "out")
    with pytest.raises(RecipeError, match="prepared for the labels"):
        pipeline.evaluate(other, data, pipeline.Models(), tmp_path / "out")
    assert asked == []
    assert not (tmp_path / "out").exists()


def test_an_exports_data_must_have_the_checkpoints_labels(tmp_path, recipe, data, make_checkpoint):
    from attar.models.checkpoint import save_checkpoint
    from attar.task import task_by_name

    save_checkpoint(make_checkpoint(task=task_by_name("components")), tmp_path / "checkpoint")
    with pytest.raises(RecipeError, match="checkpoint has 否, 是"):
        pipeline.export(recipe, tmp_path / "checkpoint", data, tmp_path / "artifact")


def test_a_folder_that_is_not_prepared(tmp_path, recipe, asked):
    (tmp_path / "somewhere").mkdir()
    with pytest.raises(DataError, match="attar prepare"):
        pipeline.train(recipe, tmp_path / "somewhere", tmp_path / "teacher")
    assert asked == []


def test_a_model_of_other_labels_or_another_order_is_not_compared(tmp_path, make_rows, make_checkpoint):
    recipe = Recipe(name="r")
    data = pipeline.prepare(recipe, [make_rows(tmp_path / "rows.jsonl", 60)], tmp_path / "data")
    checkpoint = make_checkpoint()
    turned = replace(checkpoint.task, labels=checkpoint.task.labels[::-1])
    save_checkpoint(replace(checkpoint, task=turned), tmp_path / "model")
    with pytest.raises(DataError, match=r"model has the labels 积极, 中性, 消极, but the data has 消极"):
        evaluate_models(
            EvaluateSettings.of(recipe), data, {"student": tmp_path / "model"}, tmp_path / "report"
        )


@pytest.mark.parametrize("style", get_args(InputStyle))
def test_a_model_card_says_every_kind_of_input(style):
    card = {
        "task": {"name": "t", "labels": ["a", "b"]},
        "input": {"style": style, "max_tokens": 8, "window_chars": None},
        "precision": "int8", "layers": {}, "products": 1.0,
        "temperature": 1.0,
        "scores": {}, "parity": {}, "calibration": {}, "notes": {}, "versions": {},
    }  # fmt: skip
    assert "Input: " in model_card(card, 10)
