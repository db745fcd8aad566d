"""The log of a service: a JSON object a line, with a date, a request's id and numbers, never a text."""

from __future__ import annotations

import json
import logging
import re
import secrets
from datetime import UTC, datetime

from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["ID_HEADER", "JsonLines", "RequestIds", "log_as_json"]

ID_HEADER = "x-request-id"

_ID = re.compile(rb"[\x21-\x7e]{1,128}")
# json.dumps with arguments would make one for each line.
_JSON = json.JSONEncoder(ensure_ascii=False)


class RequestIds:
    """ASGI middleware: takes a request's X-Request-ID, or makes one, and puts it into the reply.

    Routes find it at ``scope["state"]["request_id"]``. One that is longer than 128 characters, or holds
    others than printable ASCII, is replaced.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = next((value for name, value in scope["headers"] if name == b"x-request-id"), b"")
        made = given.decode("ascii") if _ID.fullmatch(given) else secrets.token_hex(8)
        scope.setdefault("state", {})["request_id"] = made

        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), (b"x-request-id", made.encode("ascii"))]
            await send(message)

        await self._app(scope, receive, send_with_id)


class JsonLines(logging.Formatter):
    """Formats a record as one JSON object: time, level, message, and the fields of a request."""

    def format(self, record: logging.LogRecord) -> str:
        """One line."""
        time = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        line = {"time": time, "level": record.levelname.lower(), "message": record.getMessage()}
        return _JSON.encode(line | getattr(record, "fields", {}))


def log_as_json() -> None:
    """Let the handlers that there are write JSON."""
    for handler in logging.getLogger().handlers:
        handler.setFormatter(JsonLines())
