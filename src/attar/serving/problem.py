"""What a request cannot have: a status, a stable code, and a line that never quotes a review.

Everything on the way of a request raises ``Problem``; ``attar.serving.service`` turns it into
``{"code": ..., "message": ...}``.
"""

from __future__ import annotations

import json
from typing import Any

__all__ = ["Problem", "to_json"]


class Problem(Exception):  # noqa: N818 - it is an answer, not a failure of ours
    """A request that is answered with an error.

    Args:
        status: HTTP status.
        code: Stable, for programs.
        message: One line for people: where, what was expected. Never the content of a review.
        retry_after_s: Seconds after which it is worth asking again; None where it never is.
    """

    def __init__(self, status: int, code: str, message: str, *, retry_after_s: int | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.retry_after_s = retry_after_s


def to_json(value: Any) -> bytes:  # noqa: ANN401 - JSON is any
    """A reply's bytes: UTF-8, Chinese as it is, and no NaN, which JSON does not know."""
    try:
        return _dumps(value, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError:
        # A row with half of a surrogate pair goes back as it came: as an escape.
        return _dumps(value, ensure_ascii=True).encode("ascii")


def _dumps(value: Any, *, ensure_ascii: bool) -> str:  # noqa: ANN401 - JSON is any
    return json.dumps(value, ensure_ascii=ensure_ascii, allow_nan=False, separators=(",", ":"))
