"""benchmarks/distill_speed.py: what it starts from, how laps are counted, how figures follow from them."""

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from attar.errors import AttarError
from attar.models.checkpoint import batch_to

ROOT = Path(__file__).resolve().parents[2]


def lap(cpu_s):
    return {"cpu_s": cpu_s, "wall_s": 2 * cpu_s, "setup_cpu_s": 7.0}


def test_ratios_are_paired_by_round(bench):
    figures = bench("distilling.figures")
    laps = {"textbrewer": [lap(8), lap(12), lap(8)], "attar": [lap(1), lap(1), lap(2)]}
    found = figures.step_figures(laps, steps=4)
    assert found["textbrewer"]["cpu_s_per_step"] == {"median": 2, "low": 2, "high": 3}
    assert found["attar"]["wall_s_per_step"]["median"] == 0.5
    assert found["attar"]["steps_per_cpu_s"] == 3  # 12 steps in 4 s
    assert found["attar"]["times_reference"] == {"median": 8, "low": 4, "high": 12, "overall": 7}
    row = figures.speed_table(found)[-1]
    assert row == (
        "| attar's defaults: logits, no matches | 0.25 (0.25-0.5) | 0.5 | 3 | 7.0 (4.0-12.0) | 7 |"
    )


def test_without_textbrewer_there_are_no_ratios(bench):
    figures = bench("distilling.figures")
    found = figures.step_figures({"classic": [lap(2)]}, steps=1)
    assert "times_reference" not in found["classic"]
    assert figures.speed_table(found)[-1].endswith("| 0.5 |  | 7 |")


def test_every_side_has_a_title(bench):
    assert set(bench("distilling.sides").TRAININGS) == set(bench("distilling.figures").TITLES)


def test_a_lap_ends_when_its_last_step_is_done(bench):
    steps, laps = [], []
    watch = SimpleNamespace(steps=3, lap=lambda _score: laps.append(len(steps)))
    counted = bench("distilling.sides").lap_counter(watch, lambda: None)
    for step in range(8):
        steps.append(counted(step))
    assert laps == [3, 6]
    assert steps == list(range(8))


def test_the_command_is_that_of_the_readme(bench, tmp_path):
    args = bench("distilling.sides").arguments(tmp_path, tmp_path / "out")
    settings = bench("original.translate").to_recipe(args, [], marks=True).distill
    assert [match.preset for match in settings.matches] == ["L4t_hidden_mse", "L4_hidden_smmd"]
    assert (settings.temperature, settings.batch_size, settings.precision) == (8, 24, "fp32")
    assert (settings.cache, args.max_seq_length) == ("none", 70)
    cached = bench("distilling.sides").arguments(tmp_path, tmp_path / "out", "--teacher_cached")
    assert bench("original.translate").to_recipe(cached, [], marks=True).distill.cache == "features"
    script = (ROOT / "classic" / "run_distill_T4tiny.sh").read_text("utf-8")
    for flag in bench("distilling.files").readme_command(tmp_path, tmp_path):
        assert not flag.startswith("--") or flag in script


def test_an_unknown_side_is_named(bench, tmp_path, monkeypatch):
    script = bench("distill_speed")
    monkeypatch.setattr(
        sys, "argv", ["distill_speed.py", "--out", str(tmp_path), "--sides", "attar,textbruwer"]
    )
    with pytest.raises(SystemExit, match="unknown textbruwer; known: textbrewer, classic"):
        script.main()


def scored_lap(cpu_s, score):
    return lap(cpu_s) | {"score": score}


def test_time_to_a_score_counts_from_the_start(bench):
    figures = bench("distilling.figures")
    laps = {
        "textbrewer": [scored_lap(50, 0.4), scored_lap(50, 0.7), scored_lap(50, 0.6)],
        "attar": [scored_lap(3, 0.65), scored_lap(3, 0.5)],
    }
    found = figures.score_figures(laps, [0.6, 0.7])
    assert found["textbrewer"]["cpu_s"] == [107, 107]  # 7 before the first step
    assert found["attar"]["cpu_s"] == [10, None]
    assert found["attar"]["curve"] == [[10, 0.65], [13, 0.5]]
    lines = figures.score_table(found, [0.6, 0.7])
    assert lines[0] == "| | CPU s to 60 | CPU s to 70 | of it before the first step | best on dev |"
    assert lines[-1] == "| attar's defaults: logits, no matches | 10 (10.7x) | not reached | 7 | 65.0 |"
    assert "(" not in figures.score_table({"attar": found["attar"]}, [0.6, 0.7])[-1]


def test_twice_the_width_gives_the_same_logits(bench, make_checkpoint, make_examples):
    checkpoint = make_checkpoint()
    wide = bench("distilling.files").doubled(checkpoint.model)
    assert wide.config.hidden_size == 2 * checkpoint.model.config.hidden_size
    inputs = batch_to(checkpoint, checkpoint.encoder.encode(make_examples(5)))
    with torch.no_grad():
        torch.testing.assert_close(wide(**inputs).logits, checkpoint.model(**inputs).logits)
    with pytest.raises(AttarError, match="expected a BERT classifier"):
        bench("distilling.files").doubled(make_checkpoint("electra").model)


def test_a_score_needs_data_and_a_teacher(bench, tmp_path, monkeypatch):
    script = bench("distill_speed")
    monkeypatch.setattr(sys, "argv", ["distill_speed.py", "--out", str(tmp_path), "--to-score", "0.6"])
    with pytest.raises(SystemExit, match="needs --data and --teacher"):
        script.main()
