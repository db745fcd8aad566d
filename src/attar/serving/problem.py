"""Why a request fails: an HTTP status, a stable code, and one line that never quotes a review.

Whatever handles a request raises ``Problem``; ``attar.serving.service`` turns it into
``{"code": ..., "message": ...}``.
"""

from __future__ import annotations

import json
from typing import Any

__all__ = ["Problem", "to_json"]


class Problem(Exception):  # noqa: N818 - a response, not a failure of the service
    """An error response to a request.

    Args:
        status: HTTP status.
        code: Stable, for programs.
        message: One line for people: where, and what was expected. Never the text of a review.
        retry_after_s: Seconds after which to retry; None if a retry cannot help.
    """

    def __init__(self, status: int, code: str, message: str, *, retry_after_s: int | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.retry_after_s = retry_after_s


def to_json(value: Any) -> bytes:  # noqa: ANN401 - JSON is any
    """A response body: UTF-8, Chinese unescaped; NaN, which JSON does not have, is an error."""
    try:
        return _dumps(value, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError:
        # A row with half of a surrogate pair is returned as it was sent: as an escape.
        return _dumps(value, ensure_ascii=True).encode("ascii")


def _dumps(value: Any, *, ensure_ascii: bool) -> str:  # noqa: ANN401 - JSON is any
    return json.dumps(value, ensure_ascii=ensure_ascii, allow_nan=False, separators=(",", ":"))
