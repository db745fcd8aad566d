"""A MongoDB collection as records: fetched to ``documents.jsonl`` once, then read like any file.

The fetch may be cut or killed at any moment. What it has written is in
``documents.partial.jsonl``, always the beginning of the file that it will become, and the next
fetch resumes after its last ``_id``; so the bytes are the same however often it was interrupted.
"""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any, NamedTuple

from attar.errors import DataError
from attar.io.mongo import MongoAddress, count, documents, mongo_address, names_there
from attar.io.tables.jsonl import json_rows
from attar.io.tables.rows import as_text
from attar.progress import progress_bar
from attar.recipe.load import SourceRecipe
from attar.records.readers.mongodb_documents import SHAPE_FIELDS, check_columns, document_records, plain
from attar.records.record import Record, Rejection
from attar.suggest import did_you_mean

__all__ = ["fetch_documents", "read_documents"]

_HEADER = "attar_fetched"
_PAGE = 1000
_HEAD = 100


class _Begun(NamedTuple):
    """What a partial file holds."""

    num_documents: int = 0
    last_id: Any = None
    num_bytes: int = 0


def fetch_documents(source: SourceRecipe, folder: Path) -> Path:
    """Fetch the documents of a collection, or go on with a fetch that was interrupted.

    A first line names the collection, the query and the fields; then comes one document a line, as
    relaxed extended JSON in the order of ``_id``. A whole file of the same settings is kept as it
    is; a partial one of other settings is restarted.

    Args:
        source: ``path`` is ``mongodb://HOST/DATABASE/COLLECTION``; ``query`` and ``columns`` say
            what is fetched of it.
        folder: Where to.

    Returns:
        ``folder/documents.jsonl``.

    Raises:
        DataError: The server refuses or does not answer, no document matches, or another number of
            documents came than the server counts.
    """
    address = mongo_address(source.path)
    # A projection cannot name the third element of a list, so what is asked for is the whole list.
    fields = sorted(SHAPE_FIELDS.union(path.split(".")[0] for path in source.columns.values()))
    header = _header(address, source, fields)
    whole, partial = folder / "documents.jsonl", folder / "documents.partial.jsonl"
    if _first_line(whole) == header:
        return whole
    total = count(address, source.query)
    if not total:
        raise _nothing_there(address, source.query)
    folder.mkdir(parents=True, exist_ok=True)
    begun = _begun(partial, header)
    found = documents(address, query=source.query, fields=fields, after=begun.last_id, page_size=_PAGE)
    with partial.open("r+b" if begun.num_bytes else "wb") as stream:
        stream.truncate(begun.num_bytes)
        stream.seek(begun.num_bytes)
        if not begun.num_bytes:
            stream.write(header)
        num_fetched, what = begun.num_documents, f"fetching {address.namespace}"
        with progress_bar(what, total, num_fetched, unit="documents") as advance:
            for num_new in _append(stream, found):
                num_fetched += num_new
                advance(num_new)
    num_there = count(address, source.query)
    if num_fetched != num_there:
        raise DataError(
            f"{address.shown}: fetched {num_fetched} documents, the server counts {num_there}; either the "
            f"collection changed meanwhile (delete {partial} and run again) or its _id are of several types "
            '(make each type a source of its own: query = {_id = {"$type" = "objectId"}})'
        )
    partial.replace(whole)
    return whole


def _nothing_there(address: MongoAddress, query: Mapping[str, Any]) -> DataError:
    """What was asked that no document answers, and what there is."""
    place = f"{address.shown}: database {address.database!r}, collection {address.collection!r}"
    asked = json.dumps(query, ensure_ascii=False, default=str)
    num_all = count(address, {}) if query else 0
    if num_all:
        return DataError(
            f"{place}: none of its {num_all} documents matches the query {asked}; check its fields"
        )
    collections, databases = names_there(address)
    others = [name for name in collections if name != address.collection]
    elsewhere = "" if collections else f"; databases of the server: {', '.join(databases) or 'none'}"
    return DataError(
        f"{place}: no document (query {asked}); collections of the database: "
        f"{', '.join(collections) or 'none'}{elsewhere}{did_you_mean(address.collection, others)}"
    )


def read_documents(path: Path, source: SourceRecipe) -> Iterator[Record | Rejection]:
    """Read documents that ``fetch_documents`` or ``mongoexport`` wrote.

    Args:
        path: One document a line, as extended JSON.
        source: ``columns`` says which field is what (``label = "review.sentiment"``, the elements
            of a list by number); without it the shapes of
            ``attar.records.readers.mongodb_documents`` are told by their fields.
            ``empty`` lists the values that mean nothing.

    Yields:
        Records, several where a document labels several terms, and a Rejection for each document
        that no Record can be made of. ``where`` is ``DATABASE.COLLECTION#_id``.

    Raises:
        DataError: The file cannot be read, or a field of ``columns`` is in none of its first
            documents.
    """
    rows = _rows(path)
    head = list(itertools.islice(rows, _HEAD))
    if source.columns:
        check_columns(path, [row for _, row in head], source)
    for where, row in itertools.chain(head, rows):
        yield from document_records(row, where, source)


def _header(address: MongoAddress, source: SourceRecipe, fields: list[str]) -> bytes:
    settings = {_HEADER: address.namespace, "address": address.shown, "query": source.query, "fields": fields}
    return (json.dumps(settings, ensure_ascii=False, default=str) + "\n").encode()


def _first_line(path: Path) -> bytes:
    if not path.is_file():
        return b""
    with path.open("rb") as stream:
        return stream.readline()


def _begun(partial: Path, header: bytes) -> _Begun:
    """What can be kept of a partial file: all but an incomplete last line, nothing if it is another's."""
    from bson import json_util

    if _first_line(partial) != header:
        return _Begun()
    num_lines, num_bytes, last = 0, 0, b""
    with partial.open("rb") as stream:
        for line in stream:
            if line.endswith(b"\n"):
                num_lines, num_bytes, last = num_lines + 1, num_bytes + len(line), line
    if num_lines == 1:
        return _Begun(num_bytes=num_bytes)
    try:
        last_id = json_util.loads(last)["_id"]
    except (ValueError, KeyError, TypeError):
        # A power cut may leave zeros where the disk had promised lines.
        last_id = None
    return _Begun() if last_id is None else _Begun(num_lines - 1, last_id, num_bytes)


def _append(stream: IO[bytes], found: Iterator[dict[str, Any]]) -> Iterator[int]:
    """Write documents a page at a time, on disk before the next; yields the size of each page."""
    from bson.json_util import RELAXED_JSON_OPTIONS, dumps

    while page := list(itertools.islice(found, _PAGE)):
        for document in page:
            line = dumps(document, json_options=RELAXED_JSON_OPTIONS, ensure_ascii=False)
            stream.write(f"{line}\n".encode())
        stream.flush()
        os.fsync(stream.fileno())
        yield len(page)


def _rows(path: Path) -> Iterator[tuple[str, object]]:
    """Yield (where, document) of a fetched file; a line that is no JSON gives None."""
    namespace = str(path)
    for row in json_rows(path):
        if row.problem:
            yield row.where, None
        elif row.line == 1 and _HEADER in row.values:
            namespace = str(row.values[_HEADER])
        else:
            yield f"{namespace}#{as_text(plain(row.values.get('_id', row.line)))}", row.values
