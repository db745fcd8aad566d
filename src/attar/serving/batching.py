"""Batching across requests: examples that wait at the same time are computed together.

Nobody waits for company: a free thread takes what is there, and what comes meanwhile is the next batch, so
that a lone request is computed at once and many share the cost of a pass. Free threads share what waits; each
computes its part alone. The predictor sorts a batch by length. A long request gives its place up after each
batch: it holds no short one up for longer than the batches that are being computed.

A change of threads costs about as much as a short request does otherwise, so there are few: the event loop
hands over all requests of one of its turns together, and is told of all that a batch has answered at once.

An example's probs are the same bytes whatever else is in its batch (``attar.scoring.predictor``).
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from attar.serving.work import Probs, Work
from attar.task import Example

__all__ = ["Batcher"]

_MAX_BATCH = 256
_MIN_BATCH = 8  # which is not shared among free threads: fewer leave a core's vector units idle
_MIN_SHARE = 16  # of a batch for one request, where others wait too


class _Job:
    """The examples of one request, and how far they are computed."""

    def __init__(self, work: Work) -> None:
        self.work, self.examples = work, work.examples
        self.out = np.empty((len(work.examples), work.num_labels), np.float32)
        self.loop = asyncio.get_running_loop()
        self.future: asyncio.Future[NDArray[np.float32]] = self.loop.create_future()
        self.num_taken = 0
        self.num_left = len(work.examples)
        self.is_over = False

    def cancel(self) -> None:
        """Compute no more of it: its client has gone, or its time is up."""
        self.is_over = True
        self.future.cancel()

    def finish(self, error: BaseException | None) -> None:
        """Hand the probs, or an error, to the request; in the event loop's thread."""
        if self.future.done():
            return
        if error is None:
            self.future.set_result(self.out)
        else:
            self.future.set_exception(error)


class _Part(NamedTuple):
    job: _Job
    begin: int
    end: int

    @property
    def examples(self) -> Sequence[Example]:
        return self.job.examples[self.begin : self.end]


class Batcher:
    """Threads that compute what requests ask for.

    Args:
        workers: Batches computed at once.
        observe: Called with each batch's model, number of examples and seconds.
    """

    def __init__(self, workers: int, observe: Callable[[str, int, float], object] = lambda *_: None) -> None:
        self._workers, self._observe = workers, observe
        self._waiting: deque[_Job] = deque()
        self._arrived: dict[asyncio.AbstractEventLoop, list[_Job]] = {}
        self._changed = threading.Condition()
        self._num_busy = 0
        self._threads: list[threading.Thread] = []
        self._is_closed = False

    async def probs(self, work: Work) -> NDArray[np.float32]:
        """Probs [N, C] of some work; cancel it, and what was not yet begun never is.

        Raises:
            Exception: What the model raised.
        """
        job = _Job(work)
        if not work.examples:
            return job.out
        if job.loop not in self._arrived:
            self._arrived[job.loop] = []
            job.loop.call_soon(self._hand_over, job.loop)
        self._arrived[job.loop].append(job)
        try:
            return await job.future
        finally:
            job.cancel()

    def close(self) -> None:
        """Compute what waits and end the threads; later work starts them again."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()
            threads, self._threads = self._threads, []
        for thread in threads:
            thread.join()

    def _hand_over(self, loop: asyncio.AbstractEventLoop) -> None:
        """Give the threads what has come in this turn of a loop."""
        with self._changed:
            self._start()
            self._waiting.extend(self._arrived.pop(loop))
            self._changed.notify()

    def _start(self) -> None:
        self._is_closed = False
        while len(self._threads) < self._workers:
            name = f"attar-batching-{len(self._threads)}"
            self._threads.append(threading.Thread(target=self._run, name=name, daemon=True))
            self._threads[-1].start()

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._waiting and not self._is_closed:
                    self._changed.wait()
                if not self._waiting:
                    return
                parts = self._take()
                self._num_busy += 1
            try:
                if parts:
                    self._compute(parts)
            finally:
                with self._changed:
                    self._num_busy -= 1

    def _take(self) -> list[_Part]:
        """A batch for one model: first come, first served, a share for each; the rest waits its turn."""
        parts: list[_Part] = []
        others: list[_Job] = []
        unfinished: list[_Job] = []
        room = self._room()
        share = max(_MIN_SHARE, _MAX_BATCH // len(self._waiting))
        while self._waiting and room:
            job = self._waiting.popleft()
            if job.is_over:
                continue
            if parts and job.work.probs != parts[0].job.work.probs:
                others.append(job)
                continue
            begin = job.num_taken
            job.num_taken = min(len(job.examples), begin + min(share, room))
            parts.append(_Part(job, begin, job.num_taken))
            room -= job.num_taken - begin
            if job.num_taken < len(job.examples):
                unfinished.append(job)
        self._waiting.extendleft(reversed(others))
        self._waiting.extend(unfinished)
        if self._waiting:
            self._changed.notify()
        return parts

    def _room(self) -> int:
        """How many examples one thread takes, so that those that are free have as much each."""
        count = sum(len(job.examples) - job.num_taken for job in self._waiting if not job.is_over)
        num_threads = max(1, min(self._workers - self._num_busy, count // _MIN_BATCH))
        return min(_MAX_BATCH, max(1, -(-count // num_threads)))

    def _compute(self, parts: list[_Part]) -> None:
        examples = [one for part in parts for one in part.examples]
        started = time.perf_counter()
        try:
            found = _call(parts[0].job.work.probs, examples)
        except BaseException as error:  # noqa: BLE001 - raised again in the request
            if len(parts) == 1:
                self._finish([(parts[0].job, error)])
            else:  # the fault of one request is not that of its neighbours
                for part in parts:
                    self._compute([part])
            return
        seconds = time.perf_counter() - started
        over: list[tuple[_Job, BaseException | None]] = []
        at = 0
        for part in parts:
            size = part.end - part.begin
            part.job.out[part.begin : part.end] = found[at : at + size]
            at += size
        with self._changed:
            for part in parts:
                part.job.num_left -= part.end - part.begin
                if part.job.num_left == 0:
                    over.append((part.job, None))
        self._finish(over)
        # The event loop wakes up meanwhile.
        self._observe(parts[0].job.work.model, len(examples), seconds)

    @staticmethod
    def _finish(over: Sequence[tuple[_Job, BaseException | None]]) -> None:
        by_loop: dict[asyncio.AbstractEventLoop, list[tuple[_Job, BaseException | None]]] = {}
        for job, error in over:
            job.is_over = True
            by_loop.setdefault(job.loop, []).append((job, error))
        for loop, those in by_loop.items():
            with contextlib.suppress(RuntimeError):  # the loop has ended, and its requests with it
                loop.call_soon_threadsafe(_finish_all, those)


def _finish_all(over: Sequence[tuple[_Job, BaseException | None]]) -> None:
    for job, error in over:
        job.finish(error)


def _call(probs: Probs, examples: Sequence[Example]) -> NDArray[np.float32]:
    found = probs(examples)
    assert len(found) == len(examples), "probs of other examples"
    return found
