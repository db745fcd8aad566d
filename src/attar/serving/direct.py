"""Direct routes: requests that take the short way to their endpoint."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

__all__ = ["DirectRoutes", "WrappedApp"]


class WrappedApp(FastAPI):
    """FastAPI within ASGI middleware that sees a request before FastAPI does any work for it.

    Args:
        settings: FastAPI's own.

    Attributes:
        outermost: What a server calls; wrap it to put more around it.
    """

    def __init__(self, **settings: Any) -> None:  # noqa: ANN401 - FastAPI's
        super().__init__(**settings)
        self.outermost: ASGIApp = super().__call__

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        await self.outermost(scope, receive, send)


class DirectRoutes:
    """ASGI middleware: some routes are found by method and path alone; an app has the others.

    Args:
        app: Has those routes too, for its schema.
        routes: By method and path; each answers whatever happens.
    """

    def __init__(
        self,
        app: ASGIApp,
        routes: Mapping[tuple[str, str], Callable[[Request], Awaitable[Response]]],
    ) -> None:
        self._app, self._routes = app, routes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        endpoint = self._routes.get((scope["method"], scope["path"])) if scope["type"] == "http" else None
        if endpoint is None:
            await self._app(scope, receive, send)
            return
        response = await endpoint(Request(scope, receive, send))
        await response(scope, receive, send)
