"""``POST /v1/score``: rows in, a prediction for each occurrence of their terms out.

Rows are read by the code that reads them for ``attar score``, so that both give the same predictions and
reject the same rows for the same reasons.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StrictInt, StrictStr, ValidationError

from attar.scoring.predictor import Predictor
from attar.scoring.spans import ExampleReader
from attar.serving.limits import Limits, MentionCount, Problem, check_num_rows, text_problem
from attar.serving.service import Reply, make_reply
from attar.task import Example

__all__ = [
    "Mention",
    "ModelReply",
    "ProblemReply",
    "RowReply",
    "ScoreReply",
    "ScoreRequest",
    "ScoreRow",
    "score",
]

_REASONS = {
    "empty_text": "its text is empty, or only the address of a text",
    "empty_term": "needs a term that is not empty, or start and end",
    "bad_offsets": "start and end must be half-open offsets within its text, in Unicode code points",
    "offsets_not_at_term": "text[start:end] is not its term; give offsets in Unicode code points",
}


def _number_as_text(value: Any) -> Any:  # noqa: ANN401 - JSON is any
    value = _whole_as_int(value)
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value


def _whole_as_int(value: Any) -> Any:  # noqa: ANN401 - JSON is any
    return int(value) if isinstance(value, float) and value.is_integer() else value


# As in a table: 618 is the text "618", and 2.0 the offset 2.
_Text = Annotated[StrictStr, BeforeValidator(_number_as_text)]
_Offset = Annotated[StrictInt, BeforeValidator(_whole_as_int)]


class ScoreRow(BaseModel):
    """A text, and the term whose sentiment is predicted; a number is read as its text."""

    model_config = ConfigDict(extra="forbid")

    text: _Text
    term: Annotated[
        _Text | None,
        Field(description="The term, or the second sentence of a pair; every occurrence is scored."),
    ] = None
    start: Annotated[
        _Offset | None, Field(description="With end: only this occurrence; Unicode code points, half open.")
    ] = None
    end: _Offset | None = None


class ScoreRequest(BaseModel):
    """The rows to predict."""

    model_config = ConfigDict(extra="forbid")

    rows: list[ScoreRow]


class Mention(BaseModel):
    """One occurrence and its prediction."""

    label: str
    prob: float
    probs: dict[str, float]
    start: int
    end: int


class RowReply(BaseModel):
    """The occurrences of a row's term; empty if the text does not hold it."""

    mentions: list[Mention]


class ScoreReply(BaseModel):
    """A reply for each row, in order, and the version of the model."""

    version: str
    rows: list[RowReply]


class ModelReply(BaseModel):
    """The served model."""

    version: str
    task: str
    labels: list[str]
    style: str
    precision: str
    limits: dict[str, int | float]


class ProblemReply(BaseModel):
    """Why the request failed."""

    code: str
    message: str


def score(value: Any, predictor: Predictor, limits: Limits) -> Reply:  # noqa: ANN401 - JSON is any
    """Score a request's rows; ``value`` is its parsed body.

    Raises:
        Problem: 422 with the code of the reason, and a message that names the row.
    """
    rows = _rows(value, limits)
    reader = ExampleReader(predictor.task, repair=False)
    counted = MentionCount(limits)
    examples: list[list[Example]] = []
    for index, row in enumerate(rows):
        where = f"rows[{index}]"
        if too_long := text_problem(row.text, limits):
            raise Problem(422, "text_too_long", f"{where}: {too_long}")
        found = reader.examples(row.model_dump())
        found = [] if found == "term_not_found" else found
        if isinstance(found, str):
            code = _code(found, row)
            raise Problem(422, code, f"{where}: {_REASONS[code]}")
        counted.add(where, len(found))
        examples.append(found)
    probs = iter(predictor.predict_probs([one for found in examples for one in found]).tolist())
    labels = predictor.task.labels
    replies = [{"mentions": [_mention(one, next(probs), labels) for one in found]} for found in examples]
    version = predictor.artifact.version
    return make_reply({"version": version, "rows": replies}, num_rows=len(rows))


def _rows(value: Any, limits: Limits) -> list[ScoreRow]:  # noqa: ANN401 - JSON is any
    # Before each row is validated.
    if isinstance(value, dict) and isinstance(value.get("rows"), list):
        check_num_rows(len(value["rows"]), limits)
    try:
        return ScoreRequest.model_validate(value).rows
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False, include_context=False)[0]
        # A key that the client invented may hold anything, so only known ones are shown.
        known = {"rows", *ScoreRow.model_fields}
        path = [f"[{p}]" if isinstance(p, int) else f".{p}" if p in known else ".?" for p in first["loc"]]
        where = "".join(path).lstrip(".") or "the body"
        raise Problem(422, "invalid_request", f"{where}: {first['msg']}") from None


def _code(reason: str, row: ScoreRow) -> str:
    """The code of a row that cannot be used: the API tells offsets apart that files do not."""
    if row.start is None and row.end is None:
        return reason
    within = row.start is not None and row.end is not None and 0 <= row.start < row.end <= len(row.text)
    named = {"bad_offsets": "offsets_not_at_term" if within else "bad_offsets", "empty_term": "bad_offsets"}
    return named.get(reason, reason)


def _mention(example: Example, probs: list[float], labels: tuple[str, ...]) -> dict[str, Any]:
    rounded = {label: round(prob, 6) for label, prob in zip(labels, probs, strict=True)}
    label = labels[probs.index(max(probs))]
    span = {"start": example.start, "end": example.end}
    return {"label": label, "prob": rounded[label], "probs": rounded, **span}
