"""``/docs``: every route with an example that runs, without a network: the page's files are carried."""

from __future__ import annotations

from pathlib import Path

from fastapi import APIRouter
from starlette.responses import Response

__all__ = ["docs_router"]

_FOLDER = Path(__file__).with_name("docs_page")
_FILES = {"": ("docs.html", "text/html"), "/docs.css": ("docs.css", "text/css")}
_FILES["/docs.js"] = ("docs.js", "text/javascript")
_HEADERS = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-cache",
}


def docs_router() -> APIRouter:
    """The page and its files; no key is needed, the page asks for it."""
    router = APIRouter(prefix="/docs", include_in_schema=False)

    def add(path: str, name: str, media_type: str) -> None:
        content = (_FOLDER / name).read_bytes()

        async def endpoint() -> Response:
            return Response(content, headers=_HEADERS, media_type=media_type)

        router.add_api_route(path, endpoint, methods=["GET"], name=name)

    for path, (name, media_type) in _FILES.items():
        add(path, name, media_type)
    return router
