"""Batches across requests: who shares one, who waits, and what is computed for nobody."""

from __future__ import annotations

import asyncio
import threading

import numpy as np
import pytest
from starlette.requests import ClientDisconnect, Request

from attar.serving.batching import Batcher
from attar.serving.gone import unless_gone
from attar.serving.work import Work
from attar.task import Example

HANG_S = 600


class Model:
    """Gives each example its number; computes when it may, and notes what it was asked."""

    def __init__(self):
        self.batches = []
        self.go = threading.Event()
        self.entered = threading.Semaphore(0)

    def probs(self, examples):
        self.batches.append([one.text for one in examples])
        self.entered.release()
        assert self.go.wait(HANG_S)
        return np.array([[int(one.text)] for one in examples], np.float32)


def work(model, numbers):
    return Work(model.probs, [Example(str(n), 0, 0) for n in numbers], 1, "a", lambda _: None)


def run(scenario, workers=1):
    async def main():
        batcher = Batcher(workers)
        try:
            await asyncio.wait_for(scenario(batcher), HANG_S)
        finally:
            await asyncio.to_thread(batcher.close)

    asyncio.run(main())


async def entered(model):
    assert await asyncio.to_thread(model.entered.acquire, timeout=HANG_S)


async def waiting(batcher, model, *works):
    """Requests that came, in this order, while the model computes for another."""
    first = asyncio.ensure_future(batcher.probs(work(model, [0])))
    await entered(model)
    others = [asyncio.ensure_future(batcher.probs(one)) for one in works]
    await handed_over()
    return first, others


async def handed_over():
    """What was asked is in the batcher's queue: asked in one turn of the loop, handed over in the next."""
    for _ in range(2):
        await asyncio.sleep(0)


def test_what_waits_is_computed_together():
    model = Model()

    async def scenario(batcher):
        _, others = await waiting(batcher, model, *(work(model, [n, n + 100]) for n in range(1, 6)))
        model.go.set()
        found = await asyncio.gather(*others)
        assert [one[:, 0].tolist() for one in found] == [[n, n + 100] for n in range(1, 6)]
        assert len(model.batches) == 2

    run(scenario)


def test_what_comes_in_one_turn_of_the_loop_is_one_batch():
    model = Model()
    model.go.set()

    async def scenario(batcher):
        await asyncio.gather(*(batcher.probs(work(model, [n])) for n in range(5)))
        assert model.batches == [[str(n) for n in range(5)]]

    run(scenario)


@pytest.mark.parametrize(("count", "shares"), [(40, [14, 13, 13]), (20, [10, 10]), (15, [15])])
def test_free_threads_share_what_waits_unless_it_is_little(count, shares):
    model = Model()

    async def scenario(batcher):
        waiters = [asyncio.ensure_future(batcher.probs(work(model, [n]))) for n in range(count)]
        for _ in shares:
            await entered(model)
        model.go.set()
        assert sorted((len(one) for one in model.batches), reverse=True) == shares
        found = await asyncio.gather(*waiters)
        assert [one.tolist() for one in found] == [[[n]] for n in range(count)]

    run(scenario, workers=3)


def test_a_request_alone_is_shared_too():
    model = Model()

    async def scenario(batcher):
        waiter = asyncio.ensure_future(batcher.probs(work(model, range(100))))
        for _ in range(3):
            await entered(model)
        model.go.set()
        assert sorted(len(one) for one in model.batches) == [33, 33, 34]
        assert (await waiter)[:, 0].tolist() == list(range(100))

    run(scenario, workers=3)


def test_a_long_request_gives_its_place_up_and_both_end():
    model = Model()

    async def scenario(batcher):
        first, (long,) = await waiting(batcher, model, work(model, range(2000)))
        short = asyncio.ensure_future(batcher.probs(work(model, [7])))
        await handed_over()
        model.go.set()
        assert (await short)[:, 0].tolist() == [7]
        assert (await long)[:, 0].tolist() == list(range(2000))
        assert len(await first) == 1
        assert "7" in model.batches[1]
        assert max(map(len, model.batches)) <= 256
        assert len(model.batches) <= 2 + 2000 // 256 + 1

    run(scenario)


def test_two_models_never_share_a_batch_and_neither_starves():
    one, other = Model(), Model()
    other.go.set()

    async def scenario(batcher):
        mixed = [work(model, [n]) for n in range(1, 9) for model in (one, other)]
        _, waiters = await waiting(batcher, one, *mixed)
        one.go.set()
        await asyncio.gather(*waiters)
        assert one.batches == [["0"], [str(n) for n in range(1, 9)]]
        assert other.batches == [[str(n) for n in range(1, 9)]]

    run(scenario)


def test_what_is_cancelled_in_the_queue_is_never_computed():
    model = Model()

    async def scenario(batcher):
        _, (gone, stays) = await waiting(batcher, model, work(model, [1]), work(model, [2]))
        gone.cancel()
        await handed_over()
        model.go.set()
        await stays
        assert model.batches == [["0"], ["2"]]

    run(scenario)


def test_an_error_is_that_of_its_request_alone():
    class Fragile(Model):
        def probs(self, examples):
            found = super().probs(examples)
            if "3" in self.batches[-1]:
                raise ValueError("three")
            return found

    model = Fragile()

    async def scenario(batcher):
        _, others = await waiting(batcher, model, *(work(model, [n]) for n in range(1, 6)))
        model.go.set()
        found = await asyncio.gather(*others, return_exceptions=True)
        assert [isinstance(one, ValueError) for one in found] == [False, False, True, False, False]

    run(scenario)


def test_it_can_be_closed_and_used_again():
    model = Model()
    model.go.set()

    async def scenario(batcher):
        for _ in range(3):
            assert len(await batcher.probs(work(model, [1, 2]))) == 2
            await asyncio.to_thread(batcher.close)
        assert (await batcher.probs(work(model, []))).shape == (0, 1)

    run(scenario, workers=3)


def test_a_client_that_goes_ends_its_work():
    ended = []

    async def endless():
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(True)

    async def receive():
        return {"type": "http.disconnect"}

    request = Request({"type": "http", "headers": []}, receive)
    with pytest.raises(ClientDisconnect):
        asyncio.run(unless_gone(request, endless()))
    assert ended == [True]


def test_work_that_ends_first_is_returned():
    async def silence():
        await asyncio.Event().wait()

    async def slow():
        await asyncio.sleep(0.1)
        return 5

    request = Request({"type": "http", "headers": []}, silence)
    assert asyncio.run(unless_gone(request, slow())) == 5
