"""benchmarks/distill_speed.py: what it starts from, how laps are counted, how figures follow from them."""

import importlib
import sys
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def bench():
    """``bench(name)`` imports a module of benchmarks/."""
    paths = [str(ROOT / "benchmarks"), str(ROOT / "classic")]
    before = set(sys.modules)
    sys.path[:0] = paths
    yield importlib.import_module
    for path in paths:
        sys.path.remove(path)
    for name in set(sys.modules) - before:
        if name.split(".")[0] in ("distilling", "peers", "original", "distill_speed"):
            del sys.modules[name]


def lap(cpu_s):
    return {"cpu_s": cpu_s, "wall_s": 2 * cpu_s, "setup_cpu_s": 7.0}


def test_ratios_are_paired_by_round(bench):
    figures = bench("distilling.figures")
    laps = {"textbrewer": [lap(8), lap(12), lap(8)], "attar": [lap(1), lap(1), lap(2)]}
    found = figures.figures_of(laps, steps=4)
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
    found = figures.figures_of({"classic": [lap(2)]}, steps=1)
    assert "times_reference" not in found["classic"]
    assert figures.speed_table(found)[-1].endswith("| 0.5 |  | 7 |")


def test_every_side_has_a_title(bench):
    assert set(bench("distilling.sides").TRAININGS) == set(bench("distilling.figures").TITLES)


def test_a_lap_ends_when_its_last_step_is_done(bench):
    sides = bench("distilling.sides")
    steps, laps = [], []
    watch = sides.Watch(lambda: None, lambda: laps.append(len(steps)), 3)
    loader = sides._Watched(torch.utils.data.DataLoader(torch.arange(8), 2), watch)
    for _epoch in range(2):
        for batch in loader:
            steps.append(batch)
    assert laps == [3, 6]
    assert len(steps) == 8


def test_the_command_is_that_of_the_readme(bench, tmp_path):
    args = bench("distilling.sides").arguments(tmp_path, tmp_path / "out")
    settings = bench("original.translate").to_recipe(args, []).distill
    assert [match.preset for match in settings.matches] == ["L4t_hidden_mse", "L4_hidden_smmd"]
    assert (settings.temperature, settings.batch_size, settings.precision) == (8, 24, "fp32")
    assert (settings.cache, args.max_seq_length) == ("none", 70)
    cached = bench("distilling.sides").arguments(tmp_path, tmp_path / "out", "--teacher_cached")
    assert bench("original.translate").to_recipe(cached, []).distill.cache == "features"
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
