"""The admission queue: bounds how many requests are computed at once and how many wait; rejects the rest.

The event loop only reads and writes; whatever takes time (parsing, encoding, the model) runs in the
queue's threads.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

from attar.serving.limits import Limits, Problem

__all__ = ["AdmissionQueue"]

_RETRY_S = 1

_T = TypeVar("_T")


class AdmissionQueue:
    """A bounded queue in front of a pool of threads.

    Args:
        workers: Requests computed at once.
        limits: How many may wait, and for how long.
    """

    def __init__(self, workers: int, limits: Limits) -> None:
        self._workers, self._limits = workers, limits
        self._lock = threading.Lock()
        self._num_admitted = 0
        self._pool: ThreadPoolExecutor | None = None

    async def run(self, work: Callable[[], _T]) -> _T:
        """Run some work when its turn comes.

        A thread cannot be stopped: work that times out keeps its slot until it has finished, so that
        the bound always holds.

        Raises:
            Problem: 503, the queue is full or the request timed out; or what the work raised.
        """
        future = self._enter(work)
        try:
            async with asyncio.timeout(self._limits.timeout_s):
                return await asyncio.wrap_future(future)
        except TimeoutError:
            raise Problem(
                503,
                "timeout",
                f"no answer within {self._limits.timeout_s:g} s; send fewer rows, or try again later",
                retry_after_s=_RETRY_S,
            ) from None

    def close(self) -> None:
        """Wait for running work and end the threads; a later request starts them again."""
        with self._lock:
            pool, self._pool = self._pool, None
        if pool is not None:
            pool.shutdown()

    def _enter(self, work: Callable[[], _T]) -> Future[_T]:
        with self._lock:
            if self._num_admitted >= self._workers + self._limits.max_waiting:
                raise Problem(
                    503, "busy", "too many requests are waiting; try again later", retry_after_s=_RETRY_S
                )
            if self._pool is None:
                self._pool = ThreadPoolExecutor(self._workers, thread_name_prefix="attar-serving")
            future = self._pool.submit(work)
            self._num_admitted += 1
        future.add_done_callback(self._leave)
        return future

    def _leave(self, _: Future[Any]) -> None:
        with self._lock:
            self._num_admitted -= 1
