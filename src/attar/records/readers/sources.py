"""Sources: a file or a folder of any known format, as records.

What every format has in common is done here: constant columns, the occurrence that is meant, the
split that a source is for. A source on a server is fetched first; see ``attar.records.remote.fetch``.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, cast

from attar.errors import DataError
from attar.io.encodings import UTF8, Encoding, find_encoding
from attar.io.tables.excel import workbook_path
from attar.io.tables.rows import TableFormat
from attar.io.tables.table_files import data_files, shown_facts
from attar.recipe.load import SourceFormat, SourceRecipe
from attar.records.prepared_folder import read_rows
from attar.records.readers.formats import KNOWN_ENDINGS, TABLES, check_options, detect_format, has_encoding
from attar.records.readers.label_studio import read_label_studio
from attar.records.readers.tables import Joined, read_table
from attar.records.readers.text_formats import read_bio, read_lines, read_markup, read_target, read_triplets
from attar.records.record import Record, Rejection
from attar.records.understood import FileFacts
from attar.task import Task
from attar.text.repair import occurrences

__all__ = ["read_source", "source_files"]

_LOG = logging.getLogger(__name__)
_NO_COLUMNS: Mapping[str, str] = MappingProxyType({})
_FIELDS = ("text", "term", "label", "annotator")
_FILE_READERS: Mapping[SourceFormat, Callable[[Path, Encoding], Iterator[Record | Rejection]]] = {
    "bio": read_bio,
    "lines": read_lines,
    "markup": read_markup,
    "rows": read_rows,
    "target": read_target,
    "triplets": read_triplets,
}


def read_source(
    source: SourceRecipe,
    columns: Mapping[str, str] = _NO_COLUMNS,
    opened: Callable[[FileFacts], None] | None = None,
    *,
    task: Task | None = None,
) -> Iterator[Record | Rejection]:
    """Read a source that is on disk.

    Args:
        source: A file, or a folder whose files of a known ending are read in the order of their
            names (subfolders are not), and how to read it.
        columns: Our column names to those of a table, for a source without columns of its own.
        opened: Called before the rows of each file, with what its reader fills as it opens it.
        task: Tells which of several answers in Label Studio is the label; None where it is not known.

    Yields:
        Records, and a Rejection for each row that no Record can be made of.

    Raises:
        DataError: Missing, empty, not of its encoding, of unknown format, without a needed column, or with an
            option that its format has no use for.
    """
    assert not source.is_remote, "remote.fetched gives the file to read"
    path, sheet = workbook_path(Path(source.path))
    changes, occurrence = _changes(source), source.occurrence
    meta = {name: value for name, value in source.constants.items() if name not in _FIELDS}
    for file in source_files(path):
        count, facts = 0, FileFacts(str(file))
        if opened is not None:
            opened(facts)
        for record in _read_file(file, sheet, source, columns, facts, task):
            count += 1
            if count == 1 and opened is None and "encoding" in facts.details:
                _LOG.info("%s", shown_facts(file, {"encoding": facts.details["encoding"]}))
            if isinstance(record, Rejection):
                yield record
                continue
            own = changes | {"meta": {**record.meta, **meta}} if meta else changes
            changed = replace(record, **own) if own else record
            if occurrence == "only" or changed.start is not None or changed.end is not None:
                yield changed
            else:
                yield from _at_occurrences(changed, find_all=occurrence == "all")
        if not count:
            raise DataError(f"{file}: holds no rows; fill it or leave it out of data.sources")


def source_files(path: Path) -> list[Path]:
    """The files that a source consists of, sorted by name.

    Raises:
        DataError: Nothing there, or a folder without a file of a known ending.
    """
    whole, _ = workbook_path(path)
    return data_files(whole, KNOWN_ENDINGS)


def _read_file(
    file: Path,
    sheet: str,
    source: SourceRecipe,
    columns: Mapping[str, str],
    facts: FileFacts,
    task: Task | None,
) -> Iterator[Record | Rejection]:
    file_format = facts.format = source.format or detect_format(file, source.encoding)
    check_options(source, file_format)
    encoding = find_encoding(file, source.encoding) if has_encoding(file_format) else UTF8
    if encoding.shown:
        facts.details["encoding"] = encoding.shown
    if file_format in _FILE_READERS:
        return _FILE_READERS[file_format](file, encoding)
    if file_format == "label_studio":
        own_or_shared, is_shared = source.columns or columns, not source.columns
        return read_label_studio(file, own_or_shared, task, is_shared=is_shared, encoding=encoding)
    if file_format == "mongodb":
        from attar.records.remote.mongodb import read_documents

        return read_documents(file, source)
    own = source if source.columns else source.model_copy(update={"columns": dict(columns)})
    return read_table(file, cast("TableFormat", file_format), own, _joined(source), sheet, facts)


def _joined(source: SourceRecipe) -> Joined | None:
    """File and format of the table that is joined."""
    if source.join is None:
        return None
    path = Path(source.join.path)
    if data_files(path, KNOWN_ENDINGS) != [path]:
        raise DataError(f"{path}: a folder, so it cannot be joined; name a file in join.path")
    file_format = source.format or detect_format(path, source.encoding)
    if file_format not in TABLES:
        raise DataError(
            f"{path}: no table, so it cannot be joined; expected one of {', '.join(sorted(TABLES))}"
        )
    return path, cast("TableFormat", file_format)


def _changes(source: SourceRecipe) -> dict[str, Any]:
    """The fields that every record of a source gets, but for metadata."""
    constants = source.constants
    offsets = sorted({"start", "end"} & set(constants))
    if offsets:
        raise DataError(
            f"{source.path}: constants.{offsets[0]}: offsets differ from row to row; leave it out"
        )
    changes: dict[str, Any] = {name: constants[name] for name in _FIELDS if name in constants}
    return changes | ({"split": source.split} if source.split else {})


def _at_occurrences(record: Record, *, find_all: bool) -> Iterator[Record]:
    """The record at the first occurrence of its term, or at every one; as it is where there is none."""
    places = occurrences(record.text, record.term)
    for start, end in places if find_all else places[:1]:
        yield replace(record, start=start, end=end)
    if not places:
        yield record
