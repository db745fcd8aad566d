"""OUT.parts: where a job of ``attar score`` keeps what it has computed, until its output is whole.

``manifest.json`` says which job it is: hashes of the input, the list of terms and the artifact, and the
options. ``*.probs`` are what the model said (``attar.scoring.cached_probs``), ``*.unfinished`` the output
while it is written. A job that was killed finds its folder and goes on; another job is refused. The output
takes its place in one step, then the folder is removed.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal

from attar.errors import DataError, RunError
from attar.io.folders import sync_folder
from attar.io.job_parts import (
    JOB_FORMAT,
    MANIFEST_NAME,
    empty_job,
    foreign_file,
    job_lock,
    read_manifest,
    remove_job,
)

__all__ = ["Draft", "JobFolder", "write_whole"]

Draft = Literal["rows", "rejected", "refused"]
"""What takes its place when it is whole: ``attar.io.job_parts`` knows their names too."""


class JobFolder:
    """The folder of one job, held by one process.

    Attributes:
        path: ``OUT.parts``.
        resumes: Whether an earlier process of the same job left what it had computed.
    """

    def __init__(self, path: Path, identity: Mapping[str, Any] | None) -> None:
        self.path = path
        self.resumes = False
        self._identity = identity

    @classmethod
    @contextlib.contextmanager
    def opened(cls, path: Path, identity: Mapping[str, Any] | None, *, restart: bool) -> Iterator[JobFolder]:
        """Make the folder, or take up the one that the same job left.

        Args:
            path: Its place.
            identity: What the job is made from, as JSON; None for one that cannot be resumed.
            restart: Whether the folder of another job may be emptied.

        Raises:
            DataError: Something that attar did not write is there.
            RunError: Another process is at work there, or another job left it.
        """
        folder = cls(path, identity)
        folder._check_own()
        with job_lock(path):
            try:
                folder._take_up(restart=restart)
            except OSError:  # a full disk: what would be left is empty
                folder.remove()
                raise
            yield folder

    def _check_own(self) -> None:
        path = self.path
        if not os.path.lexists(path):
            return
        if not path.is_dir():
            raise DataError(
                f"{path}: a file stands where the parts of this job should go; name another --out"
            )
        if (foreign := foreign_file(path)) is not None:
            raise DataError(
                f"{path} holds {foreign}, which attar score did not write; move it away, or name another "
                "--out"
            )

    def _take_up(self, *, restart: bool) -> None:
        was = self.manifest()
        if was is not None and was.get("job") is not None:
            is_stream = self._identity is None
            changed = ["the input"] if is_stream else _changed(was["job"], self.whole_identity())
            if not changed:
                self.resumes = True
                return
            if not restart:
                raise RunError(
                    f"{self.path} holds an unfinished job, and {', '.join(changed)} changed since it began; "
                    f"to start over add --overwrite, or remove {self.path}"
                )
        empty_job(self.path)
        job = None if self._identity is None else self.whole_identity()
        self.write_manifest({"format": JOB_FORMAT, "job": job})

    def whole_identity(self) -> dict[str, Any]:
        """What the job is made from, with the version of attar, as JSON reads it."""
        whole: dict[str, Any] = json.loads(json.dumps({"attar": _version(), **(self._identity or {})}))
        return whole

    def manifest(self) -> dict[str, Any] | None:
        """What ``manifest.json`` says; None if there is none of ours."""
        return read_manifest(self.path)

    def write_manifest(self, manifest: Mapping[str, Any]) -> None:
        """Write ``manifest.json``, whole or not at all."""
        text = json.dumps(manifest, ensure_ascii=False, indent=2) + "\n"
        write_whole(self.path / MANIFEST_NAME, text.encode("utf-8", "surrogatepass"))

    def draft(self, name: Draft) -> Path:
        """Where a file is written until it is whole."""
        return self.path / f"{name}.unfinished"

    def publish(self, drafts: Mapping[Path, Path], facts: Mapping[str, Any]) -> None:
        """Move whole drafts to their places, in their order; a kill in between is mended by the next run.

        Args:
            drafts: Draft -> place; the last is the output itself.
            facts: What the job's end is to say, kept until the folder is removed.

        Raises:
            OSError: The disk.
        """
        for draft in drafts:
            with draft.open("rb") as stream:
                os.fsync(stream.fileno())
        marks = {str(place): _mark(draft) for draft, place in drafts.items()}
        self.write_manifest({**(self.manifest() or {}), "published": marks, "facts": facts})
        for draft, place in drafts.items():
            draft.replace(place)
            sync_folder(place.parent)

    def finished(self) -> dict[str, Any] | None:
        """The facts of a job that was killed when its output was in its place already, else None."""
        manifest = self.manifest() or {}
        marks = manifest.get("published")
        if not marks or any(_mark(Path(place)) != mark for place, mark in marks.items()):
            return None
        facts: dict[str, Any] = manifest["facts"]
        return facts

    def is_own(self, place: Path) -> bool:
        """Whether a file is there because this job moved it there before it was killed."""
        marks = (self.manifest() or {}).get("published") or {}
        return str(place) in marks and _mark(place) == marks[str(place)]

    def remove(self) -> None:
        """Remove the folder, unless something of somebody else's is in it."""
        remove_job(self.path)

    def has_parts(self) -> bool:
        """Whether anything is here that a later run would not have to compute again."""
        return any(self.path.glob("*.probs"))


def write_whole(path: Path, content: bytes) -> None:
    """Write a file of a job's folder, whole or not at all; no name of it begins with a dot."""
    draft = path.with_name(f"{path.name}.tmp")
    with draft.open("wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())
    draft.replace(path)


def _version() -> str:
    try:
        return version("attar")
    except PackageNotFoundError:  # run from its source alone
        return ""


def _changed(was: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """What is no longer as it was, in words."""
    found = [f"the version of attar ({was.get('attar')})"] if was.get("attar") != now["attar"] else []
    if was.get("artifact") != now["artifact"]:
        found.append("the artifact")
    before, after = was.get("inputs", []), now["inputs"]
    names = [one.get("file") or one.get("collection") for one in after if one not in before]
    gone = [one.get("file") or one.get("collection") for one in before if one not in after]
    found += [f"the input {name}" for name in dict.fromkeys([*names, *gone])][:3]
    if not found and before != after:
        found.append("the order of the inputs")
    options, others = was.get("options", {}), now["options"]
    changed = [name for name in others if options.get(name) != others[name]]
    words = {"terms": "the list of terms", "format": "the format of the output"}
    found += [words.get(name, f"--{name.replace('_', '-')}") for name in changed]
    rest = [name for name in now if name not in ("attar", "artifact", "inputs", "options")]
    return found + [name for name in rest if was.get(name) != now[name]]


def _mark(path: Path) -> list[int] | None:
    """What a file keeps when it is renamed, and loses when it is written again."""
    try:
        state = path.stat()
    except OSError:
        return None
    return [state.st_ino, state.st_size, state.st_mtime_ns]
