"""Connections: bounds their number and the time that a request's head may take to arrive.

uvicorn bounds neither: a client that sends half a head and falls silent would hold its connection for
ever. Bodies and replies have time limits of their own (``attar.serving.limits``).
"""

from __future__ import annotations

import asyncio
import json
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

from attar.serving.limits import DEFAULT_LIMITS, Limits

__all__ = ["BoundedProtocol", "bounded_protocol"]


class BoundedProtocol(H11Protocol):
    """A connection of uvicorn within the limits of its class."""

    limits = DEFAULT_LIMITS
    _timer: asyncio.TimerHandle | None = None
    idle_since = 0.0

    @property
    def is_idle(self) -> bool:
        """Whether no request is being answered: none has come, or its head is not complete."""
        return self.cycle is None or self.cycle.response_complete

    def connection_made(self, transport: Any) -> None:  # noqa: ANN401 - uvicorn's own type is narrower
        """Take the connection, or make room for it."""
        super().connection_made(transport)
        self.idle_since = self.loop.time()
        self._watch()
        if len(self.connections) > self.limits.max_connections:
            self._make_room()

    def data_received(self, data: bytes) -> None:
        """Read on, within the time for a head."""
        super().data_received(data)
        self._watch()

    def on_response_complete(self) -> None:
        """Begin to wait for the next request."""
        self.idle_since = self.loop.time()
        super().on_response_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the watch."""
        self._stop()
        super().connection_lost(exc)

    def _watch(self) -> None:
        if not self.is_idle:
            self._stop()
        elif self._timer is None and not self.transport.is_closing():
            self._timer = self.loop.call_later(self.limits.header_timeout_s, self._end)

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _end(self) -> None:
        self._timer = None
        if self.is_idle:
            self.transport.close()

    def _make_room(self) -> None:
        others = [one for one in self.connections if isinstance(one, BoundedProtocol) and one is not self]
        idle = [one for one in others if one.is_idle and not one.transport.is_closing()]
        if idle:
            min(idle, key=lambda one: one.idle_since).transport.close()
        else:
            self.transport.write(_BUSY)
            self.transport.close()


def bounded_protocol(limits: Limits) -> type[BoundedProtocol]:
    """A protocol for uvicorn within ``max_connections`` and ``header_timeout_s``.

    A connection above the number takes the place of the one that has waited longest without a request;
    where every one has a request, the new one gets 503.
    """
    return type("LimitedProtocol", (BoundedProtocol,), {"limits": limits})


def _reply(body: bytes) -> bytes:
    head = (
        "HTTP/1.1 503 Service Unavailable",
        "content-type: application/json",
        f"content-length: {len(body)}",
        "retry-after: 1",
        "connection: close",
    )
    return "\r\n".join((*head, "", "")).encode() + body


_BUSY = _reply(json.dumps({"code": "busy", "message": "too many connections; try again later"}).encode())
