"""A live Label Studio project, downloaded to a file that is then read like any export.

Page by page rather than as one export: a page is small, is asked for again by itself when the server
fails, and holds unlabelled tasks too, while an export of a large project is one response that a proxy
may cut off. Pages are not a snapshot; where tasks came or went meanwhile, all are fetched again.

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
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from typing import IO, Any, NamedTuple

from attar.errors import DataError
from attar.io.files import atomic_write
from attar.recipe.load import SourceRecipe

__all__ = ["TOKEN_VARIABLE", "fetch_export"]

TOKEN_VARIABLE = "LABEL_STUDIO_API_KEY"  # noqa: S105 - the variable's name

_LOG = logging.getLogger(__name__)
_TIMEOUT_S = 60.0
_WAITS_S = (0.5, 1.0, 2.0, 4.0)
_LONGEST_WAIT_S = 60.0
_PASSING = (429, 500, 502, 503, 504)
_TOKEN = re.compile(r"[\x21-\x7e]+")
_PAGE_SIZE = 100
_ATTEMPTS = 3
_PROJECTS_SHOWN = 20
_PROJECT_PATH = re.compile(r"(?P<root>.*?)/projects/(?P<number>\d+)(/.*)?")
# The rest of a task or an annotation changes from one response to the next ("2 minutes ago"), or is
# said twice; with these alone, an unchanged project gives the same bytes again.
_TASK_KEYS = ("id", "data", "meta", "annotations", "created_at", "updated_at", "inner_id", "project")
_ANNOTATION_KEYS = (
    "id", "completed_by", "result", "was_cancelled", "ground_truth", "created_at", "updated_at",
    "lead_time", "parent_prediction", "parent_annotation",
)  # fmt: skip


class _Project(NamedTuple):
    """A server's address, without a slash in the end, and the number of a project on it."""

    server: str
    number: int

    def __str__(self) -> str:
        return f"{self.server}/projects/{self.number}"


def fetch_export(source: SourceRecipe, folder: Path) -> Path:
    """Download a project's tasks with their annotations, unlabelled ones too.

    Args:
        source: ``path`` is the project's address as the browser shows it, such as
            ``http://HOST/projects/7/data?tab=1``.
        folder: Gets ``export.json``, whole or not at all, in the order of the task ids.

    Returns:
        The path of ``export.json``.

    Raises:
        DataError: The address is not that of a project, the environment variable
            LABEL_STUDIO_API_KEY holds no valid token, there is no such project, or the server
            cannot be reached or does not answer as Label Studio does.
    """
    project = _project_at(source.path)
    session = _Session(project.server, _token_from_environment(project.server))
    if session.get(f"/api/projects/{project.number}/") is None:
        raise DataError(f"{project}: no such project; {_projects_there(session)}")
    out = folder / "export.json"
    with atomic_write(out) as draft, tempfile.TemporaryFile(dir=draft.parent) as spool:
        for _ in range(_ATTEMPTS):
            places = _download(session, project, spool)
            if places is not None:
                _write_in_order(draft, spool, places)
                return out
            _LOG.warning("%s: tasks came or went during the download; starting over", project)
        raise DataError(
            f"{project}: its tasks kept changing during the download; "
            "try again when nobody imports or deletes any"
        )


def _project_at(address: str) -> _Project:
    try:
        parts = urllib.parse.urlsplit(address)
        host, port = parts.hostname, parts.port
    except ValueError:
        host = None
    if host is None or parts.scheme not in ("http", "https"):
        raise DataError("not the address of a Label Studio project; expected http://HOST/projects/NUMBER")
    shown = f"{parts.scheme}://{f'[{host}]' if ':' in host else host}{f':{port}' if port else ''}"
    if "@" in parts.netloc:
        raise DataError(
            f"{shown}: the address holds a name or password; leave it out, the token is taken from the "
            "environment"
        )
    found = _PROJECT_PATH.fullmatch(parts.path)
    if found is None:
        raise DataError(f"{shown}: the address names no project; expected {shown}/projects/NUMBER")
    return _Project(shown + found["root"], int(found["number"]))


def _projects_there(session: _Session) -> str:
    """What the server has instead, for an error."""
    response = session.get(f"/api/projects/?page_size={_PROJECTS_SHOWN}")
    results = response.get("results") if isinstance(response, dict) else None
    projects = [one for one in results or [] if isinstance(one, dict)]
    if not projects:
        return "the token's owner sees none on this server; check the address and whose token it is"
    names = ", ".join(f"{one.get('id')} ({one.get('title')})" for one in projects)
    return f"the token's owner sees {names}"


def _download(session: _Session, project: _Project, spool: IO[bytes]) -> dict[int, int] | None:
    """Write the tasks to ``spool``, one a line, and give where each begins, by its id.

    None where tasks came or went meanwhile.
    """
    spool.seek(0)
    spool.truncate()
    places: dict[int, int] = {}
    num_received, total, page = 0, 1, 1
    while num_received < total:
        query = f"project={project.number}&page={page}&page_size={_PAGE_SIZE}&fields=all&resolve_uri=false"
        response = session.get(f"/api/tasks/?{query}")
        if response is None and page > 1:
            return None
        tasks, total = _tasks_of(response, project)
        if not tasks:
            break
        for task in tasks:
            places[task["id"]] = spool.tell()
            spool.write(json.dumps(task, ensure_ascii=True).encode() + b"\n")
        num_received, page = num_received + len(tasks), page + 1
    return places if len(places) == num_received == total else None


def _tasks_of(response: object, project: _Project) -> tuple[list[dict[str, Any]], int]:
    tasks = response.get("tasks") if isinstance(response, dict) else None
    total = response.get("total") if isinstance(response, dict) else None
    if not isinstance(total, int) or not isinstance(tasks, list) or not all(map(_is_task, tasks)):
        raise DataError(
            f"{project}: the server lists no tasks as Label Studio 1.23 does; "
            "export the project as JSON in the browser and name the file instead"
        )
    return [_trimmed(task) for task in tasks], total


def _is_task(task: object) -> bool:
    return (
        isinstance(task, dict)
        and isinstance(task.get("id"), int)
        and isinstance(task.get("annotations"), list)
        and all(isinstance(annotation, dict) for annotation in task["annotations"])
    )


def _trimmed(task: dict[str, Any]) -> dict[str, Any]:
    annotations = [
        {key: annotation[key] for key in _ANNOTATION_KEYS if key in annotation}
        for annotation in sorted(task["annotations"], key=_id_of)
    ]
    return {key: task[key] for key in _TASK_KEYS if key in task} | {"annotations": annotations}


def _write_in_order(draft: Path, spool: IO[bytes], places: dict[int, int]) -> None:
    with draft.open("wb") as stream:
        stream.write(b"[")
        for number, task_id in enumerate(sorted(places)):
            spool.seek(places[task_id])
            stream.write((b",\n" if number else b"\n") + spool.readline().rstrip(b"\n"))
        stream.write(b"\n]\n")


def _id_of(annotation: dict[str, Any]) -> int:
    found = annotation.get("id")
    return found if isinstance(found, int) else 0


class _Response(NamedTuple):
    status: int
    headers: email.message.Message
    body: bytes


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """The default would send the token along to wherever the response points."""

    def redirect_request(self, *_: object) -> None:
        return None


class _Session:
    """Requests to one server, by its address without a slash in the end."""

    def __init__(self, server: str, token: str) -> None:
        self.server = server
        self._token = token
        self._is_personal = token.count(".") == 2
        self._access = ""
        self._opener = urllib.request.build_opener(_NoRedirect())

    def get(self, path: str) -> Any:  # noqa: ANN401 - JSON is any
        """The JSON at a path of the API, or None where there is no such thing (404)."""
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
                problem, after = f"HTTP {response.status}", response.headers.get("Retry-After") or ""
                after_s = float(after) if after.isdecimal() else 0.0
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


def _token_from_environment(server: str) -> str:
    token = os.environ.get(TOKEN_VARIABLE, "").strip()
    if not token:
        raise DataError(
            f"{server} wants a token; copy one from its Account & Settings into the environment variable "
            f"{TOKEN_VARIABLE}"
        )
    if not _TOKEN.fullmatch(token):
        raise DataError(f"{TOKEN_VARIABLE} holds blanks or other characters that no token has; copy it again")
    return token
