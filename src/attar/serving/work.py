"""Work and Reply: what a route asks of the models, and what it answers."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from attar.serving.limits import Problem
from attar.task import Example

__all__ = ["Probs", "Reply", "Work", "make_reply", "to_json"]

# json.dumps with arguments would make one for each reply.
_PLAIN = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))
_ESCAPED = json.JSONEncoder(ensure_ascii=True, allow_nan=False, separators=(",", ":"))

Probs = Callable[[Sequence[Example]], NDArray[np.float32]]
"""Examples -> probs [N, C]."""


class Reply(NamedTuple):
    """What a route returns.

    Attributes:
        content: JSON.
        num_rows: For the log.
        version: Of the model that predicted; "" for the default one.
        model: Its name.
        rejected: A reason for each row without an answer, for the metrics.
    """

    content: bytes
    num_rows: int
    version: str
    model: str = ""
    rejected: Sequence[str] = ()


class Work(NamedTuple):
    """A request that was read.

    Attributes:
        probs: The model; requests whose models are equal are computed together.
        examples: N of them.
        num_labels: C.
        model: Its name.
        reply: Probs [N, C] -> the reply.
    """

    probs: Probs
    examples: Sequence[Example]
    num_labels: int
    model: str
    reply: Callable[[NDArray[np.float32]], Reply]


def make_reply(
    value: Any,  # noqa: ANN401 - JSON is any
    *,
    num_rows: int = 0,
    version: str = "",
    model: str = "",
    rejected: Sequence[str] = (),
) -> Reply:
    """A reply; of much JSON call it in a thread, because serialising takes time too."""
    return Reply(to_json(value), num_rows, version, model, rejected)


def to_json(value: Any) -> bytes:  # noqa: ANN401 - JSON is any
    """A response body: UTF-8, Chinese unescaped; NaN, which JSON does not have, is an error.

    Raises:
        Problem: 400, what is echoed is nested so deeply that it could be read but not written.
    """
    try:
        return _dumps(value, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError:
        # A row with half of a surrogate pair is returned as it was sent: as an escape.
        return _dumps(value, ensure_ascii=True).encode("ascii")
    except RecursionError:
        raise Problem(400, "invalid_json", "the body is nested too deeply") from None


def _dumps(value: Any, *, ensure_ascii: bool) -> str:  # noqa: ANN401 - JSON is any
    return (_ESCAPED if ensure_ascii else _PLAIN).encode(value)
