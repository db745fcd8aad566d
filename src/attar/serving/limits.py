"""The limits of one request, reading a body within them, and ``Problem``: why a request fails.

Bytes are counted as they arrive: a Content-Length may be missing or wrong. Whatever handles a request
raises ``Problem``; ``attar.serving.service`` turns it into ``{"code": ..., "message": ...}``.
"""

from __future__ import annotations

import asyncio
import json
import math
import re
from collections.abc import AsyncIterator
from dataclasses import asdict, dataclass
from typing import Any

from starlette.requests import Request

__all__ = [
    "CLASSIC_LIMITS",
    "DEFAULT_LIMITS",
    "Limits",
    "MentionCount",
    "Problem",
    "check_num_rows",
    "parse",
    "read_body",
    "text_problem",
    "too_long",
]

_MIB = 1 << 20
_FORM = re.compile(rb"--[^\r\n]+\r?\nContent-Disposition|[A-Za-z_][\w.%-]*=", re.IGNORECASE)
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")
_DISCARD_S = 2.0


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
        self.status, self.code, self.message = status, code, message
        self.retry_after_s = retry_after_s


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of one request and of the admission queue.

    Attributes:
        max_body_bytes: Longest body; 413 above it.
        max_rows: Rows in one request; 422 above it.
        max_chars: Code points in one text; 422 above it.
        max_mentions: Occurrences of terms in one request; 422 above it.
        max_terms: Terms of one row; above it the row has no answer.
        max_waiting: Requests that may wait in the queue; 503 above it.
        timeout_s: For the body to arrive (408), and for the response to be ready (503).
        max_connections: Connections open at once; above it the longest idle one is closed, or 503.
        header_timeout_s: For a request's head to arrive; then the connection is closed.
    """

    max_body_bytes: int = _MIB
    max_rows: int = 512
    max_chars: int = 5_000
    max_mentions: int = 1_024
    max_terms: int = 256
    max_waiting: int = 64
    timeout_s: float = 30.0
    max_connections: int = 512
    header_timeout_s: float = 15.0

    def __post_init__(self) -> None:
        assert min(asdict(self).values()) > 0, "a limit of 0 refuses every request"


DEFAULT_LIMITS = Limits()
# Clients of the original send whole data sets in one request and wait six minutes.
CLASSIC_LIMITS = Limits(
    max_body_bytes=64 * _MIB, max_rows=100_000, max_chars=20_000, max_mentions=200_000, timeout_s=360.0
)


async def read_body(request: Request, limits: Limits) -> bytes:
    """A request's body.

    Raises:
        Problem: 413 if it is too long, 408 if it does not arrive in time.
    """
    chunks: list[bytes] = []
    num_bytes = 0
    stream = request.stream()
    try:
        async with asyncio.timeout(limits.timeout_s):
            async for chunk in stream:
                num_bytes += len(chunk)
                if num_bytes > limits.max_body_bytes:
                    chunks.clear()
                    await _discard(stream, limits.max_body_bytes)
                    raise too_long(limits)
                chunks.append(chunk)
    except TimeoutError:
        raise Problem(408, "body_timeout", f"the body did not arrive within {limits.timeout_s:g} s") from None
    return b"".join(chunks)


def too_long(limits: Limits) -> Problem:
    """The error for a body that is longer than the limit."""
    return Problem(413, "body_too_large", f"the body is longer than {limits.max_body_bytes} bytes")


def parse(body: bytes, *, any_text: bool = False) -> Any:  # noqa: ANN401 - JSON is any
    """Parse a body as JSON, a byte order mark or none before it.

    Unless ``any_text`` is set, every string in it must be valid Unicode.

    Raises:
        Problem: 400, it is not JSON, an object has a key twice, or a string holds half of a surrogate
            pair.
    """
    try:
        value = _DECODER.decode(body.decode("utf-8-sig"))
        if not any_text and _SURROGATE.search(body):
            json.dumps(value, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError:
        surrogate = "the body holds half of a surrogate pair (\\ud800-\\udfff)"
        raise Problem(400, "invalid_text", surrogate) from None
    except UnicodeDecodeError as error:
        problem = f"is not UTF-8 (byte {error.start}); send UTF-8, not GBK or another charset"
    except json.JSONDecodeError as error:
        problem = _not_json(body, error)
    except _UnusableError as error:
        problem = str(error)
    except ValueError:
        problem = "holds a number that is out of range"
    except RecursionError:
        problem = "is nested too deeply"
    else:
        return value
    raise Problem(400, "invalid_json", f"the body {problem}")


def check_num_rows(num_rows: int, limits: Limits) -> None:
    """Refuse too many rows.

    Raises:
        Problem: 422.
    """
    if num_rows > limits.max_rows:
        raise Problem(
            422, "too_many_rows", f"{num_rows} rows in one request; at most {limits.max_rows}: send several"
        )


def text_problem(text: str, limits: Limits) -> str | None:
    """Why a text is too long; None if it is not."""
    if len(text) <= limits.max_chars:
        return None
    return f"{len(text)} characters; a text may have {limits.max_chars}"


class MentionCount:
    """Counts the occurrences of a request against the limit.

    A short term may occur thousands of times in a long text, and each occurrence is a model input.
    """

    def __init__(self, limits: Limits) -> None:
        self._left = self._limit = limits.max_mentions

    def add(self, where: str, count: int) -> None:
        """Add the occurrences of one row.

        Raises:
            Problem: 422, there are too many.
        """
        self._left -= count
        if self._left < 0:
            raise Problem(
                422,
                "too_many_mentions",
                f"{where}: the terms up to here occur more than {self._limit} times; send fewer rows, "
                "or the offsets of single occurrences",
            )


async def _discard(stream: AsyncIterator[bytes], most: int) -> None:
    """Read on for a while: a client that is still sending would get a reset instead of the response."""
    try:
        async with asyncio.timeout(_DISCARD_S):
            async for chunk in stream:
                most -= len(chunk)
                if most < 0:
                    return
    except TimeoutError:
        return


class _UnusableError(ValueError):
    """JSON that Python would read, but other programs would not, or not as the same."""


def _finite(number: str) -> float:
    value = float(number)
    if not math.isfinite(value):
        raise ValueError(number[:20])
    return value


def _no_constant(name: str) -> float:
    raise _UnusableError(f"holds {name}, which JSON does not have; send null or leave it out")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise _UnusableError("has an object with the same key twice")
    return found


def _not_json(body: bytes, error: json.JSONDecodeError) -> str:
    if not body.strip():
        return "is empty; send JSON"
    hint = "; it looks like a form: send the JSON itself as the body" if _FORM.match(body) else ""
    return f"is not JSON: {error.msg} (character {error.pos}){hint}"


# json.loads with hooks would make one for each body.
_DECODER = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_no_constant, parse_float=_finite)
