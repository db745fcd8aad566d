"""The gate: so many requests are computed at once, so many wait, and the next one is sent away.

The event loop only reads and writes; whatever takes time (parsing, encoding, the model) happens in
the gate's threads. Later, requests that wait can be computed together here.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

from attar.serving.limits import Limits
from attar.serving.problem import Problem

__all__ = ["AdmissionQueue"]

_RETRY_S = 1

_T = TypeVar("_T")


class AdmissionQueue:
    """A bounded queue in front of some threads.

    Args:
        workers: Requests that are computed at once.
        limits: How many may wait, and how long.
    """

    def __init__(self, workers: int, limits: Limits) -> None:
        self._workers = workers
        self._limits = limits
        self._lock = threading.Lock()
        self._taken = 0
        self._pool: ThreadPoolExecutor | None = None

    async def run(self, work: Callable[[], _T]) -> _T:
        """Do some work in its turn.

        A thread cannot be stopped: work that takes too long keeps its place until it is done, so
        that the queue never holds more than it says.

        Raises:
            Problem: 503, the queue is full or the time is up; or what the work raised.
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
        """Wait for what is being computed, and end the threads; a later request starts them again."""
        with self._lock:
            pool, self._pool = self._pool, None
        if pool is not None:
            pool.shutdown()

    def _enter(self, work: Callable[[], _T]) -> Future[_T]:
        with self._lock:
            if self._taken >= self._workers + self._limits.max_waiting:
                raise Problem(
                    503, "busy", "too many requests are waiting; try again later", retry_after_s=_RETRY_S
                )
            if self._pool is None:
                self._pool = ThreadPoolExecutor(self._workers, thread_name_prefix="attar-serving")
            future = self._pool.submit(work)
            self._taken += 1
        future.add_done_callback(self._leave)
        return future

    def _leave(self, _: Future[Any]) -> None:
        with self._lock:
            self._taken -= 1
