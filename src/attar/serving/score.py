"""``POST /v1/score``: rows in, a prediction for each occurrence of their terms out.

A row without an answer has its reason beside the answers of the others; with ``"strict": true`` it refuses
the whole request.
"""

from __future__ import annotations

from typing import Annotated, Any

from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, StrictBool, ValidationError

from attar.serving.limits import Limits, Problem, check_num_rows
from attar.serving.models import ServedModel
from attar.serving.rows import Asked, KnownTerms, RowQuery, ScoreRow, ScoreRowReader
from attar.serving.work import Reply, Work, make_reply

__all__ = [
    "Mention",
    "ModelReply",
    "ModelsReply",
    "ProblemReply",
    "ReloadReply",
    "RowReply",
    "ScoreReply",
    "ScoreRequest",
    "score",
]

_REQUEST_KEYS = {"rows", "strict", "window"}


class ScoreRequest(BaseModel):
    """The rows to predict."""

    model_config = ConfigDict(extra="forbid")

    rows: list[ScoreRow]
    strict: Annotated[StrictBool, Field(description="One unusable row refuses the whole request.")] = False
    window: Annotated[
        StrictBool, Field(description="Each mention also has the part of its text that the model read.")
    ] = False


class Mention(BaseModel):
    """One occurrence and its prediction."""

    term: Annotated[str | None, Field(description="Left out where the task has no terms.")] = None
    found: Annotated[str | None, Field(description="As it stands; only with a list of terms.")] = None
    category: Annotated[str | None, Field(description="Of the term; only with a list of terms.")] = None
    label: str
    prob: float
    probs: dict[str, float]
    start: int
    end: int
    window: Annotated[
        tuple[int, int] | None, Field(description="Start and end of what was read; only if asked for.")
    ] = None


class ProblemReply(BaseModel):
    """Why the request, or a row, failed."""

    code: str
    message: str


class RowReply(BaseModel):
    """The occurrences of a row's terms, beside the row's further fields."""

    model_config = ConfigDict(extra="allow")

    id: Annotated[Any, Field(description="As sent; left out if the row has none.")] = None
    mentions: list[Mention]
    not_found: Annotated[list[str] | None, Field(description="Those of several terms that do not occur.")] = (
        None
    )
    error: Annotated[ProblemReply | None, Field(description="Why there are no mentions.")] = None


class ScoreReply(BaseModel):
    """A reply for each row, in order, and the version of the model."""

    version: str
    rows: list[RowReply]


class ModelReply(BaseModel):
    """A served model."""

    name: str
    version: str
    task: str
    labels: list[str]
    style: str
    precision: str
    limits: dict[str, int | float]
    terms: Annotated[int, Field(description="Known terms, for rows that name none.")]


class ModelsReply(BaseModel):
    """The served models, the default one first."""

    models: list[ModelReply]


class ReloadReply(BaseModel):
    """What a reload has changed."""

    changed: list[str]
    models: Annotated[dict[str, str], Field(description="Version by name, as served now.")]


def score(
    value: Any,  # noqa: ANN401 - JSON is any
    served: ServedModel,
    limits: Limits,
    terms: KnownTerms | None = None,
) -> Work:
    """What a request's rows ask of a model; ``value`` is its parsed body.

    Raises:
        Problem: 422 with the code of the reason, and a message that names the row.
    """
    rows, strict, with_window = _rows(value, limits)
    predictor, version = served.predictor, served.version
    reader = ScoreRowReader(predictor.task, limits, terms)
    queries = [reader.read(row, index, strict=strict) for index, row in enumerate(rows)]
    labels = predictor.task.labels

    def mention(asked: Asked, probs: list[float]) -> dict[str, Any]:
        made = _mention(asked, probs, labels)
        return made | {"window": predictor.window(asked.example)} if with_window else made

    def reply(probs: NDArray[Any]) -> Reply:
        pending = iter(probs.tolist())
        replies = [_row(one, [mention(asked, next(pending)) for asked in one.asked]) for one in queries]
        reasons = [one.error.code for one in queries if one.error is not None]
        content = {"version": version, "rows": replies}
        return make_reply(content, num_rows=len(rows), version=version, model=served.name, rejected=reasons)

    examples = [asked.example for one in queries for asked in one.asked]
    return Work(predictor.predict_probs, examples, len(labels), served.name, reply)


def _rows(value: Any, limits: Limits) -> tuple[list[Any], bool, bool]:  # noqa: ANN401 - JSON is any
    """The rows, and whether the request is strict and asks for windows."""
    if isinstance(value, dict) and isinstance(value.get("rows"), list):
        rows, strict, window = value["rows"], value.get("strict", False), value.get("window", False)
        # Before each row is validated.
        check_num_rows(len(rows), limits)
        if isinstance(strict, bool) and isinstance(window, bool) and value.keys() <= _REQUEST_KEYS:
            return rows, strict, window
        value = {**value, "rows": []}
    try:
        ScoreRequest.model_validate(value)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False, include_context=False)[0]
        # A key that the client invented may hold anything, so only known ones are shown.
        path = [f".{p}" if p in _REQUEST_KEYS else ".?" for p in first["loc"]]
        where = "".join(path).lstrip(".") or "the body"
        raise Problem(422, "invalid_request", f"{where}: {first['msg']}") from None
    raise AssertionError("a request that is valid after all")


def _row(query: RowQuery, mentions: list[dict[str, Any]]) -> dict[str, Any]:
    made = {**query.echo, "mentions": mentions}
    if query.not_found:
        made["not_found"] = query.not_found
    if query.error is not None:
        message = f"{query.error.field.lstrip('.')}: {query.error.message}".removeprefix(": ")
        made["error"] = {"code": query.error.code, "message": message}
    return made


def _mention(asked: Asked, probs: list[float], labels: tuple[str, ...]) -> dict[str, Any]:
    rounded = {label: round(prob, 6) for label, prob in zip(labels, probs, strict=True)}
    label = labels[probs.index(max(probs))]
    span = {"start": asked.example.start, "end": asked.example.end}
    return {**asked.naming, "label": label, "prob": rounded[label], "probs": rounded, **span}
