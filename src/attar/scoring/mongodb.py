"""MongoDB at both ends of ``attar score``: documents as rows, scored rows as documents.

Two ways out, and both can be repeated: whatever was written before is replaced by the same again.

- Into a collection of scored rows: one document a mention. Its ``_id`` is made of the source's
  ``_id`` and the offsets, so a second run replaces and never doubles. A collection that holds
  anything else is refused, and so is the source itself.
- Into the source (``--into-source``): each document gets one field, ``attar``, with the model and
  the mentions; nothing else of it is touched, and no document is made. A field ``attar`` of the
  user's own is refused.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from attar.errors import DataError
from attar.io.files import content_hash
from attar.io.json_text import parse_json
from attar.io.mongo import MongoAddress, count, documents, mongo_address, set_field, upsert
from attar.io.tables.jsonl import column_names
from attar.io.tables.rows import Row, Table
from attar.scoring.scored import Scored, chosen, kept_columns

__all__ = ["check_target", "open_documents", "parse_query", "write_documents", "write_into_source"]

_FIELD = "attar"
_ADDED = ("source_id", "label", "prob", "probs", "model")
_QUERY = '{"brand": "x"}'
_INT64 = range(-(2**63), 2**63)

Document = dict[str, Any]


def parse_query(text: str) -> dict[str, Any]:
    """Read a MongoDB filter written as (extended) JSON.

    Raises:
        DataError: It is not JSON, or not an object.
    """
    try:
        query = parse_json(text)
    except ValueError as error:
        raise DataError(f"--query is not JSON ({error}); expected such as {_QUERY}") from None
    if not isinstance(query, dict):
        raise DataError(f"--query is no JSON object; expected such as {_QUERY}")
    return query


def open_documents(uri: str, query: Mapping[str, Any]) -> Table:
    """Open a collection as a table, in the order of ``_id``.

    Raises:
        DataError: It cannot be reached, or no document matches.
    """
    address = mongo_address(uri)
    total = count(address, query)
    if not total:
        raise DataError(f"{address.shown}: no document matches; check database, collection and --query")
    head = column_names(_rows(address, query, 0))
    return Table(address.shown, "mongodb", head, lambda: _rows(address, query, total), lambda: total)


def _rows(address: MongoAddress, query: Mapping[str, Any], total: int) -> Iterator[Row]:
    number = 0
    for number, document in enumerate(documents(address, query=query, fields=()), 1):
        yield Row(address.shown, number, document)
    if number < total:
        raise DataError(
            f"{address.shown}: {number} of {total} documents came; either some were deleted meanwhile (run "
            "it again), or their _id are of several types (score them with a --query for each)"
        )


def check_target(source: str | None, target: str, *, into_source: bool) -> None:
    """Refuse to write where something of the user's could be overwritten or mixed up.

    Args:
        source: Address of the source, None where that is a file.
        target: Address of the collection to write to.
        into_source: Whether the user asked for the source itself.

    Raises:
        DataError: The target is the source unasked, or not the source although asked; or it holds
            what ``attar score`` did not write.
    """
    to = mongo_address(target)
    # A server has many names, so that the same database and collection count as the same.
    is_source = source is not None and mongo_address(source).namespace == to.namespace
    if into_source and not is_source:
        raise DataError(f"--into-source writes into the collection that is read; --out {to.shown} is another")
    if is_source and not into_source:
        raise DataError(
            f"{to.shown} is the source: name another collection, or add --into-source to give each of its "
            f"documents one field {_FIELD!r} with the answers"
        )
    if into_source:
        foreign = count(to, {_FIELD: {"$exists": True}, f"{_FIELD}.model.version": {"$exists": False}})
        if foreign:
            raise DataError(
                f"{to.shown}: {foreign} documents have a field {_FIELD!r} that attar did not write; "
                "name another collection without --into-source"
            )
    elif count(to, {"model.version": {"$exists": False}}):
        raise DataError(
            f"{to.shown} holds documents that attar score did not write; name a new collection, "
            "or one that holds nothing but scored rows"
        )


def write_documents(
    target: str,
    chunks: Iterable[Sequence[Scored]],
    model: Mapping[str, str],
    keep: Collection[str] | None = None,
) -> None:
    """Write one document a mention: the row's fields, start, end, label, prob, probs and the model.

    Rows without ``_id`` are told apart by the name of their file, their line and what they hold.

    Args:
        target: Address of the collection.
        chunks: The rows.
        model: Named in every document.
        keep: Columns of the input that are kept; None keeps all.

    Raises:
        DataError: The server refuses or cannot be reached.
    """
    rows = (scored for chunk in chunks for scored in chunk)
    upsert(mongo_address(target), (_document(scored, model, keep) for scored in rows))


def write_into_source(target: str, chunks: Iterable[Sequence[Scored]], model: Mapping[str, str]) -> None:
    """Set the field ``attar`` of each document that was scored: the model and all its mentions.

    Raises:
        DataError: The server refuses or cannot be reached.
    """
    set_field(mongo_address(target), _FIELD, _fields(chunks, model))


def _fields(chunks: Iterable[Sequence[Scored]], model: Mapping[str, str]) -> Iterator[tuple[Any, Document]]:
    everything = (scored for chunk in chunks for scored in chunk)
    for _, same in itertools.groupby(everything, key=lambda scored: scored.row.line):
        mentions = list(same)
        field = {"model": dict(model), "mentions": [_mention(scored) for scored in mentions]}
        yield mentions[0].row.values["_id"], field


def _document(scored: Scored, model: Mapping[str, str], keep: Collection[str] | None) -> Document:
    values = dict(scored.row.values)
    place = f"{scored.example.start}:{scored.example.end}"
    own = {}
    if "_id" in values:
        own["source_id"] = values.pop("_id")
        key = f"{_key(own['source_id'])}:{place}"
    else:
        row = scored.row
        key = f"{content_hash([Path(row.source).name, row.line, values])[:32]}:{place}"
    kept: Document = _storable(kept_columns(chosen(values, keep), _ADDED))
    # Fields that begin with a dollar are the server's; theirs get the wide one.
    named = {(f"＄{name[1:]}" if name.startswith("$") else name): value for name, value in kept.items()}
    return {"_id": key, **named, **_storable(own), **_mention(scored), "model": dict(model)}


def _mention(scored: Scored) -> Document:
    return {
        "start": scored.example.start,
        "end": scored.example.end,
        "label": scored.label,
        "prob": scored.prob,
        "probs": dict(scored.probs),
    }


def _key(source_id: object) -> str:
    """The source's ``_id`` as text: equal ones give the same, different ones do not."""
    if isinstance(source_id, str):
        return source_id
    if type(source_id).__name__ == "ObjectId":
        return str(source_id)
    if isinstance(source_id, int | float):
        return f"{type(source_id).__name__}({source_id})"
    return content_hash([type(source_id).__name__, source_id])[:32]


def _storable(value: Any) -> Any:  # noqa: ANN401 - a file may hold anything
    """A value that MongoDB can store; its own types stay as they are."""
    is_bson = type(value).__module__.startswith("bson")
    if value is None or is_bson or isinstance(value, bool | float | bytes | datetime):
        return value
    if isinstance(value, str):
        return value.replace("\0", "\ufffd").encode("utf-8", "replace").decode("utf-8")
    if isinstance(value, int):
        return value if value in _INT64 else str(value)
    if isinstance(value, Mapping):
        return {_storable(str(name)): _storable(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_storable(inner) for inner in value]
    return str(value)
