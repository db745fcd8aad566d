"""A new model against the one in service: figures, flips, page."""

from __future__ import annotations

import csv
import json
from dataclasses import replace

import numpy as np
import pytest

from attar.cli.tables import print_promotion
from attar.evaluation.against import against_figures, flips
from attar.evaluation.calibration import expected_calibration_error
from attar.evaluation.report import Against, Candidate, evaluate
from attar.recipe.load import EvaluateRecipe
from attar.task import BUILT_IN_TASKS, Example

pytestmark = pytest.mark.usefixtures("moments")

TASK = BUILT_IN_TASKS["cosmetics"]
QUICK = EvaluateRecipe(bootstrap=200, speed_examples=8, speed_repeats=1)
EXAMPLES = [
    Example(f"第{i}次买，遮瑕<b>", 4 + len(str(i)), 6 + len(str(i)), TASK.labels[i % 3], {"channel": "京东"})
    for i in range(120)
]
GOLD = np.array([TASK.index_of(example) for example in EXAMPLES])
PLACE = {example.text: i for i, example in enumerate(EXAMPLES)}


def probs_of(wrong):
    """Probs [N, C] that are wrong, by one label, on some examples."""
    said = np.where(np.isin(np.arange(120), wrong), (GOLD + 1) % 3, GOLD)
    probs = np.full((120, 3), 0.1, np.float32)
    probs[np.arange(120), said] = np.linspace(0.6, 0.8, 120)
    return probs


def candidate(name, wrong, **more):
    probs = probs_of(wrong)
    return Candidate(name, lambda some: probs[[PLACE[e.text] for e in some]], 10, list, name, **more)


BEFORE, AFTER = list(range(36)), [*range(6), 50, 51]


def test_the_figures_are_those_of_the_examples_that_it_has_not_seen():
    seen = {example.text for example in EXAMPLES[:12]}
    both = probs_of(BEFORE), probs_of(AFTER)
    found = against_figures(EXAMPLES, TASK, GOLD, both, seen=seen, repeats=200, seed=1)
    assert (found["num"], found["num_reviews"], found["num_seen"]) == (108, 108, 12)
    assert found["flips"] == {"broken": 2, "fixed": 24, "both_wrong": 0}
    assert (found["mcnemar"]["only_first"], found["mcnemar"]["only_second"]) == (2, 24)
    gap = found["macro_f1"]
    assert 0 < gap["low"] < gap["value"] < gap["high"]
    f1 = [np.mean([row[key] for row in found["labels"].values()]) for key in ("after", "before")]
    assert gap["value"] == pytest.approx(f1[0] - f1[1])
    assert sum(row["n"] for row in found["labels"].values()) == 108
    listed = flips(EXAMPLES, TASK, both, seen)
    assert [flip.kind for flip in listed] == ["broken"] * 2 + ["fixed"] * 24
    assert [flip.example.text[:4] for flip in listed[:2]] == ["第51次", "第50次"]  # the surest first


def test_nothing_is_said_where_all_has_been_seen():
    seen = set(PLACE)
    both = probs_of(BEFORE), probs_of(AFTER)
    found = against_figures(EXAMPLES, TASK, GOLD, both, seen=seen, repeats=20, seed=1)
    assert (found["num"], found["num_seen"], found["macro_f1"]) == (0, 120, None)
    assert flips(EXAMPLES, TASK, both, seen) == []


@pytest.mark.parametrize(("wrong", "decision"), [(AFTER, "promote"), (BEFORE[:34], "keep")])
def test_report_page_and_console_say_the_same(tmp_path, capsys, wrong, decision):
    models = [candidate("student_int8", wrong), candidate("in_service", BEFORE)]
    against = Against("runs/<old>/artifact", "abc", (), 0.0)
    report = evaluate(models, EXAMPLES, TASK, QUICK, title="t", out=tmp_path, against=against)
    found = json.loads((tmp_path / "report.json").read_text("utf-8"))["against"]
    assert found == report["against"]
    assert (found["decision"], found["version"]) == (decision, "abc")
    assert print_promotion(tmp_path) == found
    said = capsys.readouterr().out
    assert said.startswith(f"against:   {decision}: {found['said']}")
    page = (tmp_path / "report.html").read_text("utf-8")
    assert found["said"] in page
    assert "runs/&lt;old&gt;/artifact" in page
    assert "遮瑕<b>" not in page
    with (tmp_path / "flips.csv").open(encoding="utf-8-sig", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == sum(found["flips"].values())
    assert {row["kind"] for row in rows} == {kind for kind, num in found["flips"].items() if num}
    assert all(row["term"] == "遮瑕" and row["channel"] == "京东" for row in rows)


def test_without_a_model_in_service_nothing_is_said_of_one(tmp_path, capsys):
    report = evaluate([candidate("student_int8", AFTER)], EXAMPLES, TASK, QUICK, title="t", out=tmp_path)
    assert report["against"] is None
    assert print_promotion(tmp_path) is None
    assert capsys.readouterr().out == ""
    assert not (tmp_path / "flips.csv").exists()


def test_calibration_is_shown_before_and_after_the_temperature(tmp_path):
    sure = np.array(probs_of(AFTER))
    sure[sure > 0.5] = 0.999
    sure[sure < 0.5] = 0.0005
    small = candidate("student_int8", AFTER)
    small = replace(small, temperature=2.5, uncalibrated=lambda some: sure[[PLACE[e.text] for e in some]])
    report = evaluate([small], EXAMPLES, TASK, QUICK, title="t", out=tmp_path)
    model = report["models"]["student_int8"]
    before = model["uncalibrated"]
    assert before["temperature"] == 2.5
    assert before["ece"] == pytest.approx(expected_calibration_error(GOLD, sure))
    assert before["ece"] != pytest.approx(model["ece"])
    assert sum(part["count"] for part in before["reliability"]) == 120
    page = (tmp_path / "report.html").read_text("utf-8")
    assert "Before: temperature 1" in page
    assert "After: temperature 2.50" in page
    assert f"calibration error {100 * before['ece']:.1f} points" in page
    plain = evaluate([candidate("student_int8", AFTER)], EXAMPLES, TASK, QUICK, title="t", out=tmp_path)
    assert plain["models"]["student_int8"]["uncalibrated"] is None
    assert "Before: temperature 1" not in (tmp_path / "report.html").read_text("utf-8")
