"""``/v1/files``: upload a table, have it scored in the background, take it back, forget it.

``POST`` the bytes, ``POST .../score``, ``GET`` until it is done, ``GET .../scored``, ``DELETE``. Who has a
file's id has the file; no route lists ids, and no log holds one.
"""

from __future__ import annotations

import asyncio
import functools
import re
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field, StrictStr, ValidationError
from starlette.requests import Request
from starlette.responses import FileResponse, Response

from attar.errors import AttarError
from attar.io.tables.table_files import TABLE_ENDINGS
from attar.language.translator import Language
from attar.scoring.stage import ScoreOptions
from attar.serving.content_coding import content_codings
from attar.serving.file_scoring import FileWork, columns_of_file, score_held
from attar.serving.limits import Problem
from attar.serving.models import Models
from attar.serving.rows import KnownTerms
from attar.serving.service import Service
from attar.serving.uploads import FileStore, HeldFile
from attar.serving.work import to_json

__all__ = ["FileReply", "FileRoutes", "ScoreFileRequest"]

_WRITTEN = {".jsonl": "jsonl", ".csv": "csv", ".tsv": "tsv", ".xlsx": "xlsx", ".parquet": "parquet"}
_SAME = {".ndjson": ".jsonl", ".xlsm": ".xlsx"}
_PACKAGES = {".xlsx": "openpyxl", ".xlsm": "openpyxl", ".parquet": "pyarrow"}
_CHUNK = 1 << 20
_ID = {"name": "id", "in": "path", "required": True, "schema": {"type": "string"}}
_NAME = {"name": "name", "in": "query", "required": True, "schema": {"type": "string"}}
# By whether the path has an id, and method.
_PARAMETERS: dict[tuple[bool, str], list[dict[str, Any]]] = {
    (False, "GET"): [],
    (False, "POST"): [{**_NAME, "description": "What the file is called; its ending is its format."}],
    **{(True, method): [_ID] for method in ("GET", "POST", "DELETE")},
}
_MAX_NAME = 60  # characters, which are up to four bytes each
_NOT_IN_NAMES = re.compile(r'[\x00-\x1f\x7f"\\/#*?<>|:\[\]\ud800-\udfff]')


class ScoreFileRequest(BaseModel):
    """How a file is scored."""

    model_config = ConfigDict(extra="forbid")

    text: Annotated[StrictStr, Field(description="Column of the text.")] = "text"
    term: Annotated[
        StrictStr | None,
        Field(description="Column of the term; without one the service's list of terms is looked for."),
    ] = None
    model: Annotated[StrictStr | None, Field(description="Name or version of a served model.")] = None
    format: Annotated[
        StrictStr | None, Field(description="csv, tsv, jsonl, xlsx or parquet; that of the file by default.")
    ] = None
    language: Annotated[Language, Field(description="Of a workbook's titles, and of the notes.")] = "en"


class FileReply(BaseModel):
    """An uploaded file."""

    id: str
    name: str
    state: Annotated[str, Field(description="uploaded, waiting, running, done or failed.")]
    columns: list[str]
    before: Annotated[int, Field(description="Files that are scored before this one.")]
    rows_done: int
    rows: Annotated[int | None, Field(description="None until they are counted.")]
    problem: Annotated[str, Field(description="Why it could not be scored.")]
    has_rejected: Annotated[bool, Field(description="Whether rows were rejected: .../rejected has them.")]
    facts: Annotated[dict[str, Any], Field(description="Counts, model and notes of a file that is done.")]


class FileRoutes:
    """The routes.

    Args:
        service: Checks keys, counts and logs.
        models: Those that are served.
        terms: The service's list, or None.
        store: Holds the files.
    """

    def __init__(self, service: Service, models: Models, terms: KnownTerms | None, store: FileStore) -> None:
        self._service, self._models, self._terms, self._store = service, models, terms, store

    def router(self) -> APIRouter:
        """The routes under /v1/files."""
        router = APIRouter(prefix="/v1/files", tags=["files"])
        add = functools.partial(self._add, router)
        add("GET", "", "Limits and formats of files", self._limits)
        add("POST", "", "Upload a file: ?name=reviews.csv, its bytes as the body", self._upload)
        add("GET", "/{id}", "How far a file is", self._status)
        add("POST", "/{id}/score", "Score a file in the background", self._score)
        add("GET", "/{id}/scored", "The scored rows", self._scored)
        add("GET", "/{id}/rejected", "The rejected rows with their reasons, as JSONL", self._rejected)
        add("DELETE", "/{id}", "Forget a file", self._delete)
        return router

    def _add(
        self,
        router: APIRouter,
        method: str,
        path: str,
        summary: str,
        respond: Callable[[Request], Awaitable[Response]],
    ) -> None:
        async def endpoint(request: Request) -> Response:
            return await self._service.answer(request, lambda: respond(request))

        extra: dict[str, Any] = {"parameters": _PARAMETERS["{id}" in path, method]}
        if method == "POST":
            schema = ScoreFileRequest.model_json_schema() if path else {"type": "string", "format": "binary"}
            kind = "application/json" if path else "application/octet-stream"
            extra["requestBody"] = {"required": True, "content": {kind: {"schema": schema}}}
        router.add_api_route(path, endpoint, methods=[method], summary=summary, openapi_extra=extra)

    async def _limits(self, _: Request) -> Response:
        there = [ending for ending in TABLE_ENDINGS if find_spec(_PACKAGES.get(ending, "json"))]
        terms = 0 if self._terms is None else len(self._terms.finder.terms)
        limits = asdict(self._store.limits)
        return _json({"limits": limits, "formats": there, "terms": terms, "held": self._store.num_held})

    async def _upload(self, request: Request) -> Response:
        if content_codings(request.headers.getlist("content-encoding")):
            raise Problem(415, "unsupported_encoding", "send the file as it is, without a Content-Encoding")
        name = _NOT_IN_NAMES.sub("_", request.query_params.get("name", ""))[-_MAX_NAME:].lstrip(".~$ ")
        ending = Path(name).suffix.lower()
        if ending not in TABLE_ENDINGS:
            raise Problem(
                422,
                "unknown_format",
                f"name=... must end with one of {', '.join(TABLE_ENDINGS)}: that is the format",
            )
        try:
            held = await asyncio.to_thread(self._store.add, name, ending)
            try:
                await self._receive(request, held)
                held.columns = await asyncio.to_thread(columns_of_file, held)
            except BaseException:
                self._forget(held)
                raise
        except AttarError as error:
            raise Problem(422, "bad_file", str(error)) from None
        except OSError as error:
            raise Problem(507, "no_space", f"the service cannot store it ({error.strerror})") from None
        self._store.set_state(held, "uploaded")
        return _json(self._reply(held), 201)

    async def _receive(self, request: Request, held: HeldFile) -> None:
        limits, num_bytes, chunk = self._store.limits, 0, bytearray()
        try:
            async with asyncio.timeout(limits.upload_s):
                with held.path.open("wb") as file:
                    async for part in request.stream():
                        num_bytes += len(part)
                        if num_bytes > limits.max_file_bytes:
                            raise Problem(
                                413,
                                "body_too_large",
                                f"the file is longer than {limits.max_file_bytes} bytes",
                            )
                        chunk += part
                        if len(chunk) >= _CHUNK:
                            await asyncio.to_thread(file.write, bytes(chunk))
                            chunk.clear()
                    await asyncio.to_thread(file.write, bytes(chunk))
        except TimeoutError:
            raise Problem(
                408, "body_timeout", f"the file did not arrive within {limits.upload_s:g} s"
            ) from None

    async def _status(self, request: Request) -> Response:
        return _json(self._reply(self._held(request)))

    async def _score(self, request: Request) -> Response:
        held = self._held(request)
        try:
            asked = await self._service.process_body(request, ScoreFileRequest.model_validate)
        except ValidationError as error:
            first = error.errors(include_input=False, include_url=False, include_context=False)[0]
            raise Problem(422, "invalid_request", first["msg"]) from None
        model = self._models.get(asked.model)
        has_term = model.predictor.task.style != "single"
        by_list = model.predictor.task.has_term and not asked.term and self._terms is not None
        for column in (asked.text, asked.term if has_term else None):
            if column and column.split(".")[0] not in held.columns and column not in held.columns:
                raise Problem(
                    422, "no_such_column", "text or term names a column that the file does not have"
                )
        options = ScoreOptions(
            text=asked.text,
            term=asked.term or None,
            terms=self._terms.listed if by_list and self._terms is not None else None,
            source_name=held.name,
            language=asked.language,
            accept_refused=True,  # who started the service was asked already
        )
        ending = f".{asked.format}" if asked.format else _SAME.get(held.ending, held.ending)
        if ending not in _WRITTEN:
            raise Problem(422, "unknown_format", f"format must be one of {', '.join(_WRITTEN.values())}")
        work = FileWork(model, options, ending, self._service.batcher, asyncio.get_running_loop())
        observe = self._service.metrics.observe_file
        self._store.submit(held, functools.partial(score_held, held, work, self._store.limits, observe))
        return _json(self._reply(held), 202)

    async def _scored(self, request: Request) -> Response:
        held = self._held(request)
        if held.result is None:
            raise Problem(409, "not_scored", f"this file is {held.state}; ask again when it is done")
        self._store.set_state(held, held.state)  # its time begins again
        return _file(held.result, f"{Path(held.name).stem}.scored{held.result.suffix}")

    async def _rejected(self, request: Request) -> Response:
        held = self._held(request)
        if held.rejected is None:
            raise Problem(404, "not_found", "no row of this file was rejected")
        return _file(held.rejected, f"{Path(held.name).stem}.rejected.jsonl")

    async def _delete(self, request: Request) -> Response:
        await asyncio.to_thread(self._store.remove, self._held(request))
        return Response(status_code=204)

    def _held(self, request: Request) -> HeldFile:
        return self._store.get(request.path_params["id"])

    def _forget(self, held: HeldFile) -> None:
        self._store.set_state(held, "failed")  # nobody writes into it any more
        self._store.remove(held)

    def _reply(self, held: HeldFile) -> dict[str, Any]:
        return FileReply(
            id=held.id,
            name=held.name,
            state=held.state,
            columns=list(held.columns),
            before=self._store.place_of(held),
            rows_done=held.num_done,
            rows=held.num_rows,
            problem=held.problem,
            has_rejected=held.rejected is not None,
            facts=held.facts,
        ).model_dump()


def _json(value: dict[str, Any], status: int = 200) -> Response:
    return Response(to_json(value), status, {"cache-control": "no-store"}, "application/json")


def _file(path: Path, name: str) -> Response:
    headers = {
        "content-disposition": f"attachment; filename*=UTF-8''{quote(name)}",
        "cache-control": "no-store",
        "x-content-type-options": "nosniff",
    }
    return FileResponse(path, headers=headers, media_type="application/octet-stream")
