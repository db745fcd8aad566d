"""The benchmark: turns of about equal time, in order, and honest figures; on a clock of our own."""

import itertools

import pytest

import attar.bench.timing
from attar.bench.timing import Speed, interleaved, take_turns, times_faster
from attar.errors import DataError
from attar.task import Example

EXAMPLES = [Example(str(i), 0, 1) for i in range(10)]


class Clock:
    """Stands for the module ``time``: it goes on only when a side works."""

    def __init__(self):
        self.wall = self.cpu = 100.0

    def perf_counter(self):
        return self.wall

    def process_time(self):
        return self.cpu

    def side(self, seconds, calls=None, name="", cpu=0.5):
        """A side that takes so long an example, now less, now more; a share of it is CPU time."""
        paces = itertools.cycle((0.9, 1.0, 1.1))

        def work(examples):
            if calls is not None:
                calls.append((name, len(examples)))
            took = seconds * len(examples) * next(paces)
            self.wall += took
            self.cpu += cpu * took

        return work


@pytest.fixture
def clock(monkeypatch):
    made = Clock()
    monkeypatch.setattr(attar.bench.timing, "time", made)
    return made


def test_sides_take_turns_of_about_equal_time(clock):
    calls = []
    sides = {"slow": clock.side(0.001, calls, "slow"), "fast": clock.side(0.0001, calls, "fast")}
    speeds = interleaved(sides, EXAMPLES, 3, single_examples=25, turn_seconds=0.1)
    slow, fast = speeds["slow"], speeds["fast"]
    assert slow.examples_per_second == pytest.approx(1000)
    assert slow.examples_per_second_low == pytest.approx(1000 / 1.1)
    assert slow.examples_per_second_high == pytest.approx(1000 / 0.9)
    assert 85 <= slow.num_examples <= 115
    assert 850 <= fast.num_examples <= 1150
    assert 8 < times_faster(fast, slow) < 12.5
    assert slow.wall_seconds == pytest.approx(3 * slow.num_examples / 1000)
    assert slow.cpu_seconds == pytest.approx(slow.wall_seconds / 2)
    assert slow.latency_ms_p50 == pytest.approx(1)
    assert slow.latency_ms_p99 == pytest.approx(1.1)
    assert slow.latency_cpu_ms_p50 == pytest.approx(0.5)
    assert slow.num_single == 25
    turns = [name for name, count in calls if count == speeds[name].num_examples][-6:]
    assert turns == ["slow", "fast"] * 3


def test_a_very_slow_side_is_spared(clock):
    speeds = interleaved({"slow": clock.side(4)}, EXAMPLES, 1, single_examples=1000, turn_seconds=10)
    assert speeds["slow"].num_examples == 16
    assert speeds["slow"].num_single == 20
    speeds = interleaved({"less slow": clock.side(1)}, EXAMPLES, 1, single_examples=1000, turn_seconds=10)
    assert 50 <= speeds["less slow"].num_single <= 52


@pytest.mark.usefixtures("clock")
def test_examples_are_read_round_and_round():
    seen = []
    interleaved({"s": seen.extend}, EXAMPLES, 2, single_examples=20, turn_seconds=1e-6)
    texts = [example.text for example in seen]
    assert texts == [str(i % 10) for i in range(len(texts))]


@pytest.mark.usefixtures("clock")
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


def test_a_side_that_is_done_gets_no_more_turns():
    order = []

    def side(name, results):
        stream = iter(results)
        return lambda: order.append(name) or next(stream)

    rounds = []
    sides = {"quick": side("quick", (1, 9)), "slow": side("slow", (1, 2, 3))}
    results = take_turns(
        sides, 3, done=lambda value: value == 9, after_round=lambda number, _: rounds.append(number)
    )
    assert results == {"quick": [1, 9], "slow": [1, 2, 3]}
    assert order == ["quick", "slow", "quick", "slow", "slow"]
    assert rounds == [1, 2, 3]
