"""Clients of a service over loopback, as cheap as they can be: they share the cores with what they measure.

One client is a blocking socket. Many are connections of one event loop, each with one request at a time.
"""

from __future__ import annotations

import asyncio
import random
import socket
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import cast

import uvloop

from attar.task import Example

__all__ = ["Load", "ask", "body_of", "many_clients", "one_client", "request"]


@dataclass
class Load:
    """What clients saw.

    Attributes:
        took_ms: Of every answer with status 200.
        statuses: Number of answers by status.
        seconds: From the first request to the last answer.
        num_unanswered: Requests whose connection was closed before a byte of an answer.
        num_cut: Answers that ended in the middle.
        bodies: Of the answers, where they are kept: number of the request, and JSON.
    """

    took_ms: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    seconds: float = 0.0
    num_unanswered: int = 0
    num_cut: int = 0
    bodies: list[tuple[int, bytes]] | None = None

    @property
    def num_errors(self) -> int:
        """Everything that is no complete answer with status 200."""
        return self.statuses.total() - self.statuses[200] + self.num_unanswered + self.num_cut


def body_of(example: Example) -> dict[str, object]:
    """The row of an example."""
    return {"text": example.text, "term": example.term, "start": example.start, "end": example.end}


def request(body: bytes, *headers: str) -> bytes:
    """A ``POST /v1/score`` as it is sent."""
    lines = ["POST /v1/score HTTP/1.1", "Host: x", "Content-Type: application/json", *headers]
    return "\r\n".join([*lines, f"Content-Length: {len(body)}", "", ""]).encode() + body


def ask(connection: socket.socket, sent: bytes) -> tuple[int, bytes]:
    """The status and the body of one request's answer.

    Raises:
        ConnectionError: The answer ended before its end.
    """
    connection.sendall(sent)
    got = b""
    while (found := _answer_in(got)) is None:
        more = connection.recv(1 << 16)
        if not more:
            raise ConnectionError("no complete answer")
        got += more
    return found[0], got[found[1] : found[2]]


def one_client(port: int, requests: Sequence[bytes], seconds: float) -> Load:
    """One client, one request after the other."""
    load = Load()
    started = time.perf_counter()
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while time.perf_counter() - started < seconds:
            sent = random.choice(requests)  # noqa: S311 - of a benchmark
            begun = time.perf_counter()
            status, _ = ask(connection, sent)
            load.took_ms.append((time.perf_counter() - begun) * 1000)
            load.statuses[status] += 1
    load.seconds = time.perf_counter() - started
    return load


def many_clients(
    port: int,
    requests: Sequence[bytes],
    clients: int,
    seconds: float,
    *,
    pause_s: float = 0.0,
    keep: bool = False,
) -> Load:
    """Clients at once, each with a connection of its own and one request at a time.

    Args:
        port: Of the service.
        requests: Drawn from at random.
        clients: How many.
        seconds: After them no more requests are sent.
        pause_s: Mean pause of a client between an answer and its next request.
        keep: Whether the answers' bodies are kept.
    """
    load = Load(bodies=[] if keep else None)
    started = time.perf_counter()

    async def run() -> None:
        loop = asyncio.get_running_loop()
        made = [_Client(load, requests, started + seconds, pause_s) for _ in range(clients)]
        for one in made:
            await loop.create_connection(lambda one=one: one, "127.0.0.1", port)  # type: ignore[misc]
        await asyncio.gather(*(one.over for one in made))

    uvloop.run(run())
    load.seconds = time.perf_counter() - started
    return load


class _Client(asyncio.Protocol):
    def __init__(self, load: Load, requests: Sequence[bytes], until: float, pause_s: float) -> None:
        self._load, self._requests, self._until, self._pause_s = load, requests, until, pause_s
        self._loop = asyncio.get_running_loop()
        self.over: asyncio.Future[None] = self._loop.create_future()
        self._got, self._begun, self._number, self._is_waiting = b"", 0.0, 0, False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's own is no subclass
        # They do not all begin in one step.
        self._loop.call_later(random.uniform(0, self._pause_s), self._send)  # noqa: S311 - of a benchmark

    def _send(self) -> None:
        if self._transport.is_closing() or time.perf_counter() >= self._until:
            self._transport.close()
            return
        self._number = random.randrange(len(self._requests))  # noqa: S311 - of a benchmark
        self._got, self._begun, self._is_waiting = b"", time.perf_counter(), True
        self._transport.write(self._requests[self._number])

    def data_received(self, data: bytes) -> None:
        self._got += data
        found = _answer_in(self._got)
        if found is None:
            return
        status, begin, end = found
        self._is_waiting = False
        self._load.statuses[status] += 1
        if status == 200:
            self._load.took_ms.append((time.perf_counter() - self._begun) * 1000)
            if self._load.bodies is not None:
                self._load.bodies.append((self._number, self._got[begin:end]))
        if b"\r\nconnection: close" in self._got[:begin].lower():
            self._transport.close()
        elif self._pause_s:
            self._loop.call_later(random.uniform(0, 2 * self._pause_s), self._send)  # noqa: S311
        else:
            self._send()

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        if self._is_waiting and self._got:
            self._load.num_cut += 1
        elif self._is_waiting:
            self._load.num_unanswered += 1
        if not self.over.done():
            self.over.set_result(None)


def _answer_in(got: bytes) -> tuple[int, int, int] | None:
    """Status, and begin and end of the body, of a complete answer; None of an incomplete one."""
    begin = got.find(b"\r\n\r\n") + 4
    if begin < 4:
        return None
    head = got[:begin].lower()
    at = head.index(b"content-length:") + 15
    end = begin + int(head[at : head.index(b"\r\n", at)])
    return (int(head[9:12]), begin, end) if len(got) >= end else None
