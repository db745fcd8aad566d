"""Clients that go away: what they asked for is not computed any further."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from starlette.requests import ClientDisconnect, Request

__all__ = ["unless_gone"]

_PATIENCE_S = 0.05  # watching a connection costs more than most requests

_T = TypeVar("_T")


async def unless_gone(request: Request, work: Coroutine[Any, Any, _T]) -> _T:
    """Do some work for a request whose body was read, and cancel it if the client goes.

    Raises:
        ClientDisconnect: The client has gone.
    """
    task = asyncio.ensure_future(work)
    try:
        await asyncio.wait({task}, timeout=_PATIENCE_S)
        if not task.done():
            await _watch(request, task)
        return await task
    finally:
        task.cancel()


async def _watch(request: Request, task: asyncio.Future[Any]) -> None:
    gone = asyncio.ensure_future(_disconnected(request))
    try:
        await asyncio.wait({task, gone}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        gone.cancel()
    if not task.done():
        raise ClientDisconnect


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
