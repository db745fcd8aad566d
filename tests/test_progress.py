"""Progress: a bar on a terminal, log lines now and then elsewhere."""

import io
import logging
import sys

import pytest

import attar.progress
from attar.progress import progress_bar, spoken_time, track


class Clock:
    """A clock that moves only when it is told to."""

    def __init__(self):
        self.now = 100.0

    def monotonic(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(attar.progress, "time", clock)
    return clock


@pytest.fixture
def terminal(monkeypatch):
    """``terminal()``: stderr takes itself for a terminal; called in the test, before which pytest sets it."""

    class Terminal(io.StringIO):
        def isatty(self):
            return True

    for name, value in {"TERM": "xterm", "COLUMNS": "100"}.items():
        monkeypatch.setenv(name, value)
    for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE"):
        monkeypatch.delenv(name, raising=False)

    def make():
        stream = Terminal()
        monkeypatch.setattr(sys, "stderr", stream)
        return stream

    return make


def lines(caplog):
    return [record.getMessage() for record in caplog.records]


def test_a_line_now_and_then_off_a_terminal(clock, caplog):
    with caplog.at_level(logging.INFO, "attar"), progress_bar("teacher", 200, unit="steps") as advance:
        for _ in range(4):
            clock.now += 10
            advance(10)
        assert lines(caplog) == ["teacher: 30 of 200 steps, about 3 min left"]
        clock.now += 30
        advance(60, "dev 0.8312")
        clock.now += 1
        advance(1)
    assert lines(caplog)[1:] == ["teacher: 100 of 200 steps, about 1 min left, dev 0.8312"]


def test_short_work_logs_nothing(clock, caplog):
    with caplog.at_level(logging.INFO, "attar"):
        for _ in track(range(1000), "quick"):
            clock.now += 0.01
    assert lines(caplog) == []


def test_the_end_is_not_announced(clock, caplog):
    with caplog.at_level(logging.INFO, "attar"), progress_bar("slow", 2) as advance:
        clock.now += 60
        advance(2)
    assert lines(caplog) == []


def test_what_was_done_before_does_not_count_for_the_speed(clock, caplog):
    with caplog.at_level(logging.INFO, "attar"), progress_bar("resumed", 100, done=80) as advance:
        clock.now += 40
        advance(10)
    assert lines(caplog) == ["resumed: 90 of 100, about 40 s left"]


def test_an_unknown_total(clock, caplog):
    with caplog.at_level(logging.INFO, "attar"):
        for _ in track(iter("abcd"), "texts", unit="texts"):
            clock.now += 15
    assert lines(caplog) == ["texts: 2 texts", "texts: 4 texts"]


def test_track_gives_every_item_and_counts_those_of_a_sequence(clock, caplog):
    with caplog.at_level(logging.INFO, "attar"):
        for item in track([10, 30, 30], "items"):
            clock.now += item
    assert lines(caplog) == ["items: 2 of 3, about 20 s left"]


def test_a_bar_on_a_terminal(terminal, caplog):
    stream = terminal()
    with caplog.at_level(logging.INFO, "attar"), progress_bar("teacher", 4, redraw=False) as advance:
        advance(3, "dev 0.5")
    shown = stream.getvalue()
    assert "teacher" in shown
    assert "3/4" in shown
    assert "dev 0.5" in shown
    assert lines(caplog) == []


def test_a_terminal_has_one_bar(terminal):
    stream = terminal()
    with progress_bar("outer", 2, redraw=False) as advance:
        for _ in track([1, 2], "inner"):
            advance()
    assert "inner" not in stream.getvalue()
    with progress_bar("next", 1, redraw=False) as advance:
        advance()
    assert "next" in stream.getvalue()


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0.2, "5 s"), (7, "5 s"), (41, "40 s"), (58, "1 min"), (100, "2 min"),
        (3540, "59 min"), (3601, "1 h"), (5000, "1 h 25 min"), (86400, "24 h"),
    ],
)  # fmt: skip
def test_times_as_people_say_them(seconds, said):
    assert spoken_time(seconds) == said
