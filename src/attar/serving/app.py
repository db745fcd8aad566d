"""The app: artifacts behind HTTP.

``POST /v1/score``, ``GET /v1/model`` and ``/v1/models``, ``/live``, ``/ready`` and ``/metrics``,
``POST /admin/reload``, ``/docs``, the page at ``/`` with ``/v1/files``, and the routes that a caller adds.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from fastapi import APIRouter, FastAPI, Request
from fastapi.middleware.cors import CORSMiddleware
from starlette.responses import Response

from attar.artifact import Artifact
from attar.errors import AttarError
from attar.scoring.predictor import Predictor
from attar.serving.docs import docs_router
from attar.serving.files import FileRoutes
from attar.serving.keys import Keys
from attar.serving.limits import DEFAULT_LIMITS, Limits, Problem
from attar.serving.metrics import METRICS_TYPE
from attar.serving.models import Models, ServedModel, warm_up
from attar.serving.page import page_router
from attar.serving.request_log import ID_HEADER
from attar.serving.rows import KnownTerms
from attar.serving.score import (
    ModelReply,
    ModelsReply,
    ProblemReply,
    ReloadReply,
    ScoreReply,
    ScoreRequest,
    score,
)
from attar.serving.service import VERSION_HEADER, Service, base_app
from attar.serving.uploads import DEFAULT_FILE_LIMITS, FileLimits, FileStore
from attar.serving.work import Reply, make_reply

__all__ = ["AppOptions", "create_app", "reload_service"]

_PROBLEMS: dict[int | str, dict[str, Any]] = {
    400: {"model": ProblemReply, "description": "Not JSON, or not packed as Content-Encoding says"},
    401: {"model": ProblemReply, "description": "The key is missing or wrong"},
    404: {"model": ProblemReply, "description": "No such model"},
    408: {"model": ProblemReply, "description": "The body did not arrive in time"},
    413: {"model": ProblemReply, "description": "The body is too long"},
    415: {"model": ProblemReply, "description": "The Content-Encoding is not taken"},
    422: {"model": ProblemReply, "description": "A limit is exceeded, or strict and a row cannot be used"},
    503: {"model": ProblemReply, "description": "Busy; Retry-After says when to try again"},
}
_OF_A_MODEL: dict[int | str, dict[str, Any]] = {code: _PROBLEMS[code] for code in (401, 404)}
_MODEL_PARAMETER = {
    "name": "model",
    "in": "query",
    "required": False,
    "description": "Name or version of a served model; the first by default.",
    "schema": {"type": "string"},
}


@dataclass(frozen=True, slots=True)
class AppOptions:
    """What an app has besides models.

    Attributes:
        keys: What clients must send; None serves anyone.
        terms: Found in rows that name none.
        cors: Origins whose pages may call the service.
        workers: Batches computed at once; None takes those of the models.
        page: Whether there is a page at ``/``, and files can be uploaded.
        file_limits: Of these.
    """

    keys: Keys | None = None
    terms: KnownTerms | None = None
    cors: Sequence[str] = ()
    workers: int | None = None
    page: bool = True
    file_limits: FileLimits = DEFAULT_FILE_LIMITS


def create_app(
    models: Models | Predictor,
    *,
    limits: Limits = DEFAULT_LIMITS,
    api_key: str | None = None,
    routes: Callable[[Service], APIRouter] | None = None,
    options: AppOptions | None = None,
) -> FastAPI:
    """An app that serves artifacts.

    Args:
        models: The caller closes them; a lone predictor is called "artifact".
        limits: Of one request.
        api_key: What clients must send as ``Authorization: Bearer KEY``, if ``options`` has no keys; None
            serves anyone.
        routes: Makes further routes, which share the key, the limits and the queue.
        options: The rest.
    """
    served = models if isinstance(models, Models) else Models({"artifact": models})
    options = options or AppOptions()
    service = Service(
        limits=limits,
        keys=options.keys or Keys.of(api_key),
        workers=options.workers or served.workers,
        version=lambda: served.default.version,
    )
    app = base_app(service, lambda: _warm_up(served, service))
    _add_score(app, service, served, options.terms)
    _add_models(app, service, served, options.terms)
    _add_operations(app, service, served)
    app.include_router(docs_router())
    if options.page:
        _add_page(app, service, served, options)
    if routes is not None:
        app.include_router(routes(service))
    if options.cors:
        app.outermost = CORSMiddleware(
            app.outermost,
            allow_origins=list(options.cors),
            allow_methods=["GET", "POST"],
            allow_headers=["authorization", "content-type", ID_HEADER],
            expose_headers=[VERSION_HEADER, ID_HEADER, "retry-after"],
        )
    return app


def reload_service(models: Models, service: Service) -> list[str]:
    """Read the keys and the artifacts again, and serve what has changed.

    Returns:
        The names of the models that have.

    Raises:
        AttarError: A key or an artifact cannot be used; what was served still is.
    """
    try:
        service.keys.reload()
        changed = models.reload()
    except AttarError:
        service.metrics.observe_reload(succeeded=False)
        raise
    service.metrics.observe_reload(succeeded=True)
    service.metrics.set_models((one.name, one.version) for one in models.all)
    return changed


def _warm_up(models: Models, service: Service) -> None:
    for one in models.all:
        warm_up(one.predictor)
    service.metrics.set_models((one.name, one.version) for one in models.all)


def _add_score(app: FastAPI, service: Service, models: Models, terms: KnownTerms | None) -> None:
    async def score_route(request: Request) -> Response:
        async def reply() -> Reply:
            model = models.get(request.query_params.get("model"))
            return await service.score_body(request, lambda value: score(value, model, service.limits, terms))

        return await service.answer(request, reply)

    app.post(
        "/v1/score",
        summary="Score every occurrence of a row's terms, or the one at start and end",
        responses={200: {"model": ScoreReply}, **_PROBLEMS},
        openapi_extra={
            "parameters": [_MODEL_PARAMETER],
            "requestBody": _request_body(ScoreRequest.model_json_schema()),
        },
    )(score_route)
    # FastAPI's own way to a route takes longer than the rest of a short request.
    service.direct_routes["POST", "/v1/score"] = score_route


def _max_tokens(artifact: Artifact) -> dict[str, int]:
    """A linear model reads characters, and members of a cascade each what they do."""
    return {"max_tokens": artifact.input["max_tokens"]} if "max_tokens" in artifact.input else {}


def _add_models(app: FastAPI, service: Service, models: Models, terms: KnownTerms | None) -> None:
    def card(one: ServedModel) -> dict[str, Any]:
        artifact = one.predictor.artifact
        return ModelReply(
            name=one.name,
            version=artifact.version,
            task=artifact.task.name,
            labels=list(artifact.task.labels),
            style=artifact.task.style,
            precision=artifact.precision,
            limits={**_max_tokens(artifact), **asdict(service.limits)},
            terms=0 if terms is None else len(terms.finder.terms),
        ).model_dump()

    @app.get(
        "/v1/model",
        summary="Task, labels, version and limits of a model",
        responses={200: {"model": ModelReply}, **_OF_A_MODEL},
        openapi_extra={"parameters": [_MODEL_PARAMETER]},
    )
    async def model_route(request: Request) -> Response:
        async def reply() -> Reply:
            one = models.get(request.query_params.get("model"))
            return make_reply(card(one), version=one.version)

        return await service.answer(request, reply)

    @app.get(
        "/v1/models",
        summary="All served models, the default one first",
        responses={200: {"model": ModelsReply}, 401: _PROBLEMS[401]},
    )
    async def models_route(request: Request) -> Response:
        async def reply() -> Reply:
            return make_reply({"models": [card(one) for one in models.all]})

        return await service.answer(request, reply)


def _add_page(app: FastAPI, service: Service, models: Models, options: AppOptions) -> None:
    store = FileStore(options.file_limits)
    service.closers.append(store.close)
    service.metrics.watch_files(lambda: store.num_held)
    app.include_router(FileRoutes(service, models, options.terms, store).router())
    app.include_router(page_router())


def _add_operations(app: FastAPI, service: Service, models: Models) -> None:
    @app.get("/metrics", summary="Counters in Prometheus's text format", responses={401: _PROBLEMS[401]})
    async def metrics_route(request: Request) -> Response:
        try:
            service.check_key(request)
        except Problem as problem:
            return service.error(problem)
        return Response(service.metrics.text(), media_type=METRICS_TYPE)

    @app.post(
        "/admin/reload",
        summary="Read the keys and the artifacts again; needs the key of an admin",
        responses={
            200: {"model": ReloadReply},
            **_OF_A_MODEL,
            409: {"model": ProblemReply, "description": "Not reloaded; what was served still is"},
        },
    )
    async def reload_route(request: Request) -> Response:
        async def reply() -> Reply:
            try:
                changed = await asyncio.to_thread(reload_service, models, service)
            except AttarError as error:
                raise Problem(409, "reload_failed", str(error)) from None
            versions = {one.name: one.version for one in models.all}
            return make_reply({"changed": changed, "models": versions})

        return await service.answer(request, reply, admin=True)


def _request_body(schema: dict[str, Any]) -> dict[str, Any]:
    """A request body in OpenAPI, with the schema's references inlined."""
    text = {"content": {"application/json": {"schema": _inlined(schema, schema.get("$defs", {}))}}}
    return {"required": True, **text}


def _inlined(value: Any, definitions: dict[str, Any]) -> Any:  # noqa: ANN401 - JSON is any
    if isinstance(value, dict):
        if "$ref" in value:
            return _inlined(definitions[value["$ref"].rpartition("/")[2]], definitions)
        return {key: _inlined(inner, definitions) for key, inner in value.items() if key != "$defs"}
    return [_inlined(inner, definitions) for inner in value] if isinstance(value, list) else value
