"""Work on one thread a core, for what holds no lock of Python while it computes: ONNX Runtime and torch."""

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


def map_in_threads(
    work: Callable[[_Item], _Result], items: Iterable[_Item], workers: int | None = None
) -> Iterator[_Result]:
    """What some work gives for each item, in the items' order.

    An error of the work is raised in its item's place, and what has not begun then never does.

    Args:
        work: Called by several threads at once.
        items: What it is called with.
        workers: How many threads; None takes ``attar.cores.num_workers()``.
    """
    workers = num_workers(workers)
    pool = ThreadPoolExecutor(workers, thread_name_prefix="attar-work")
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
