"""A live Label Studio project, downloaded to a file that is then read like any export.

Page by page rather than as one export: a page is small, is asked for again by itself when the server
fails, and holds unlabelled tasks too, while an export of a large project is one response that a proxy
may cut off. Pages are not a snapshot; where tasks came or went meanwhile, all are fetched again.
"""

from __future__ import annotations

import json
import logging
import re
import tempfile
import urllib.parse
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, NamedTuple

from attar.errors import DataError
from attar.io.files import atomic_write
from attar.recipe.load import SourceRecipe
from attar.records.remote.label_studio_http import Session, token_from_environment

__all__ = ["fetch_export"]

_LOG = logging.getLogger(__name__)
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
    session = Session(project.server, token_from_environment(project.server))
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


def _projects_there(session: Session) -> str:
    """What the server has instead, for an error."""
    response = session.get(f"/api/projects/?page_size={_PROJECTS_SHOWN}")
    results = response.get("results") if isinstance(response, dict) else None
    projects = [one for one in results or [] if isinstance(one, dict)]
    if not projects:
        return "the token's owner sees none on this server; check the address and whose token it is"
    names = ", ".join(f"{one.get('id')} ({one.get('title')})" for one in projects)
    return f"the token's owner sees {names}"


def _download(session: Session, project: _Project, spool: IO[bytes]) -> dict[int, int] | None:
    """Write the tasks to ``spool``, one a line.

    Returns:
        Where each task's line begins, by task id, or None where tasks came or went meanwhile.
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
        for number, line in enumerate(_lines_at(spool, (places[task_id] for task_id in sorted(places)))):
            stream.write((b",\n" if number else b"\n") + line)
        stream.write(b"\n]\n")


def _lines_at(spool: IO[bytes], places: Iterator[int]) -> Iterator[bytes]:
    for place in places:
        spool.seek(place)
        yield spool.readline().rstrip(b"\n")


def _id_of(annotation: dict[str, Any]) -> int:
    found = annotation.get("id")
    return found if isinstance(found, int) else 0
