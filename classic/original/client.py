"""A client of the original's services: sends rows, returns labels and probabilities."""

from __future__ import annotations

import json
import os
import urllib.error
import urllib.request
from collections.abc import Sequence
from typing import Any

from attar.errors import DataError
from attar.records.prepared_folder import example_row
from attar.task import Example

__all__ = ["request_predictions"]

_ROWS_PER_REQUEST = 1000
_TIMEOUT_S = 360.0
_KEY_VARIABLE = "ATTAR_API_KEY"


def request_predictions(url: str, examples: Sequence[Example]) -> list[tuple[str, float]]:
    """Request the (label, probability) of each example from a service.

    Args:
        url: Such as ``http://127.0.0.1:5000/api/predict_macbert``; sends rows of seven columns,
            or of three if the keyword has no offsets.
        examples: Labelled.

    Raises:
        DataError: It does not respond, refuses, or responds with something else.
    """
    predictions: list[tuple[str, float]] = []
    for start in range(0, len(examples), _ROWS_PER_REQUEST):
        rows = [_row(example) for example in examples[start : start + _ROWS_PER_REQUEST]]
        found = _post(url, {"data": rows})
        if not isinstance(found, list) or len(found) != len(rows):
            raise DataError(f"{url}: expected {len(rows)} predictions, [label, probability, ...] each")
        predictions += [_prediction(url, start + at, one) for at, one in enumerate(found)]
    return predictions


def _row(example: Example) -> list[object]:
    if example.second:
        return [example.text, example.second, example.label]
    return example_row(example)[:7]


def _prediction(url: str, at: int, found: object) -> tuple[str, float]:
    match found:
        case [str(label), int(prob) | float(prob), *_]:
            return label, float(prob)
        case [None, None, *_, str(reason)]:
            raise DataError(f"{url}: cannot use row {at}: {reason}")
    raise DataError(f"{url}: a prediction is not [label, probability, ...]; is it a route of the original?")


def _post(url: str, value: object) -> Any:  # noqa: ANN401 - JSON is any
    if not url.startswith(("http://", "https://")):
        raise DataError(f"{url}: expected http://HOST:PORT/api/...")
    body = json.dumps(value, ensure_ascii=False).encode()
    headers = {"content-type": "application/json"}
    key = os.environ.get(_KEY_VARIABLE)
    if key:
        headers["authorization"] = f"Bearer {key}"
    request = urllib.request.Request(url, body, headers)  # noqa: S310 - http alone, see above
    try:
        with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as reply:  # noqa: S310
            return json.load(reply)
    except urllib.error.HTTPError as error:
        raise DataError(f"{url}: HTTP {error.code}: {_message(error)}") from error
    except OSError as error:
        reason = getattr(error, "reason", error)
        raise DataError(f"{url}: no response ({reason}); is the service running?") from error
    except ValueError as error:
        raise DataError(f"{url}: its response is not JSON; is it a service of the original?") from error


def _message(error: urllib.error.HTTPError) -> str:
    """The message of a service of attar, else the HTTP reason."""
    with error:
        try:
            return str(json.load(error)["message"])
        except (ValueError, KeyError, TypeError):
            return str(error.reason)
