"""The admission queue: bounds how many requests are answered at once, and rejects the rest.

The event loop only reads and writes, and parses what is short; whatever takes time (long bodies, the model)
runs in threads.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from attar.serving.batching import Batcher
from attar.serving.limits import Limits, Problem

__all__ = ["AdmissionQueue"]

_RETRY_S = 1

_T = TypeVar("_T")


class AdmissionQueue:
    """A bounded queue in front of the threads.

    Args:
        workers: Requests computed at once.
        limits: How many may wait, and for how long.
        observe_batch: Called with each batch's model, number of examples and seconds.

    Attributes:
        batcher: Computes what admitted requests ask for.
        num_admitted: Requests that are admitted now.
    """

    def __init__(
        self,
        workers: int,
        limits: Limits,
        observe_batch: Callable[[str, int, float], object] = lambda *_: None,
    ) -> None:
        self._workers, self._limits = workers, limits
        self._lock = threading.Lock()
        self._pool: ThreadPoolExecutor | None = None
        self.batcher = Batcher(workers, observe_batch)
        self.num_admitted = 0

    async def admit(self, work: Callable[[], Awaitable[_T]]) -> _T:
        """Do some work if there is a place; it is cancelled when its time is up.

        Raises:
            Problem: 503, the queue is full or the request timed out; or what the work raised.
        """
        if self.num_admitted >= self._workers + self._limits.max_waiting:
            raise Problem(
                503, "busy", "too many requests are waiting; try again later", retry_after_s=_RETRY_S
            )
        self.num_admitted += 1
        try:
            async with asyncio.timeout(self._limits.timeout_s):
                return await work()
        except TimeoutError:
            raise Problem(
                503,
                "timeout",
                f"no answer within {self._limits.timeout_s:g} s; send fewer rows, or try again later",
                retry_after_s=_RETRY_S,
            ) from None
        finally:
            self.num_admitted -= 1

    async def run(self, work: Callable[[], _T]) -> _T:
        """Run some work in a thread; cancelled before its turn, it never runs."""
        with self._lock:
            if self._pool is None:
                self._pool = ThreadPoolExecutor(self._workers, thread_name_prefix="attar-serving")
            future = self._pool.submit(work)
        return await asyncio.wrap_future(future)

    def close(self) -> None:
        """Wait for running work and end the threads; a later request starts them again."""
        with self._lock:
            pool, self._pool = self._pool, None
        if pool is not None:
            pool.shutdown()
        self.batcher.close()
