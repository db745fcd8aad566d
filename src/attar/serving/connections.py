"""Connections: bounds their number and the time that a request's head may take to arrive.

uvicorn bounds neither: a client that sends half a head and falls silent would hold its connection for
ever. Bodies and replies have time limits of their own (``attar.serving.limits``).
"""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from attar.serving.limits import DEFAULT_LIMITS, Limits

__all__ = ["BoundedProtocol", "bounded_protocol"]

_MAX_HEAD_BYTES = 64 << 10
# Chunks of one byte take six; what is more is no body, but trailers without an end.
_MAX_OVERHEAD = 8
# A client that knows nothing of the end yet may have sent its next request already.
_LAST_REQUEST_S = 0.5
_CLOSE = (b"connection", b"close")


class BoundedProtocol(HttpToolsProtocol):
    """A connection of uvicorn within the limits of its class."""

    limits = DEFAULT_LIMITS
    _timer: asyncio.TimerHandle | None = None
    _head_bytes = 0
    _request_bytes = 0
    _is_ending = False
    idle_since = 0.0

    @property
    def is_idle(self) -> bool:
        """Whether no request is being answered: none has come, or its head is not complete."""
        return self.cycle is None or self.cycle.response_complete

    def connection_made(self, transport: Any) -> None:  # noqa: ANN401 - uvicorn's own type is narrower
        """Take the connection, or make room for it."""
        super().connection_made(transport)
        self.idle_since = time.monotonic()  # a loop may count in milliseconds
        self._watch()
        if len(self.connections) > self.limits.max_connections:
            self._make_room()

    def data_received(self, data: bytes) -> None:
        """Read on, within the time and the length of a head."""
        if self.is_idle and not self._is_head_short(data):
            self.transport.write(_HEAD_TOO_LONG)
            self.transport.close()
            return
        self._request_bytes += len(data)
        if self._request_bytes > _MAX_OVERHEAD * self.limits.max_body_bytes + _MAX_HEAD_BYTES:
            self.transport.abort()
            return
        super().data_received(data)
        self._watch()

    def _is_head_short(self, data: bytes) -> bool:
        """Count the bytes of a head that comes in pieces; the last piece may bring much of a body."""
        if b"\r\n\r\n" not in data:
            self._head_bytes += len(data)
        return self._head_bytes <= _MAX_HEAD_BYTES

    def on_response_complete(self) -> None:
        """Begin to wait for the next request."""
        self.idle_since = time.monotonic()  # a loop may count in milliseconds
        self._head_bytes = self._request_bytes = 0
        super().on_response_complete()

    def on_headers_complete(self) -> None:
        """Begin with a request; the reply to the last one says ``Connection: close``."""
        super().on_headers_complete()
        if self._is_ending and self.cycle is not None:
            self._make_last()

    def shutdown(self) -> None:
        """End with the request that is being answered, or one that is on its way."""
        self._is_ending = True
        if self.is_idle:
            self._stop()
            self._timer = self.loop.call_later(_LAST_REQUEST_S, self._end)
        else:
            self._make_last()

    def _make_last(self) -> None:
        self.cycle.keep_alive = False
        scope = self.cycle.scope
        scope["headers"] = [*scope["headers"], _CLOSE]  # uvicorn repeats it in the reply

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


def _reply(status: str, code: str, message: str, *more: str) -> bytes:
    body = json.dumps({"code": code, "message": message})
    head = (
        f"HTTP/1.1 {status}",
        "content-type: application/json",
        f"content-length: {len(body)}",
        *more,
        "connection: close",
    )
    return "\r\n".join((*head, "", body)).encode()


_BUSY = _reply("503 Service Unavailable", "busy", "too many connections; try again later", "retry-after: 1")
_HEAD_TOO_LONG = _reply(
    "431 Request Header Fields Too Large", "head_too_long", f"the head is longer than {_MAX_HEAD_BYTES} bytes"
)
