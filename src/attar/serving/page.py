"""``/``: a page to try a sentence and to have a file scored, without a network: its files are carried.

It uses the routes of ``attar.serving.app`` and ``attar.serving.files`` and nothing else. The sentence stands
in the fragment of the page's address, which no browser sends to a server.
"""

from __future__ import annotations

from pathlib import Path

from fastapi import APIRouter

from attar.serving.static import add_files

__all__ = ["page_router"]

_FOLDER = Path(__file__).with_name("page_files")


def page_router() -> APIRouter:
    """The page and its files."""
    router = APIRouter(include_in_schema=False)
    inner = sorted(path.name for path in _FOLDER.iterdir() if path.suffix in (".css", ".js", ".json", ".svg"))
    add_files(router, _FOLDER, {"/": "page.html"} | {f"/page/{name}": name for name in inner})
    return router
