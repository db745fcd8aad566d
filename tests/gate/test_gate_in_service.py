"""Promote or keep: what is said of a new model beside the one in service."""

from __future__ import annotations

import pytest

from attar.errors import DataError, GateError, RecipeError
from attar.gate.in_service import InService, check_promoted, judge_promotion
from attar.task import Task

TINY = Task("tiny", ("坏", "中", "好"))


def found(value, low, high, num=500, num_seen=0):
    return {
        "macro_f1": {"value": value / 100, "low": low / 100, "high": high / 100},
        "num": num,
        "num_seen": num_seen,
    }


@pytest.mark.parametrize(
    ("figures", "min_gain", "refused", "decision", "said"),
    [
        (found(3, 1, 5), 0, False, "promote", "beats the one in service by 3.0 points"),
        (found(3, -1, 7), 0, False, "keep", "3.0 points of macro-F1 [−1.0, +7.0] above the one in service"),
        (found(-3, -5, -1), 0, False, "keep", "loses to the one in service by 3.0 points"),
        (found(3, 1, 5), 0.02, False, "keep", "; 2.0 are asked for"),
        (found(0, -0.8, 0.9), -0.01, False, "promote", "surely loses less than the 1.0 points allowed"),
        (found(3, 1, 5), 0, True, "keep", "The gate refuses the new model"),
        (found(9, 5, 12, num=29), 0, False, "keep", "29 test examples can be compared, and 30 are needed"),
        (found(3, 1, 5, num_seen=40), 0, False, "promote", "40 test examples are left out"),
        (
            {"macro_f1": None, "num": 0, "num_seen": 50}, 0, False, "keep", "0 test examples can be compared",
        ),
    ],
)  # fmt: skip
def test_the_decision(figures, min_gain, refused, decision, said):
    verdict = judge_promotion(figures, min_gain, is_refused=refused)
    assert verdict["decision"] == decision
    assert said in verdict["said"]
    if decision == "keep":
        with pytest.raises(GateError, match=r"keep runs/old: .*The new model is whole in runs/new/artifact"):
            check_promoted(verdict, "runs/old", "runs/new/artifact")
    else:
        check_promoted(verdict, "runs/old", "runs/new/artifact")
    check_promoted(None, "", "")


def test_the_model_in_service_is_found_by_run_or_artifact(tmp_path, artifact_folder):
    run = tmp_path / "old"
    run.mkdir()
    (run / "artifact").symlink_to(artifact_folder)
    (run / "data").mkdir()
    (run / "data" / "train.json").write_text("[]", "utf-8")
    by_run, by_artifact = (InService.find(path, TINY, 0.0) for path in (run, run / "artifact"))
    assert by_run == by_artifact
    assert by_run.artifact == run / "artifact"
    assert by_run.trained_on == (run / "data" / "train.json",)
    assert InService.find(artifact_folder, TINY, 0.0).trained_on == ()
    before = by_run.to_json()
    (run / "data" / "train.json").write_text("[1]", "utf-8")
    assert by_run.to_json() != before


def test_what_is_no_model_in_service(tmp_path, artifact_folder):
    with pytest.raises(RecipeError, match="no artifact there; name the folder of a run"):
        InService.find(tmp_path, TINY, 0.0)
    with pytest.raises(RecipeError, match="this is the run that is to be made"):
        InService.find(artifact_folder, TINY, 0.0, artifact_folder.parent)
    with pytest.raises(DataError, match="its labels are 坏, 中, 好, those of the new model 坏, 好"):
        InService.find(artifact_folder, Task("other", ("坏", "好")), 0.0)
