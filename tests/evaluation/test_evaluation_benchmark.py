"""The benchmark: turns of about equal time, in order, and honest figures."""

import time

import pytest

from attar.errors import DataError
from attar.evaluation.benchmark import Speed, interleaved, times_faster
from attar.task import Example

EXAMPLES = [Example(str(i), 0, 1) for i in range(10)]


def sleeper(seconds, calls, name):
    def side(examples):
        calls.append((name, len(examples)))
        time.sleep(seconds * len(examples))

    return side


def test_sides_take_turns_of_about_equal_time():
    calls = []
    sides = {"slow": sleeper(0.001, calls, "slow"), "fast": sleeper(0.0001, calls, "fast")}
    speeds = interleaved(sides, EXAMPLES, 3, single_examples=25, turn_seconds=0.1)
    slow, fast = speeds["slow"], speeds["fast"]
    assert 300 < slow.examples_per_second <= 1000
    assert fast.num_examples > 2 * slow.num_examples > 30
    assert 2 < times_faster(fast, slow) < 14
    assert slow.examples_per_second_low <= slow.examples_per_second <= slow.examples_per_second_high
    assert 1 <= slow.latency_ms_p50 <= slow.latency_ms_p99
    assert slow.latency_cpu_ms_p50 < slow.latency_ms_p50
    assert 20 <= slow.num_single <= 25
    assert slow.cpu_seconds < slow.wall_seconds
    turns = [name for name, count in calls if count == speeds[name].num_examples][-6:]
    assert turns == ["slow", "fast"] * 3


def test_a_very_slow_side_is_spared():
    calls = []
    speeds = interleaved(
        {"slow": sleeper(0.004, calls, "slow")}, EXAMPLES, 1, single_examples=1000, turn_seconds=0.01
    )
    assert speeds["slow"].num_examples == 16
    assert 20 <= speeds["slow"].num_single < 40


def test_examples_are_read_round_and_round():
    seen = []
    interleaved({"s": seen.extend}, EXAMPLES, 2, single_examples=20, turn_seconds=1e-6)
    texts = [example.text for example in seen]
    assert texts == [str(i % 10) for i in range(len(texts))]


def test_a_side_that_takes_no_time_at_all_ends():
    assert interleaved({"s": len}, EXAMPLES, 1, single_examples=20)["s"].num_examples == 100_000


def test_faster_is_the_median_of_the_rounds():
    def speed(*rounds):
        return Speed(0, 0, 0, rounds, 1, 1, 1, 1, 1, 1, 1)

    assert times_faster(speed(10, 40, 30), speed(1, 2, 3)) == 10


def test_nothing_to_time():
    assert interleaved({}, EXAMPLES, 3) == {}
    with pytest.raises(DataError, match="no examples"):
        interleaved({"s": len}, [], 3)
