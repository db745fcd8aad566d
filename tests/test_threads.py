"""map_in_threads: order, errors in their place, and nothing begun after one."""

from __future__ import annotations

import threading
import time

import pytest

from attar.errors import RecipeError
from attar.threads import map_in_threads


def test_results_come_in_the_order_of_the_items_and_from_several_threads():
    together = threading.Barrier(3, timeout=30)

    def work(item: int) -> int:
        together.wait()  # three at once, or nobody goes on
        time.sleep(0.01 * (item % 3))
        return item * item

    assert list(map_in_threads(work, range(12), 3)) == [item * item for item in range(12)]


def test_an_error_is_raised_in_its_place_and_ends_the_work():
    begun = set[int]()

    def work(item: int) -> int:
        begun.add(item)
        if item == 3:
            raise ValueError("the third")
        return item

    found = map_in_threads(work, range(1000), 2)
    assert [next(found) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(ValueError, match="the third"):
        next(found)
    assert len(begun) < 20


def test_who_stops_taking_results_stops_the_work():
    begun = set[int]()

    def work(item: int) -> int:
        begun.add(item)
        return item

    found = map_in_threads(work, range(1000), 2)
    next(found)
    found.close()
    assert len(begun) < 20


def test_a_number_of_workers_that_is_none_is_refused():
    with pytest.raises(RecipeError, match="workers = 0"):
        next(map_in_threads(abs, [1], 0))
