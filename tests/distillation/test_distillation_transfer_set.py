"""Unlabelled reviews on their way to the student: the teachers are asked once, and it is written down."""

import json
from dataclasses import replace

import numpy as np
import pytest

from attar.distillation.data.transfer_set import transfer_set
from attar.distillation.settings import StudentSettings
from attar.distillation.stage import distill
from attar.distillation.teachers import cached_logits, load_teacher
from attar.errors import DataError, RecipeError
from attar.models.checkpoint import load_checkpoint, save_checkpoint
from attar.pipeline import prepare
from attar.recipe.load import Recipe, SourceRecipe, make_recipe
from attar.records.prepared_folder import load_split

FIT = {"precision": "fp32", "dropout": 0.0, "epochs": 1}


@pytest.fixture
def experiment(tmp_path, encoder_folder, make_rows, make_checkpoint):
    """``experiment(**unlabelled)``: a recipe whose reviews are ``reviews.txt``, and a prepared folder."""
    texts = [f"{a}{b}毛孔，口红{said}色服" for a in "白红润香粉底" for b in "贴膏妆液" for said in "好差是"]
    (tmp_path / "reviews.txt").write_text("\n".join(texts), "utf-8")
    save_checkpoint(make_checkpoint(), tmp_path / "teacher")

    def make(**keys):
        unlabelled = {"sources": (SourceRecipe(path=str(tmp_path / "reviews.txt")),)} | keys
        return Recipe(
            name="tiny",
            data={"near_duplicate": 1.0},
            encode={"max_tokens": 24},
            train=FIT | {"encoder": str(encoder_folder)},
            student={"layers": 1, "hidden": 16, "heads": 2, "intermediate": 32, "vocab_margin": 0},
            distill=FIT | {"unlabelled": unlabelled},
        )

    sources = [SourceRecipe(path=str(make_rows(tmp_path / "rows.jsonl", 40)))]
    return make, prepare(make(), sources, tmp_path / "data")


def test_the_student_learns_from_it_and_the_report_adds_up(tmp_path, experiment):
    make, data = experiment
    recipe, out = make(min_confidence=0.0, balance="none", limit=20), tmp_path / "student"
    distill(StudentSettings.taught(recipe), data, [tmp_path / "teacher"], out)
    written = json.loads((out / "unlabelled.json").read_text("utf-8"))
    assert written["counts"]["asked"] == 50 == sum(written["sure"].values())
    assert written["num_kept"] == sum(written["kept"].values())
    assert 17 <= written["num_kept"] <= 20  # each label's share is rounded down
    student = load_checkpoint(out)
    assert student.notes["num_train"] == len(load_split(data, "train")) + written["num_kept"]


def test_a_teacher_predicts_once(tmp_path, experiment):
    make, data = experiment
    calls = []
    teacher = load_teacher(tmp_path / "teacher", make().resolved_task())

    def predict(examples):
        calls.append(len(examples))
        return teacher.predict_logits(examples)

    settings = StudentSettings.taught(make(min_confidence=0.0, limit=20))
    found = transfer_set(settings, data, [replace(teacher, predict_logits=predict)], tmp_path / "out")
    num_dev = len(load_split(data, "dev"))
    assert sorted(calls) == sorted([50, num_dev])
    train = load_split(data, "train")
    folder = tmp_path / "again"
    logits = cached_logits(found.teachers[0], [*train, *found.examples], 3, folder)
    assert calls[2:] == [len(train)]
    np.testing.assert_allclose(logits[len(train) :], teacher.predict_logits(found.examples), atol=1e-5)
    assert all(example.label is None for example in found.examples)


def test_the_same_seed_gives_the_same_examples(tmp_path, experiment):
    make, data = experiment
    teacher = load_teacher(tmp_path / "teacher", make().resolved_task())

    def drawn(seed, out):
        recipe = make(min_confidence=0.0, limit=12).model_copy(update={"seed": seed})
        return [
            e.question
            for e in transfer_set(StudentSettings.taught(recipe), data, [teacher], tmp_path / out).examples
        ]

    assert drawn(1, "a") == drawn(1, "b") != drawn(2, "a")


def test_what_two_sources_say_is_learnt_once(tmp_path, experiment):
    make, data = experiment
    teacher = load_teacher(tmp_path / "teacher", make().resolved_task())
    recipe = make(min_confidence=0.0, balance="none")
    found = transfer_set(StudentSettings.taught(recipe), data, [teacher], tmp_path / "a").examples
    rows = [{"text": e.text, "term": e.term} for e in found[:7]]
    (tmp_path / "named.jsonl").write_text("\n".join(json.dumps(row) for row in rows), "utf-8")
    transfer = (SourceRecipe(path=str(tmp_path / "named.jsonl")),)
    recipe = recipe.model_copy(update={"distill": recipe.distill.model_copy(update={"transfer": transfer})})
    both = transfer_set(StudentSettings.taught(recipe), data, [teacher], tmp_path / "b").examples
    assert sorted(e.question for e in both) == sorted(e.question for e in found)


def test_teachers_that_are_not_confident_are_an_error(tmp_path, experiment):
    make, data = experiment
    teacher = load_teacher(tmp_path / "teacher", make().resolved_task())
    with pytest.raises(DataError, match=r"confident of none \(min_confidence = 1\); lower it"):
        transfer_set(StudentSettings.taught(make(min_confidence=1.0)), data, [teacher], tmp_path / "out")


def test_without_sources_nothing_is_read(tmp_path, experiment):
    make, _ = experiment
    found = transfer_set(
        StudentSettings.taught(make(sources=())), tmp_path / "nowhere", ["teacher"], tmp_path
    )
    assert found == ([], ["teacher"])


def test_the_recipe_of_unlabelled_reviews(tmp_path):
    tree = {"name": "r", "distill": {"unlabelled": {"sources": ["a.txt"], "terms": "terms.txt"}}}
    found = make_recipe(tree, folder=tmp_path).distill.unlabelled
    assert (found.sources[0].path, found.terms) == (str(tmp_path / "a.txt"), str(tmp_path / "terms.txt"))
    short = make_recipe({"name": "r", "distill": {"unlabelled": ["a.txt"]}}, folder=tmp_path)
    assert short.distill.unlabelled.sources[0].path == str(tmp_path / "a.txt")
    assert short.finetuning().unlabelled.sources == ()
    with pytest.raises(RecipeError, match="what has no label teaches nothing"):
        make_recipe({"name": "r", "distill": {"unlabelled": ["a.txt"], "soft_weight": 0}})
    with pytest.raises(RecipeError, match=r"did you mean 'distill.unlabelled.per_term'"):
        make_recipe({"name": "r", "distill": {"unlabelled": {"perterm": 3}}})


def test_rows_of_the_sources_without_a_label_are_learnt_from(tmp_path, experiment):
    """They are those that prepare rejected for want of a label; what is held out does not come back."""
    make, data = experiment
    rows = [json.loads(line) for line in (tmp_path / "rows.jsonl").read_text("utf-8").splitlines()]
    in_test = load_split(data, "test")[0].text
    new = [
        {"text": f"面霜{word}很{said}，口红好", "term": "面霜", "start": 0, "end": 2, "label": label}
        for word, said, label in (("真的", "香", ""), ("确实", "油", None), ("其实", "贵", "?"))
    ]
    held_out = {"text": in_test, "term": in_test[-1], "start": len(in_test) - 1, "end": len(in_test)}
    (tmp_path / "mixed.jsonl").write_text(
        "\n".join(json.dumps(row, ensure_ascii=False) for row in [*rows, *new, held_out | {"label": ""}]),
        "utf-8",
    )
    data = prepare(make(), [SourceRecipe(path=str(tmp_path / "mixed.jsonl"))], tmp_path / "mixed")
    teacher = load_teacher(tmp_path / "teacher", make().resolved_task())
    assert in_test in {example.text for example in load_split(data, "test")}
    settings = StudentSettings.taught(make(sources=(), min_confidence=0.0, balance="none"))
    found = transfer_set(settings, data, [teacher], tmp_path / "out").examples
    assert {(e.text, e.term, e.label) for e in found} == {(row["text"], "面霜", None) for row in new[:2]}
    written = json.loads((tmp_path / "out" / "unlabelled.json").read_text("utf-8"))
    assert written["counts"] == {"own_rows": 2}
    off = StudentSettings.taught(make(sources=(), own_rows=False))
    assert transfer_set(off, data, [teacher], tmp_path / "off").examples == []
    assert not (tmp_path / "off" / "unlabelled.json").exists()
