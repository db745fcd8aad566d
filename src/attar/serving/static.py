"""Pages that a service carries: files of the package, sent with headers that let nothing else in."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from fastapi import APIRouter
from starlette.responses import Response

__all__ = ["add_content", "add_files"]

_TYPES = {
    ".css": "text/css",
    ".html": "text/html",
    ".js": "text/javascript",
    ".json": "application/json",
    ".svg": "image/svg+xml",
}
_HEADERS = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cache-control": "no-cache",
}


def add_files(router: APIRouter, folder: Path, names: Mapping[str, str]) -> None:
    """Add routes that send files; no key is needed, the pages ask for it.

    Args:
        router: Gets the routes.
        folder: Where the files are; they are read once.
        names: File by path.
    """
    for path, name in names.items():
        add_content(router, path, name, (folder / name).read_bytes())


def add_content(router: APIRouter, path: str, name: str, content: bytes) -> None:
    """Add a route that sends the same bytes to everybody.

    Args:
        router: Gets it.
        path: Of the route.
        name: Of a file that they could be; its ending says of which kind they are.
        content: The bytes.
    """
    media_type = _TYPES[Path(name).suffix]

    async def endpoint() -> Response:
        return Response(content, headers=_HEADERS, media_type=media_type)

    router.add_api_route(path, endpoint, methods=["GET"], name=name)
