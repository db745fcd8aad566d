"""``/docs``: every route with an example that runs, without a network: the page's files are carried."""

from __future__ import annotations

from pathlib import Path

from fastapi import APIRouter

from attar.serving.static import add_files

__all__ = ["docs_router"]


def docs_router() -> APIRouter:
    """The page and its files."""
    router = APIRouter(prefix="/docs", include_in_schema=False)
    names = {"": "docs.html"} | {f"/{name}": name for name in ("docs.css", "docs.js")}
    add_files(router, Path(__file__).with_name("docs_page"), names)
    return router
