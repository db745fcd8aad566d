"""Runs ONNX Runtime on one thread a core while an export goes through many batches.

Each session computes in the calling thread and holds no lock of Python meanwhile.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from attar.cores import num_workers

__all__ = ["map_in_threads"]

_AHEAD = 2  # results a thread that wait to be taken at most: those of observers are large
_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


def map_in_threads(work: Callable[[_Item], _Result], items: Iterable[_Item]) -> Iterator[_Result]:
    """What some work gives for each item, in the items' order.

    An error of the work is raised in its item's place, and what has not begun then never does.
    """
    workers = num_workers()
    pool = ThreadPoolExecutor(workers, thread_name_prefix="attar-export")
    waiting = deque[Future[_Result]]()
    try:
        for item in items:
            waiting.append(pool.submit(work, item))
            if len(waiting) > _AHEAD * workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
