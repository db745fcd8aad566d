"""The app: an artifact behind HTTP.

``POST /v1/score``, ``GET /v1/model``, ``/live`` and ``/ready``, and the routes that a caller adds.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from fastapi import APIRouter, FastAPI, Request
from starlette.responses import Response

from attar.scoring.predictor import Predictor
from attar.serving.limits import DEFAULT_LIMITS, Limits
from attar.serving.rows import KnownTerms
from attar.serving.score import ModelReply, ProblemReply, ScoreReply, ScoreRequest, score
from attar.serving.service import Service, base_app
from attar.serving.work import Reply, make_reply
from attar.task import Example

__all__ = ["create_app"]

_PROBLEMS: dict[int | str, dict[str, Any]] = {
    400: {"model": ProblemReply, "description": "Not JSON, or not packed as Content-Encoding says"},
    401: {"model": ProblemReply, "description": "The key is missing or wrong"},
    413: {"model": ProblemReply, "description": "The body is too long"},
    415: {"model": ProblemReply, "description": "The Content-Encoding is not taken"},
    422: {"model": ProblemReply, "description": "A row cannot be used, or a limit is exceeded"},
    503: {"model": ProblemReply, "description": "Busy; Retry-After says when to try again"},
}


def create_app(
    predictor: Predictor,
    *,
    limits: Limits = DEFAULT_LIMITS,
    api_key: str | None = None,
    routes: Callable[[Service], APIRouter] | None = None,
    terms: KnownTerms | None = None,
) -> FastAPI:
    """An app that serves one artifact.

    Args:
        predictor: Of the artifact; the caller closes it.
        limits: Of one request.
        api_key: What clients must send as ``Authorization: Bearer KEY``; None serves anyone.
        routes: Makes further routes, which share the key, the limits and the queue.
        terms: Found in rows that name none.
    """
    artifact = predictor.artifact
    service = Service(limits=limits, api_key=api_key, workers=predictor.workers, version=artifact.version)
    app = base_app(service, lambda: predictor.predict_probs([_first_example(predictor)]))
    card = ModelReply(
        name="artifact",
        version=artifact.version,
        task=artifact.task.name,
        labels=list(artifact.task.labels),
        style=artifact.task.style,
        precision=artifact.precision,
        limits={"max_tokens": artifact.input["max_tokens"], **asdict(limits)},
        terms=0 if terms is None else len(terms.finder.terms),
    ).model_dump()

    @app.post(
        "/v1/score",
        summary="Score every occurrence of a term, or the one at start and end",
        responses={200: {"model": ScoreReply}, **_PROBLEMS},
        openapi_extra={"requestBody": _request_body(ScoreRequest.model_json_schema())},
    )
    async def score_route(request: Request) -> Response:
        async def reply() -> Reply:
            return await service.score_body(request, lambda value: score(value, predictor, limits, terms))

        return await service.answer(request, reply)

    @app.get("/v1/model", summary="Task, labels, version and limits", responses={200: {"model": ModelReply}})
    async def model_route(request: Request) -> Response:
        async def reply() -> Reply:
            return make_reply(card)

        return await service.answer(request, reply)

    if routes is not None:
        app.include_router(routes(service))
    return app


def _first_example(predictor: Predictor) -> Example:
    end = 1 if predictor.task.has_term else 0
    return Example("好", 0, end, second="好" if predictor.task.style == "sentence_pair" else "")


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
