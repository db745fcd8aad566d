"""benchmarks/strength.py: its plan can be trained, its queue is shared, its tables hold the scores."""

import numpy as np
import pytest

from attar.pipeline import prepare
from attar.recipe.load import make_recipe
from attar.records.prepared_folder import load_split


@pytest.fixture
def plan(bench, tmp_path, monkeypatch):
    monkeypatch.setenv("ATTAR_DATA", str(tmp_path))
    monkeypatch.setenv("STRENGTH", str(tmp_path))
    return bench("ablation.plan").Plan(tmp_path, [20, 21])


@pytest.fixture
def model(bench):
    return bench("ablation.plan").Model


def test_the_script_starts(bench):
    assert callable(bench("strength").main)


def test_every_model_of_the_plan_has_a_valid_recipe(plan, model):
    for dataset in plan.tree["sets"]:
        for one in plan.models(dataset):
            recipe = plan.recipe(one)
            assert recipe.seed == one.seed
            start = "random" if one.row == "alone_random" else plan.row(one.row).get("start", "layers")
            assert recipe.student.start == start
            if start == "pretrained":
                pretrained = plan.pretrained(one)
                assert recipe.student.from_checkpoint == str(plan.folder(pretrained))
                assert plan.data(dataset) in plan.covered(pretrained)
                assert plan.pretraining(pretrained).student.preset == one.shape
    best = plan.recipe(model("cars", "best", "2x128"))
    assert best.distill.transfer
    assert best.distill.teacher_weights == (0.7, 0.3)
    assert best.student.preset == "2x128"
    alone = plan.recipe(model("cars", "alone", "T4-tiny"))
    assert (alone.distill.soft_weight, alone.distill.hard_weight) == (0, 1)
    for row, others in plan.tree["differences"].items():
        assert {row, *others} <= {*plan.tree["rows"], *plan.tree["ensembles"], "teacher", "linear"}


def test_work_that_another_process_claimed_is_left_to_it(bench, tmp_path):
    claimed = bench("ablation.training").claimed
    with claimed(tmp_path / "a") as mine:
        assert mine
        with claimed(tmp_path / "a") as second, claimed(tmp_path / "b") as other:
            assert (second, other) == (False, True)
    with claimed(tmp_path / "a") as again:
        assert again


def test_the_labels_of_a_dataset_are_cut_once(bench, plan, tmp_path):
    source = tmp_path / "aste_chinese_zhang" / "train.txt"
    source.parent.mkdir()
    source.write_text("味 道 好####[([0, 1], [2], 'POS')]\n味 道 差####[([0, 1], [2], 'NEG')]\n", "utf-8")
    plan.tree["sets"]["restaurants"]["terms"] = 1
    folder = tmp_path / "restaurants"
    make_sources = bench("ablation.sources").make_sources
    make_sources(plan, "restaurants")
    assert (folder / "labelled.txt").read_text("utf-8") == source.read_text("utf-8").splitlines(True)[0]
    assert (folder / "unlabelled.txt").read_text("utf-8") == "味道差\n"
    source.unlink()
    make_sources(plan, "restaurants")


@pytest.fixture
def predicted(bench, plan, model, make_rows, tmp_path):
    """Data of a dataset, and logits for both splits: ``predicted(model, wrong)``, 1 in ``wrong`` is."""
    recipe = plan.recipe(model("makeup", "teacher"))
    sources = [str(make_rows(tmp_path / "rows.jsonl", 300))]
    rows = make_recipe({"name": "rows", "task": "cosmetics", "data": {"sources": sources}})
    prepare(recipe, rows.data.sources, plan.data("makeup"))
    task = recipe.resolved_task()

    def write(model, wrong):
        for split in ("dev", "test"):
            gold = bench("ablation.training").gold_of(task, load_split(plan.data("makeup"), split))
            labels = np.where(np.arange(len(gold)) % wrong == 0, (gold + 1) % 3, gold)
            path = plan.logits_path(model, split)
            path.parent.mkdir(parents=True, exist_ok=True)
            np.save(path, 4 * np.eye(3, dtype=np.float32)[labels])

    return write


@pytest.mark.usefixtures("narrow_search")
def test_a_table_has_means_spreads_and_paired_differences(bench, plan, model, predicted):
    predicted(model("makeup", "teacher"), 10_000)
    for seed, wrong in ((20, 4), (21, 5)):
        predicted(model("makeup", "both", "T4-tiny", seed), wrong)
        predicted(model("makeup", "alone", "T4-tiny", seed), 2)
    lines = bench("ablation.tables").dataset_table(plan, "makeup")
    heads, _, *rows = ([cell.strip() for cell in line.split("|")[1:-1]] for line in lines if line[:1] == "|")
    scores = {row[0]: dict(zip(heads, row, strict=True)) for row in rows}
    assert heads[:2] == ["T4-tiny", "macro-F1 / accuracy"]
    assert {one["title"] for one in plan.tree["baselines"].values()} <= {*scores}
    assert float(scores[plan.title("teacher")][heads[1]].split("/")[0]) > 95
    assert "±" in scores[plan.title("both")][heads[1]]
    assert plan.title("teachers") in scores
    assert float(scores[plan.title("both")]["- alone"].split()[0]) > 10
    assert scores[plan.title("alone")]["- linear"] == ""
