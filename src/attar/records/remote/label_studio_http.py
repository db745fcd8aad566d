"""One conversation with a Label Studio server: who we are, and what to do when it stumbles.

Both kinds of tokens work: a legacy token is sent as it is, a personal access token (a JWT) is
exchanged for a short-lived one, and again when that has expired. The token goes to the server that
was named and nowhere else: redirects are not followed. Nothing here puts it into a message.
"""

from __future__ import annotations

import email.message
import http.client
import json
import logging
import os
import re
import time
import urllib.error
import urllib.parse
import urllib.request
from typing import Any, NamedTuple

from attar.errors import DataError

__all__ = ["TOKEN_VARIABLE", "Session", "token_from_environment"]

TOKEN_VARIABLE = "LABEL_STUDIO_API_KEY"  # noqa: S105 - the variable's name

_LOG = logging.getLogger(__name__)
_TIMEOUT_S = 60.0
_WAITS_S = (0.5, 1.0, 2.0, 4.0)
_LONGEST_WAIT_S = 60.0
_PASSING = (429, 500, 502, 503, 504)
_TOKEN = re.compile(r"[\x21-\x7e]+")


class _Response(NamedTuple):
    status: int
    headers: email.message.Message
    body: bytes


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """The default would send the token along to wherever the response points."""

    def redirect_request(self, *_: object) -> None:
        return None


class Session:
    """Requests to one server.

    Args:
        server: Its address without a slash in the end, such as ``https://HOST``.
        token: Legacy or personal access token.
    """

    def __init__(self, server: str, token: str) -> None:
        self.server = server
        self._token = token
        self._is_personal = token.count(".") == 2
        self._access = ""
        self._opener = urllib.request.build_opener(_NoRedirect())

    def get(self, path: str) -> Any:  # noqa: ANN401 - JSON is any
        """The JSON at a path of the API, or None where there is no such thing (404).

        Raises:
            DataError: The token is not accepted, or the server cannot be reached, keeps failing
                or does not answer as Label Studio does.
        """
        if self._is_personal and not self._access:
            self._renew()
        response = self._ask(path, self._authorization())
        if response.status == 401 and self._is_personal:
            self._renew()
            response = self._ask(path, self._authorization())
        if response.status in (401, 403):
            raise self._refused(response.status)
        return None if response.status == 404 else self._json(response)

    def _authorization(self) -> dict[str, str]:
        kind, token = ("Bearer", self._access) if self._is_personal else ("Token", self._token)
        return {"Authorization": f"{kind} {token}"}

    def _renew(self) -> None:
        response = self._ask("/api/token/refresh/", {}, json.dumps({"refresh": self._token}).encode())
        if response.status in (400, 401, 403):
            raise self._refused(response.status)
        granted = None if response.status == 404 else self._json(response)
        access = granted.get("access") if isinstance(granted, dict) else None
        if not isinstance(access, str) or not _TOKEN.fullmatch(access):
            raise DataError(
                f"{self.server} takes no personal access token; put a legacy token into {TOKEN_VARIABLE} "
                "(Account & Settings), or check the address"
            )
        self._access = access

    def _refused(self, status: int) -> DataError:
        kind, other = "personal access token", "a new one"
        if not self._is_personal:
            kind, other = "legacy token", "a personal access token, where legacy ones are switched off"
        return DataError(
            f"{self.server} does not accept the {kind} in {TOKEN_VARIABLE} (HTTP {status}); "
            f"copy it again from Account & Settings, or take {other}"
        )

    def _ask(self, path: str, headers: dict[str, str], body: bytes | None = None) -> _Response:
        """Ask until the server has a response that is not a passing failure."""
        problem = ""
        for wait_s in (*_WAITS_S, None):
            try:
                response = self._send(path, headers, body)
            except (OSError, http.client.HTTPException) as error:
                reason = error.reason if isinstance(error, urllib.error.URLError) else error
                problem = "timed out" if isinstance(reason, TimeoutError) else type(reason).__name__
                after_s = 0.0
            else:
                if response.status not in _PASSING:
                    return response
                problem, after_s = f"HTTP {response.status}", _retry_after_s(response.headers)
            if wait_s is not None:
                _LOG.warning("%s: %s; asking again", self.server, problem)
                time.sleep(min(max(wait_s, after_s), _LONGEST_WAIT_S))
        raise DataError(
            f"{self.server}: no response after {len(_WAITS_S) + 1} attempts, the last time {problem}; "
            "check the address and that the server is up, then try again"
        )

    def _send(self, path: str, headers: dict[str, str], body: bytes | None) -> _Response:
        sent = {"Accept": "application/json", "Content-Type": "application/json", **headers}
        request = urllib.request.Request(self.server + path, data=body, headers=sent)  # noqa: S310 - http(s) only
        try:
            with self._opener.open(request, timeout=_TIMEOUT_S) as reply:
                return _Response(reply.status, reply.headers, reply.read())
        except urllib.error.HTTPError as error:
            with error:
                return _Response(error.code, error.headers, b"")

    def _json(self, response: _Response) -> Any:  # noqa: ANN401 - JSON is any
        if 300 <= response.status < 400:
            place = urllib.parse.urlsplit(response.headers.get("Location", ""))
            target = f"{place.scheme}://{place.hostname}" if place.hostname else "another page"
            raise DataError(
                f"{self.server} sends us on to {target}, where the token is not sent; "
                "give the address that the browser shows in the end"
            )
        try:
            if response.status != 200:
                raise ValueError
            return json.loads(response.body)
        except (ValueError, RecursionError):
            # Not chained: the reason would quote what the server sent.
            raise DataError(
                f"{self.server} does not answer as Label Studio does (HTTP {response.status}); "
                "check the address, up to /projects/NUMBER"
            ) from None


def token_from_environment(server: str) -> str:
    """The token for a server.

    Raises:
        DataError: The variable is not set, or holds what can be no token.
    """
    token = os.environ.get(TOKEN_VARIABLE, "").strip()
    if not token:
        raise DataError(
            f"{server} wants a token; copy one from its Account & Settings into the environment variable "
            f"{TOKEN_VARIABLE}"
        )
    if not _TOKEN.fullmatch(token):
        raise DataError(f"{TOKEN_VARIABLE} holds blanks or other characters that no token has; copy it again")
    return token


def _retry_after_s(headers: email.message.Message) -> float:
    value = headers.get("Retry-After") or ""
    return float(value) if value.isdecimal() else 0.0
