"""``/``: a page to try a sentence and to have a file scored, without a network: its files are carried.

It uses the routes of ``attar.serving.app`` and ``attar.serving.files`` and nothing else. The sentence stands
in the fragment of the page's address, which no browser sends to a server.
"""

from __future__ import annotations

import json

from fastapi import APIRouter

from attar.language.translator import LANGUAGES
from attar.serving.page_strings import PAGE_FOLDER, messages_of_page
from attar.serving.static import add_content, add_files

__all__ = ["page_router"]


def page_router() -> APIRouter:
    """The page, its files, and its strings in each language that is not their own."""
    router = APIRouter(include_in_schema=False)
    inner = sorted(path.name for path in PAGE_FOLDER.iterdir() if path.suffix in (".css", ".js", ".svg"))
    add_files(router, PAGE_FOLDER, {"/": "page.html"} | {f"/page/{name}": name for name in inner})
    for language in LANGUAGES:
        if language != "en":
            words = json.dumps(messages_of_page(language), ensure_ascii=False)
            add_content(router, f"/page/{language}.json", f"{language}.json", words.encode())
    return router
