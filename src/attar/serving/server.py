"""The process around an app: a socket, uvicorn, and a graceful shutdown.

On SIGTERM or Ctrl-C it stops accepting connections, finishes open requests, and exits with code 0.
"""

from __future__ import annotations

import contextlib
import functools
import os
import re
import signal
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import uvicorn
from fastapi import APIRouter, FastAPI

from attar.artifact import load_artifact
from attar.errors import RecipeError, RunError
from attar.scoring.predictor import Predictor
from attar.serving.app import create_app
from attar.serving.connections import bounded_protocol
from attar.serving.limits import DEFAULT_LIMITS, Limits
from attar.serving.service import Service

__all__ = ["KEY_VARIABLE", "key_from_environment", "listen", "serve", "serve_artifact"]

KEY_VARIABLE = "ATTAR_API_KEY"

_BACKLOG = 2048
_KEY = re.compile(r"[\x21-\x7e]+")


def key_from_environment(environment: Mapping[str, str]) -> str | None:
    """The API key that clients must send, or None if the variable is not set.

    Raises:
        RecipeError: It is set to a value that no client could send; the message does not show it.
    """
    key = environment.get(KEY_VARIABLE)
    if key is not None and not _KEY.fullmatch(key):
        raise RecipeError(
            f"{KEY_VARIABLE} is empty, or holds spaces or characters that are not ASCII; "
            "set it to a key, or unset it to serve anyone"
        )
    return key


def listen(host: str, port: int) -> socket.socket:
    """A listening socket on a name or address; connections wait in it until ``serve`` accepts them.

    Port 0 takes any free one.

    Raises:
        RunError: The address or the port cannot be listened on.
    """
    try:
        family, kind, _, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        # asyncio disables Nagle's algorithm only if the protocol is given; otherwise the second
        # response on a connection waits 40 ms for the client's acknowledgement.
        listener = socket.socket(family, kind, socket.IPPROTO_TCP)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
            listener.listen(_BACKLOG)
        except BaseException:
            listener.close()
            raise
    except (OSError, OverflowError) as error:
        raise RunError(f"cannot listen on {host} port {port}: {error}; choose another --port") from None
    return listener


def serve(app: FastAPI, listener: socket.socket, *, grace_s: float, limits: Limits = DEFAULT_LIMITS) -> None:
    """Serve until SIGTERM or Ctrl-C, then close the listener; open requests have ``grace_s`` after that."""
    config = uvicorn.Config(
        app,
        http=bounded_protocol(limits),
        log_config=None,
        access_log=False,  # it would log query strings; the service logs a line per request
        server_header=False,
        lifespan="on",
        ws="none",
        timeout_graceful_shutdown=max(1, round(grace_s)),
    )
    server = uvicorn.Server(config)
    with listener, _stopped_by_signals(server):
        server.run(sockets=[listener])


@contextlib.contextmanager
def _stopped_by_signals(server: uvicorn.Server) -> Iterator[None]:
    """Let a signal stop a server and not the process.

    uvicorn raises the signal once more when it has stopped, to the handler from before it started.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(*_: object) -> None:
        server.should_exit = True

    before = {one: signal.signal(one, stop) for one in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)


def serve_artifact(
    folder: Path,
    host: str,
    port: int,
    *,
    workers: int | None,
    say: Callable[[str], object],
    limits: Limits = DEFAULT_LIMITS,
    routes: Callable[[Predictor, Service], APIRouter] | None = None,
) -> None:
    """Load an artifact and serve it until SIGTERM or Ctrl-C: the work of ``attar serve``.

    The arguments are those of ``listen`` and ``create_app``; ``workers`` None takes
    ``attar.cores.num_workers()``, and ``say`` prints the address once the service listens.

    Raises:
        ArtifactError: The artifact is incomplete or damaged.
        RecipeError: The key, the task or the number of workers is not valid.
        RunError: The address or the port cannot be listened on.
    """
    key = key_from_environment(os.environ)
    predictor = Predictor(load_artifact(folder), workers)
    more_routes = None if routes is None else functools.partial(routes, predictor)
    app = create_app(predictor, limits=limits, api_key=key, routes=more_routes)
    listener = listen(host, port)
    shown = f"[{host}]" if ":" in host else host
    say(f"serving:   http://{shown}:{listener.getsockname()[1]}{'' if key else ', without a key'}")
    serve(app, listener, grace_s=limits.timeout_s, limits=limits)
    predictor.close()
