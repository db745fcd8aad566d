"""benchmarks/strength.py: its plan can be trained, its queue is shared, its tables say what answers say."""

import importlib
import sys
from pathlib import Path

import numpy as np
import pytest

from attar.pipeline import prepare
from attar.recipe.load import make_recipe
from attar.records.prepared_folder import load_split

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture(scope="module")
def strength():
    sys.path.insert(0, str(BENCHMARKS))
    yield importlib.import_module("strength")
    sys.path.remove(str(BENCHMARKS))
    for name in [n for n in sys.modules if n.split(".")[0] in ("peers", "strength")]:
        del sys.modules[name]


@pytest.fixture
def plan(strength, tmp_path, monkeypatch):
    monkeypatch.setenv("ATTAR_DATA", str(tmp_path))
    monkeypatch.setenv("STRENGTH", str(tmp_path))
    return strength.Plan(tmp_path, [20, 21])


def test_every_model_of_the_plan_has_a_valid_recipe(strength, plan):
    for of in plan.tree["sets"]:
        for model in plan.models(of):
            recipe = plan.recipe(model)
            assert recipe.seed == model.seed
            assert recipe.student.start == (
                "pretrained"
                if plan.row(model.row).get("start") == "general"
                else "random"
                if model.row == "alone_random"
                else "layers"
            )
            if recipe.student.start == "pretrained":
                begun = plan.begun(model)
                assert recipe.student.from_checkpoint == str(plan.folder(begun))
                assert plan.data(of) in plan.covered(begun)
                assert plan.general(begun).student.preset == model.shape
    best = plan.recipe(strength.Model("cars", "best", "2x128"))
    assert best.distill.transfer
    assert best.distill.teacher_weights == (0.7, 0.3)
    assert best.student.preset == "2x128"
    alone = plan.recipe(strength.Model("cars", "alone", "T4-tiny"))
    assert (alone.distill.soft_weight, alone.distill.hard_weight) == (0, 1)
    for pair in plan.tree["differences"]:
        assert {*pair} <= {*plan.tree["rows"], *plan.tree["mixtures"], *plan.tree["teachers"], "linear"}


def test_work_that_another_process_claimed_is_left_to_it(strength, tmp_path):
    with strength.claimed(tmp_path / "a") as mine:
        assert mine
        with strength.claimed(tmp_path / "a") as second, strength.claimed(tmp_path / "b") as other:
            assert (second, other) == (False, True)
    with strength.claimed(tmp_path / "a") as again:
        assert again


@pytest.fixture
def answered(strength, plan, make_rows, tmp_path):
    """Data of a set, and answers on both splits: ``answered(model, wrong)``, every ``wrong``-th at fault."""
    recipe = plan.recipe(strength.Model("makeup", "teacher"))
    rows = make_recipe(
        {
            "name": "rows",
            "task": "cosmetics",
            "data": {"sources": [str(make_rows(tmp_path / "rows.jsonl", 300))]},
        }
    )
    prepare(recipe, rows.data.sources, plan.data("makeup"))
    task = recipe.resolved_task()

    def answer(model, wrong):
        for split in ("dev", "test"):
            gold = strength.gold_of(task, load_split(plan.data("makeup"), split))
            said = np.where(np.arange(len(gold)) % wrong == 0, (gold + 1) % 3, gold)
            path = strength.answers_path(plan, model, split)
            path.parent.mkdir(parents=True, exist_ok=True)
            np.save(path, 4 * np.eye(3, dtype=np.float32)[said])

    return answer


@pytest.mark.usefixtures("narrow_search")
def test_a_table_has_means_spreads_and_paired_differences(strength, plan, answered):
    Model = strength.Model  # noqa: N806
    answered(Model("makeup", "teacher"), 10_000)
    for seed, wrong in ((20, 4), (21, 5)):
        answered(Model("makeup", "both", "T4-tiny", seed), wrong)
        answered(Model("makeup", "alone", "T4-tiny", seed), 2)
    lines = strength.table(plan, "makeup")
    cells = {line.split("|")[1].strip(): line for line in lines if line.startswith("| ")}
    baselines = {one["says"] for one in plan.tree["baselines"].values()}
    assert baselines <= {*cells}
    teacher = plan.tree["teachers"]["teacher"]["says"]
    assert float(cells[teacher].split("|")[2].split("/")[0]) > 95
    assert "±" in cells[plan.tree["rows"]["both"]["says"]]
    mixed = plan.tree["mixtures"]["teachers"]["says"]
    assert mixed in cells
    pairs = [line for line in lines if " minus " in line]
    assert any(line.startswith(f"T4-tiny: {plan.tree['rows']['both']['says']} minus") for line in pairs)
    gained = next(line for line in pairs if plan.tree["rows"]["alone"]["says"] in line.split(" minus ")[1])
    assert float(gained.split(": ")[-1].split()[0]) > 10
