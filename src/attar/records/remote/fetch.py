"""Sources: those on a server are fetched to local files first, then read like any other.

A fetch is stopped and resumed on its own, and what is read afterwards cannot change under the
audit, which reads it twice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from attar.errors import DataError
from attar.io.files import file_hash
from attar.io.mongo import shown_place
from attar.io.tables.excel import workbook_path
from attar.recipe.load import SourceRecipe
from attar.records.readers.sources import read_source, source_files
from attar.records.record import Record, Rejection
from attar.records.understood import FileFacts
from attar.stage_cache import fingerprint
from attar.task import Task

__all__ = ["LocalRecords", "LocalSource", "fetched", "source_inputs"]


class LocalSource(NamedTuple):
    """A source that can be read from disk.

    Attributes:
        source: What ``attar.records.readers.sources.read_source`` takes.
        shown: What it is called in messages and in the manifest, without credentials.
    """

    source: SourceRecipe
    shown: str

    def with_constants(self, **columns: str) -> LocalSource:
        """The same with a column that is the same in every row."""
        constants = self.source.constants | columns
        return self._replace(source=self.source.model_copy(update={"constants": constants}))

    def described(self) -> list[dict[str, object]]:
        """What the manifest says of it: every file that was read, with its hash."""
        query = {"query": self.source.query} if self.source.query else {}
        files = source_files(Path(self.source.path))
        if self.source.join is not None:
            files.append(Path(self.source.join.path))
        if self.shown != self.source.path:
            return [{"path": self.shown, **query, "sha256": file_hash(file)} for file in files]
        return [{"path": str(file), "sha256": file_hash(file)} for file in files]


@dataclass(frozen=True, slots=True)
class LocalRecords:
    """All records of some sources, as often as they are asked for.

    Attributes:
        sources: What is read, in this order.
        columns: Our column names to those of tables, for sources without columns of their own.
        opened: Called before the rows of each file.
        task: Whose labels tell which of several answers is meant; see ``read_source``.
    """

    sources: Sequence[LocalSource]
    columns: Mapping[str, str]
    opened: Callable[[FileFacts], None] | None = None
    task: Task | None = None

    def __iter__(self) -> Iterator[Record | Rejection]:
        for local in self.sources:
            begin = None if self.opened is None else partial(self._begin, local)
            for record in read_source(local.source, self.columns, begin, task=self.task):
                if local.shown == local.source.path:
                    yield record
                else:
                    yield replace(record, where=record.where.replace(local.source.path, local.shown, 1))

    def _begin(self, local: LocalSource, facts: FileFacts) -> None:
        if local.shown != local.source.path:
            facts.path = local.shown
        assert self.opened is not None
        self.opened(facts)


def source_inputs(source: SourceRecipe) -> dict[str, Any]:
    """How a source is read and what is in it: the hashes of its files, or the address of a server.

    The name of a file does not count, but its ending does where that tells the format.

    Raises:
        RecipeError: A file is not there.
    """
    # What an earlier attar did not know is left out where it is not used: its folders stay up to date.
    later = {name for name in ("explode", "encoding") if getattr(source, name) is None}
    settings = source.model_dump(mode="json", exclude={"path", "join", *later})
    if source.is_remote:
        return settings | {"path": shown_place(source.path)}
    join = {"on": source.join.on, "file": fingerprint(Path(source.join.path))} if source.join else None
    file, sheet = workbook_path(Path(source.path))
    ending = file.suffix.lower() if source.format is None else None
    return settings | {"file": fingerprint(file), "ending": ending, "sheet": sheet, "join": join}


def fetched(source: SourceRecipe, folder: Path) -> LocalSource:
    """A source on disk: itself, or what was fetched of it.

    Args:
        source: A file, a folder, a MongoDB collection or a Label Studio project.
        folder: Where a fetch writes; an interrupted one is resumed.

    Raises:
        DataError: The server cannot be reached or refuses, or the scheme is none of ours.
    """
    if not source.is_remote:
        return LocalSource(source, source.path)
    if source.encoding is not None:
        raise DataError(f"{shown_place(source.path)}: encoding is for files; leave it out")
    match source.path.partition("://")[0]:
        case "mongodb" | "mongodb+srv":
            from attar.records.remote.mongodb import fetch_documents

            file = {"path": str(fetch_documents(source, folder)), "format": "mongodb"}
        case "http" | "https":
            from attar.records.remote.label_studio import fetch_export

            file = {"path": str(fetch_export(source, folder)), "format": "label_studio"}
        case scheme:
            raise DataError(
                f"{scheme}:// is no source; expected a path, mongodb://HOST/DATABASE/COLLECTION, or the "
                "address of a Label Studio project (http://HOST/projects/7)"
            )
    return LocalSource(source.model_copy(update=file), shown_place(source.path))
