"""The process around an app: a socket, uvicorn, reloads, and a graceful shutdown.

On SIGHUP it reads keys and artifacts again. On SIGTERM or Ctrl-C it stops accepting connections, finishes
open requests, and exits with code 0.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import os
import queue
import signal
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import APIRouter, FastAPI

from attar.errors import AttarError, RunError
from attar.scoring.predictor import Predictor
from attar.serving.app import AppOptions, create_app, reload_service
from attar.serving.connections import bounded_protocol
from attar.serving.keys import Keys
from attar.serving.limits import DEFAULT_LIMITS, Limits
from attar.serving.models import Models, load_models, named_folders
from attar.serving.rows import KnownTerms
from attar.serving.service import Service
from attar.terms.term_list import read_term_list

__all__ = ["ServeOptions", "listen", "serve", "serve_artifacts"]

_LOG = logging.getLogger(__name__)

_BACKLOG = 2048


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


def serve(
    app: FastAPI,
    listener: socket.socket,
    *,
    grace_s: float,
    limits: Limits = DEFAULT_LIMITS,
    on_hangup: Callable[[], object] | None = None,
) -> None:
    """Serve until SIGTERM or Ctrl-C, then close the listener; open requests have ``grace_s`` after that.

    On SIGHUP ``on_hangup`` is called in a thread of its own; without it the signal has its usual effect.
    """
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
    with listener, _signals(server, on_hangup):
        server.run(sockets=[listener])


@contextlib.contextmanager
def _signals(server: uvicorn.Server, on_hangup: Callable[[], object] | None) -> Iterator[None]:
    """Let a signal stop a server and not the process, and SIGHUP do what it is for.

    uvicorn raises the signal once more when it has stopped, to the handler from before it started.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(*_: object) -> None:
        server.should_exit = True

    handlers: dict[signal.Signals, Callable[..., None]] = {signal.SIGTERM: stop, signal.SIGINT: stop}
    hangups = None if on_hangup is None else _Hangups(on_hangup)
    if hangups is not None:
        handlers[signal.SIGHUP] = hangups.add
    before: dict[signal.Signals, Any] = {}
    # A signal may raise anywhere until its handler is in place; a thread that is left would hold the process.
    try:
        for one, handler in handlers.items():
            before[one] = signal.getsignal(one)
            signal.signal(one, handler)
        if hangups is not None:
            hangups.start()
        yield
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)
        if hangups is not None:
            hangups.close()


class _Hangups:
    """Does some work for each SIGHUP, in a thread; those that come while it is done are one.

    Args:
        work: It must raise nothing.
    """

    def __init__(self, work: Callable[[], object]) -> None:
        self._work = work
        # A handler may interrupt anything: this kind of queue takes no lock that the thread could hold.
        self._asked: queue.SimpleQueue[bool] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="attar-reload")

    def start(self) -> None:
        """Begin; what was asked for before is done then."""
        self._thread.start()

    def add(self, *_: object) -> None:
        """Ask for the work, from the handler of a signal."""
        self._asked.put(True)

    def close(self) -> None:
        """Wait for what is being done: ONNX Runtime ends the process if it ends while a graph is opened."""
        self._asked.put(False)
        if self._thread.ident is not None:
            self._thread.join()

    def _run(self) -> None:
        while True:
            goes_on = self._asked.get()
            while goes_on and not self._asked.empty():
                goes_on = self._asked.get()
            if not goes_on:
                return
            self._work()


@dataclass(frozen=True, slots=True)
class ServeOptions:
    """What ``attar serve`` is told besides artifacts and an address.

    Attributes:
        workers: Threads that compute; None takes ``attar.cores.num_workers()``.
        limits: Of one request.
        terms: A file of terms, found in rows that name none.
        keys: A file of keys, besides those of the environment.
        cors: Origins whose pages may call the service.
        page: Whether there is a page at ``/``, and files can be uploaded.
        routes: Makes further routes.
        check: Refuses an artifact that these routes have no use for.
    """

    workers: int | None = None
    limits: Limits = DEFAULT_LIMITS
    terms: Path | None = None
    keys: Path | None = None
    cors: Sequence[str] = ()
    page: bool = True
    routes: Callable[[Models, Service], APIRouter] | None = None
    check: Callable[[Predictor], object] = lambda _: None


def serve_artifacts(
    artifacts: Sequence[str], host: str, port: int, *, say: Callable[[str], object], options: ServeOptions
) -> None:
    """Load artifacts and serve them until SIGTERM or Ctrl-C: the work of ``attar serve``.

    On SIGHUP the keys and the artifacts are read again.

    Args:
        artifacts: Folders, or NAME=FOLDER each.
        host: As for ``listen``.
        port: As for ``listen``.
        say: Prints the address once the service listens.
        options: The rest.

    Raises:
        ArtifactError: An artifact is incomplete or damaged.
        DataError: The file of terms cannot be read.
        RecipeError: A key, a name, the task or the number of workers is not valid.
        RunError: The address or the port cannot be listened on.
    """
    keys = Keys(os.environ, options.keys)
    terms = None if options.terms is None else KnownTerms.of(read_term_list(options.terms))
    models = load_models(named_folders(artifacts), options.workers, options.check)
    made: list[Service] = []

    def routes(service: Service) -> APIRouter:
        made.append(service)
        return APIRouter() if options.routes is None else options.routes(models, service)

    app = create_app(
        models,
        limits=options.limits,
        routes=routes,
        options=AppOptions(keys=keys, terms=terms, cors=options.cors, page=options.page),
    )
    listener = listen(host, port)
    shown = f"[{host}]" if ":" in host else host
    open_to_all = ", without a key" if keys.is_open else ""
    say(f"serving:   http://{shown}:{listener.getsockname()[1]}{open_to_all}")
    limits = options.limits
    reload = functools.partial(_reload_or_log, models, made[0])
    serve(app, listener, grace_s=limits.timeout_s, limits=limits, on_hangup=reload)
    models.close()


def _reload_or_log(models: Models, service: Service) -> None:
    try:
        changed = reload_service(models, service)
    except AttarError as error:
        _LOG.error("not reloaded, what was served still is: %s", error)
    else:
        _LOG.info("reloaded: %s", ", ".join(changed) or "no model has changed")
