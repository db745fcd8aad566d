"""Learning-rate factors against hand values."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from attar.errors import RecipeError
from attar.recipe.load import FitRecipe, load_recipe
from attar.training.schedules import schedule_factor

CLASSIC = (
    "warmup_linear",
    "warmup_cosine",
    "warmup_constant",
    "warmup_linear_release",
    "warmup_step",
    "slanted_triangular",
)


@pytest.mark.parametrize(
    ("name", "factors"),
    [
        ("linear", [1 / 3, 2 / 3, 1.0, 7 / 8, 6 / 8, 5 / 8, 4 / 8, 3 / 8, 2 / 8, 1 / 8]),
        ("cosine", [1 / 3, 2 / 3] + [0.5 * (1 + math.cos(math.pi * i / 8)) for i in range(8)]),
        ("constant", [1 / 3, 2 / 3] + [1.0] * 8),
    ],
)
def test_ten_steps_with_two_of_warm_up(name, factors):
    assert [schedule_factor(name, step, 10, 0.2) for step in range(10)] == pytest.approx(factors)


def test_without_warm_up_the_first_step_is_at_the_peak():
    assert [schedule_factor("linear", step, 4, 0.0) for step in range(4)] == [1.0, 0.75, 0.5, 0.25]
    assert schedule_factor("cosine", 2, 4, 0.0) == pytest.approx(0.5)


def test_warm_up_all_the_way_never_reaches_the_peak():
    assert [schedule_factor("linear", step, 3, 1.0) for step in range(3)] == [0.25, 0.5, 0.75]


@given(
    st.sampled_from(["linear", "cosine", "constant"]), st.integers(1, 300), st.floats(0, 1, allow_nan=False)
)
def test_every_step_moves_and_none_overshoots(name, total, warmup):
    factors = [schedule_factor(name, step, total, warmup) for step in range(total)]
    assert all(0 < factor <= 1 for factor in factors)
    peak = factors.index(max(factors))
    assert factors[: peak + 1] == sorted(factors[: peak + 1])
    assert factors[peak:] == sorted(factors[peak:], reverse=True)


def reference(name, step, total, warmup, s_opt1, s_opt2, s_opt3):
    """The original's six schedules, each written out on its own."""
    x = step / total
    if name == "slanted_triangular":
        p = x / warmup if x < warmup else 1 - (x - warmup) / (1 - warmup)
        return (1 + p * (s_opt1 - 1)) / s_opt1
    if x < warmup:
        return x / warmup
    released = 1 - (1 - s_opt2) / s_opt1 * x if x < s_opt1 else s_opt2
    stepped = 1 if x < s_opt1 else s_opt3 if x < s_opt2 else s_opt3 * s_opt3
    return {
        "warmup_linear": 1 - x,
        "warmup_cosine": (1 + math.cos(x * math.pi)) / 2,
        "warmup_constant": 1,
        "warmup_linear_release": released,
        "warmup_step": stepped,
    }[name]


@pytest.mark.parametrize("name", CLASSIC)
@pytest.mark.parametrize(
    "options", [(1.0, 0.0, 1.0), (30.0, 0.0, 1.0), (0.6, 0.2, 0.1), (0.4, 0.8, 0.1), (0.5, 0.5, 0.5)]
)
@pytest.mark.parametrize(("total", "warmup"), [(1, 0.0), (7, 0.5), (100, 0.1), (3024, 0.1), (640, 0.0)])
def test_classic_schedules_over_whole_trainings(name, options, total, warmup):
    ours = [schedule_factor(name, step, total, warmup, options) for step in range(total + 1)]
    theirs = [reference(name, step, total, warmup, *options) for step in range(total + 1)]
    assert ours == pytest.approx(theirs, rel=0, abs=1e-6)


@pytest.mark.parametrize(
    ("name", "options", "factors"),
    # The factors at x = 0, 0.25, 0.5 (the end of the warm-up), 0.75 and 1, by hand.
    [
        ("warmup_linear", (1.0, 0.0, 1.0), [0, 0.5, 0.5, 0.25, 0]),
        ("warmup_cosine", (1.0, 0.0, 1.0), [0, 0.5, 0.5, 0.5 - 0.5**1.5, 0]),
        ("warmup_constant", (1.0, 0.0, 1.0), [0, 0.5, 1, 1, 1]),
        ("warmup_linear_release", (1.0, 0.0, 1.0), [0, 0.5, 0.5, 0.25, 0]),
        ("warmup_linear_release", (0.6, 0.1, 1.0), [0, 0.5, 0.25, 0.1, 0.1]),
        ("warmup_step", (0.6, 0.8, 0.2), [0, 0.5, 1, 0.2, 0.04]),
        ("slanted_triangular", (4.0, 0.0, 1.0), [0.25, 0.625, 1, 0.625, 0.25]),
    ],
)
def test_classic_schedules_by_hand(name, options, factors):
    assert [schedule_factor(name, step, 4, 0.5, options) for step in range(5)] == pytest.approx(factors)


@pytest.mark.parametrize("name", CLASSIC)
def test_classic_schedules_at_the_edges_of_the_warm_up(name):
    options = (8.0, 0.5, 0.5)
    ends = [schedule_factor(name, step, 10, 1.0, options) for step in (0, 5, 10)]
    low = 1 / 8 if name == "slanted_triangular" else 0.0
    assert ends[:2] == pytest.approx([low, (low + 1) / 2])
    assert 0 <= ends[2] <= 1
    assert schedule_factor("slanted_triangular", 10, 10, 1.0, options) == 1.0
    assert schedule_factor(name, 0, 10, 0.0, options) == 1.0


@given(st.integers(1, 100), st.floats(0, 1), st.floats(1, 100))
def test_a_slanted_triangle_stays_between_its_rates(total, warmup, ratio):
    factors = [
        schedule_factor("slanted_triangular", s, total, warmup, (ratio, 0.0, 1.0)) for s in range(total)
    ]
    assert all(1 / ratio - 1e-9 <= factor <= 1 + 1e-9 for factor in factors)


def test_a_slanted_triangle_needs_a_ratio(tmp_path):
    path = tmp_path / "slant.toml"
    path.write_text('[train]\nschedule = "slanted_triangular"\nschedule_options = [0, 0, 1]\n', "utf-8")
    with pytest.raises(RecipeError, match=r"schedule_options\[0\] = 0 must be above 0"):
        load_recipe(path)
    path.write_text('[train]\nschedule = "slanted_triangular"\nschedule_options = [30, 0, 1]\n', "utf-8")
    assert load_recipe(path).train.schedule_options == (30.0, 0.0, 1.0)
    assert FitRecipe(schedule="warmup_step", schedule_options=(0, 0, 1)).schedule_options[0] == 0
