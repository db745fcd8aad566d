"""The benchmark: turns of about equal time, in order, and honest figures."""

from types import SimpleNamespace

import pytest

from attar.errors import DataError
from attar.evaluation import benchmark
from attar.evaluation.benchmark import Speed, interleaved, times_faster
from attar.task import Example

EXAMPLES = [Example(str(i), 0, 1) for i in range(10)]


class Clock:
    """A clock that only the sides move: a busy machine changes no figure."""

    def __init__(self):
        self.wall = 0.0

    def side(self, seconds, calls, name, slower=0.0):
        """Takes so long for an example, a quarter of it of the CPU; each call ``slower`` than before."""

        def answer(examples):
            calls.append((name, len(examples)))
            self.wall += seconds * len(examples) * (1 + slower * len(calls))

        return answer


@pytest.fixture
def clock(monkeypatch):
    made = Clock()
    faked = SimpleNamespace(perf_counter=lambda: made.wall, process_time=lambda: made.wall / 4)
    monkeypatch.setattr(benchmark, "time", faked)
    return made


def test_sides_take_turns_of_about_equal_time(clock):
    calls = []
    sides = {"slow": clock.side(0.001, calls, "slow"), "fast": clock.side(0.0001, calls, "fast")}
    speeds = interleaved(sides, EXAMPLES, 3, single_examples=25, turn_seconds=0.1)
    slow, fast = speeds["slow"], speeds["fast"]
    assert (slow.examples_per_second, fast.examples_per_second) == pytest.approx((1000, 10_000))
    assert (slow.num_examples, fast.num_examples) == (100, 1000)
    assert times_faster(fast, slow) == pytest.approx(10)
    assert (slow.latency_ms_p50, slow.latency_ms_p99) == pytest.approx((1, 1))
    assert slow.latency_cpu_ms_p50 == pytest.approx(0.25)
    assert slow.num_single == 25
    assert (slow.wall_seconds, slow.cpu_seconds) == pytest.approx((0.3, 0.075))
    turns = [name for name, count in calls if count == speeds[name].num_examples][-6:]
    assert turns == ["slow", "fast"] * 3


def test_rounds_that_differ_have_a_range(clock):
    side = clock.side(0.001, [], "slows down", slower=0.1)
    found = interleaved({"s": side}, EXAMPLES, 3, single_examples=25, turn_seconds=0.1)["s"]
    low, middle, high = sorted(found.rounds)
    assert (low, middle, high) == found.rounds[::-1]
    assert found.examples_per_second_low == low < middle == found.examples_per_second
    assert found.examples_per_second_high == high > middle
    assert found.latency_ms_p50 < found.latency_ms_p99


def test_a_very_slow_side_is_spared(clock):
    side = clock.side(0.004, [], "slow")
    found = interleaved({"s": side}, EXAMPLES, 1, single_examples=1000, turn_seconds=0.01)["s"]
    assert found.num_examples == 16
    assert found.num_single == 20


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
