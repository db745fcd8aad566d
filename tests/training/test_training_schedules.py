"""Learning-rate factors against hand values."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from attar.training.schedules import schedule_factor


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
    st.sampled_from(["linear", "cosine", "constant"]),
    st.integers(1, 300),
    st.floats(0, 1, allow_nan=False),
)
def test_every_step_moves_and_none_overshoots(name, total, warmup):
    factors = [schedule_factor(name, step, total, warmup) for step in range(total)]
    assert all(0 < factor <= 1 for factor in factors)
    peak = factors.index(max(factors))
    assert factors[: peak + 1] == sorted(factors[: peak + 1])
    assert factors[peak:] == sorted(factors[peak:], reverse=True)
