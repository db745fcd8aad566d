"""The table of runs on task and data alone, and the weights that default_recipe.py compares."""

import numpy as np
import pytest
import torch

from attar.metrics import scores
from attar.recipe.load import load_recipe
from attar.task import task_by_name
from attar.training.fit import DevScore

MODELS = ("tfidf", "finetuned", "teacher", "student", "student_int8")


def report(macro_f1):
    labels = {"消极": {"support": 30, "f1": 0.8}, "中性": {"support": 4, "f1": macro_f1}}
    model = {"macro_f1": macro_f1, "accuracy": 0.9, "labels": labels}
    difference = {"value": 0.021, "low": -0.01, "high": 0.05}
    return {
        "models": dict.fromkeys(MODELS, model),
        "paired_differences": {"tfidf": difference, "teacher": difference},
        "train_labels": {"消极": 1000, "中性": 234},
        "num_test": 34,
        "verdict": {"status": "accepted"},
    }


def test_the_table_says_what_was_run_and_what_was_not(bench):
    own = bench("own_labels")
    whole = {"examples_per_second": 300, "macro_f1": 0.81, "passed_on": 0.4}
    cascade = {"cascade": {"figures": {"test": {"cascade": whole, "2": {"examples_per_second": 120}}}}}
    first = own.Run("makeup", 20, report(0.5), cascade, (0.644, 0.834))
    lines = own.table([first, own.Run("makeup", 21, report(0.7)), own.Run("cars", 20, None)])
    row = next(line for line in lines if line.startswith("| makeup | 20 |"))
    parts = (
        "1,234, 34",
        "50.0 / 90.0",
        "+2.1 [-1.0, +5.0]",
        "中性 4, 50, 50",
        "81.0: 40%, 2.5x",
        "64.4 / 83.4",
    )
    for part in (*parts, "accepted"):
        assert part in row
    assert "makeup, mean macro-F1 of 2 seeds: tfidf 60.0" in "\n".join(lines)
    assert lines[-1] == "Not run: cars 20."


def test_the_recipe_of_the_own_reviews_names_task_and_data_alone(bench, tmp_path):
    own = bench("own_labels")
    recipe = load_recipe(own.recipe_of("own", tmp_path))
    assert recipe.student.start == "general"
    assert [path.name for path in map(own.Path, (source.path for source in recipe.data.sources))] == [
        "cosmetics"
    ]


@pytest.mark.parametrize("num_epochs", [2])
def test_weights_are_those_of_their_rule(bench, make_checkpoint, make_examples, num_epochs):
    """The bias is set to the number of the look, so each rule's weights say which looks they are of."""
    default = bench("default_recipe")
    checkpoint = make_checkpoint()
    seen = default.Weights(checkpoint, make_examples(12), num_epochs)
    bias = checkpoint.model.classifier.bias
    total = num_epochs * default._LOOKS
    for look in range(1, total + 1):
        with torch.no_grad():
            bias.fill_(float(look))
        seen.collect(look, DevScore(0.0))
    found = {rule: float(weights["classifier.bias"][0]) for rule, weights in seen.chosen().items()}
    assert found["last"] == total
    for tail in default._TAILS:
        assert found[f"mean of the last {tail:.1%}"] == np.mean(
            range(round(total * (1 - tail)) + 1, total + 1)
        )
    assert {found["best macro-F1"], found["best likelihood"]} <= {8.0, 16.0}


def test_what_a_start_gains_is_shown_by_run_and_in_the_mean(bench):
    starts, task = bench("student_start"), task_by_name("cosmetics")
    gold = np.array([0, 1, 2, 2])
    found = {
        "layers": scores(task, gold, np.eye(3)[[0, 1, 1, 1]]),
        "general": scores(task, gold, np.eye(3)[gold]),
    }
    runs = [
        starts.Run("makeup", seed, (1234, 4), found, starts.Interval(gain, gain - 0.01, gain + 0.01))
        for seed, gain in ((20, 0.04), (21, 0.06))
    ]
    lines = starts.table(runs)
    assert lines[2] == "| makeup | 20 | 1,234, 4 | 50.0 / 50.0 | 100.0 / 100.0 | +4.0 [+3.0, +5.0] |"
    assert lines[-1] == "makeup, mean gain of 2 seeds: +5.0."
