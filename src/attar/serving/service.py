"""Service: what happens to every request, whichever its route.

``key -> body within its limit -> admission queue -> JSON``, and one log line with the number of rows and
the time, never their content.
"""

from __future__ import annotations

import asyncio
import logging
import time
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

from fastapi import FastAPI
from starlette.background import BackgroundTask
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response

from attar import __version__
from attar.errors import AttarError, DataError
from attar.serving.admission import AdmissionQueue
from attar.serving.batching import Batcher
from attar.serving.content_coding import ACCEPTED_CODINGS, content_codings, decompress
from attar.serving.direct import DirectRoutes, WrappedApp
from attar.serving.gone import unless_gone
from attar.serving.head import HeadAsGet
from attar.serving.keys import ADMIN_VARIABLE, Keys
from attar.serving.limits import Limits, Problem, parse, read_body
from attar.serving.metrics import Metrics
from attar.serving.request_log import RequestIds
from attar.serving.work import Reply, Work, to_json

__all__ = ["VERSION_HEADER", "Service", "base_app"]

VERSION_HEADER = "attar-model-version"

_LOG = logging.getLogger(__name__)
# What is shorter is handled in the event loop: a change of threads would cost more.
_SHORT_BODY = 16 << 10  # bytes
_SHORT_REPLY = 64  # mentions
_CODES = {404: "not_found", 405: "method_not_allowed"}

_T = TypeVar("_T")


class Service:
    """Answers requests.

    Args:
        limits: Of one request.
        keys: Clients send one as ``Authorization: Bearer KEY``.
        workers: Requests computed at once.
        version: Of the default model.

    Attributes:
        is_ready: Whether the models have answered once.
        metrics: What is counted.
        direct_routes: By method and path, those that FastAPI is not asked about.
        closers: Called when the service ends, before its threads do.
    """

    def __init__(self, *, limits: Limits, keys: Keys, workers: int, version: Callable[[], str]) -> None:
        self.limits, self.keys, self.is_ready = limits, keys, False
        self.metrics = Metrics()
        self.direct_routes: dict[tuple[str, str], Callable[[Request], Awaitable[Response]]] = {}
        self.closers: list[Callable[[], object]] = []
        self._version = version
        self._queue = AdmissionQueue(workers, limits, self.metrics.observe_batch)
        self.metrics.watch(lambda: self._queue.num_admitted)

    @property
    def batcher(self) -> Batcher:
        """Computes what requests ask for."""
        return self._queue.batcher

    async def score_body(
        self, request: Request, read: Callable[[Any], Work], *, any_text: bool = False
    ) -> Reply:
        """Read a request's JSON, and answer what it asks of a model in a batch with others.

        With ``any_text`` ``read`` checks for halves of surrogate pairs itself.

        Raises:
            Problem: The body is too long, late, packed in another way or not JSON, the queue is full, or
                the request timed out.
            ClientDisconnect: The client has gone; nothing more is computed for it.
        """
        parsed, is_short = await self._body(request, any_text=any_text)

        async def work() -> Reply:
            found = read(parsed()) if is_short else await self._queue.run(lambda: read(parsed()))
            probs = await self._queue.batcher.probs(found)
            if is_short and len(probs) <= _SHORT_REPLY:
                return found.reply(probs)
            return await self._queue.run(lambda: found.reply(probs))

        return await self._queue.admit(lambda: unless_gone(request, work()))

    async def process_body(
        self, request: Request, work: Callable[[Any], _T], *, any_text: bool = False
    ) -> _T:
        """Read a request's JSON and run some work on it in a thread; otherwise as ``score_body``."""
        parsed, _ = await self._body(request, any_text=any_text)
        return await self._queue.admit(lambda: self._queue.run(lambda: work(parsed())))

    async def _body(self, request: Request, *, any_text: bool) -> tuple[Callable[[], Any], bool]:
        """What parses a request's body, and whether that takes next to no time."""
        codings = content_codings(request.headers.getlist("content-encoding"))
        body = await read_body(request, self.limits)

        def parsed() -> Any:  # noqa: ANN401 - JSON is any
            return parse(decompress(body, codings, self.limits), any_text=any_text)

        return parsed, not codings and len(body) <= _SHORT_BODY

    async def answer(
        self, request: Request, reply: Callable[[], Awaitable[Reply | Response]], *, admin: bool = False
    ) -> Response:
        """Check the key and respond to a request; whatever ``reply`` raises becomes an error response."""
        started = time.perf_counter()
        made: Reply | None = None
        request_id = request.scope.get("state", {}).get("request_id", "")
        try:
            self.check_key(request, admin=admin)
            answered = await reply()
            if isinstance(answered, Response):
                response = answered
            else:
                made = answered
                headers = {VERSION_HEADER: made.version or self._version()}
                response = Response(made.content, 200, headers, "application/json")
        except ClientDisconnect:
            response = Response(status_code=400)
        except Exception as error:  # noqa: BLE001 - a traceback could quote a review; _to_problem logs the rest
            response = self.error(_to_problem(error, request_id))
        self._note_when_sent(request, response, time.perf_counter() - started, made, request_id)
        return response

    def _note_when_sent(
        self, request: Request, response: Response, seconds: float, reply: Reply | None, request_id: str
    ) -> None:
        """Count and log a request behind its reply, which nothing of that can change."""

        async def note() -> None:
            self._note(request, response.status_code, seconds, reply, request_id)

        response.background = BackgroundTask(note)

    def check_key(self, request: Request, *, admin: bool = False) -> None:
        """Check that a request has the key of a client, or of an admin.

        Raises:
            Problem: 401; 404 where nobody is an admin.
        """
        authorization = request.headers.get("authorization", "")
        if admin and not self.keys.has_admin:
            raise Problem(404, "not_found", f"off: set {ADMIN_VARIABLE} to a key to use this route")
        if admin and not self.keys.allow_admin(authorization):
            raise Problem(401, "unauthorized", "send the key of an admin as 'Authorization: Bearer KEY'")
        if not admin and not self.keys.allow(authorization):
            raise Problem(401, "unauthorized", "send the key of this service as 'Authorization: Bearer KEY'")

    def error(self, problem: Problem) -> Response:
        """A problem as a response."""
        headers = {VERSION_HEADER: self._version()}
        if problem.retry_after_s is not None:
            headers["retry-after"] = str(problem.retry_after_s)
        if problem.status == 401:
            headers["www-authenticate"] = "Bearer"
        if problem.status == 415:
            headers["accept-encoding"] = ACCEPTED_CODINGS
        content = to_json({"code": problem.code, "message": problem.message})
        return Response(content, problem.status, headers, "application/json")

    def _note(
        self, request: Request, status: int, seconds: float, reply: Reply | None, request_id: str
    ) -> None:
        """Count a request, and log it."""
        # The path of a file holds its id, which is for its owner alone.
        path = str(getattr(request.scope.get("route"), "path", request.scope["path"]))
        self.metrics.observe_request(path, status, seconds, reply)
        num_rows = 0 if reply is None else reply.num_rows
        took_ms = round(seconds * 1000, 1)
        fields: dict[str, object] = {"request_id": request_id, "route": path, "status": status}
        fields |= {"rows": num_rows, "ms": took_ms}
        if reply is not None and reply.model:
            fields |= {"model": reply.model, "version": reply.version}
        _LOG.info("%s %d: %d rows, %.1f ms", path, status, num_rows, took_ms, extra={"fields": fields})

    async def warm_up(self, work: Callable[[], object]) -> None:
        """Run the model once before the first request."""
        await self._queue.run(work)
        self.is_ready = True

    def close(self) -> None:
        """Wait for running work."""
        self.is_ready = False
        for close in self.closers:
            close()
        self._queue.close()


def base_app(service: Service, warm: Callable[[], object]) -> WrappedApp:
    """An app with what every service has: /live, /ready, JSON errors, warm-up and graceful shutdown.

    ``warm`` predicts one example; it is called once at the start, in the admission queue.
    """

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await service.warm_up(warm)
        yield
        await asyncio.to_thread(service.close)

    # The interactive pages load their scripts from a CDN.
    app = WrappedApp(title="attar", version=__version__, lifespan=lifespan, docs_url=None, redoc_url=None)
    app.add_middleware(HeadAsGet)
    app.outermost = RequestIds(DirectRoutes(app.outermost, service.direct_routes))

    @app.exception_handler(HTTPException)
    async def refused(_: Request, error: HTTPException) -> Response:
        code = _CODES.get(error.status_code, "invalid_request")
        response = service.error(Problem(error.status_code, code, str(error.detail)))
        response.headers.update(error.headers or {})
        return response

    @app.get("/live", summary="The process is running")
    async def live() -> Response:
        return JSONResponse({"status": "live"})

    @app.get("/ready", summary="The model is loaded")
    async def ready() -> Response:
        if service.is_ready:
            return JSONResponse({"status": "ready"})
        return service.error(Problem(503, "not_ready", "the model is being loaded", retry_after_s=1))

    return app


def _to_problem(error: Exception, request_id: str) -> Problem:
    """The response to an exception; what a client must not see goes to the log, and reviews to neither."""
    match error:
        case Problem():
            return error
        case DataError():
            return Problem(400, "invalid_data", str(error))
        case AttarError():
            _LOG.error("%s", error, extra={"fields": {"request_id": request_id}})
            return Problem(
                503, "model_unavailable", "the model cannot be used now; the log of the service says why"
            )
        case _:
            where = traceback.extract_tb(error.__traceback__)[-1]
            _LOG.error(
                "%s at %s:%s", type(error).__name__, Path(where.filename).name, where.lineno,
                extra={"fields": {"request_id": request_id}},
            )  # fmt: skip
            return Problem(500, "internal", "an internal error; the log of the service says where")
