"""Clients that go away: what they asked for is not computed any further."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

from starlette.requests import ClientDisconnect, Request

__all__ = ["unless_gone"]

_PATIENCE_S = 0.05  # watching a connection costs more than most requests

_T = TypeVar("_T")


async def unless_gone(request: Request, work: Awaitable[_T]) -> _T:
    """Do some work for a request whose body was read, and cancel it if the client goes.

    The work is done in the caller's own task, as ``asyncio.timeout`` does: most requests end before a watch
    is due, and need no other.

    Raises:
        ClientDisconnect: The client has gone.
    """
    task, loop = asyncio.current_task(), asyncio.get_running_loop()
    assert task is not None, "a coroutine runs in a task"
    watch: list[asyncio.Task[None]] = []
    has_gone = False

    async def cancel_when_gone() -> None:
        nonlocal has_gone
        while (await request.receive())["type"] != "http.disconnect":
            pass
        has_gone = True
        task.cancel()

    timer = loop.call_later(_PATIENCE_S, lambda: watch.append(loop.create_task(cancel_when_gone())))
    try:
        return await work
    except asyncio.CancelledError:
        # What else cancels the task, a time that is up, is for those outside.
        if has_gone and task.uncancel() == 0:
            raise ClientDisconnect from None
        raise
    finally:
        timer.cancel()
        for one in watch:
            one.cancel()
