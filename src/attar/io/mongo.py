"""MongoDB over an unreliable line: read in pages by ``_id``, written by repeatable upserts.

Records come in through ``documents`` (``attar.records.remote.mongodb``), scored rows go out through
``upsert``. Every call to the server is one short request that may be sent again: a cut connection,
a restarted server, a lost cursor or a new primary costs a wait, never a document. Credentials come
in the address alone and leave it for the driver alone.
"""

from __future__ import annotations

import contextlib
import itertools
import logging
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import unquote

from attar.errors import DataError, redacted, require

if TYPE_CHECKING:
    from pymongo.collection import Collection
    from pymongo.errors import PyMongoError

__all__ = [
    "MongoAddress",
    "count",
    "documents",
    "is_mongodb",
    "mongo_address",
    "names_there",
    "set_field",
    "shown_place",
    "upsert",
]

_LOG = logging.getLogger(__name__)
_FORM = "mongodb://[USER:PASSWORD@]HOST[:PORT]/DATABASE/COLLECTION[?OPTIONS]"
_SCHEMES = ("mongodb://", "mongodb+srv://")
_HOST = re.compile(r"(\[[^\[\]]+\]|[^:\[\]]+)(:\d+)?")
# Without limits of its own the driver waits for a silent server for ever.
_TIMEOUTS_MS = {"serverSelectionTimeoutMS": 10_000, "connectTimeoutMS": 10_000, "socketTimeoutMS": 60_000}
_TRIES = 6
_FIRST_WAIT_S = 0.25
_LONGEST_WAIT_S = 8.0
# UserNotFound, Unauthorized, AuthenticationFailed, and Atlas' own.
_REFUSED = (11, 13, 18, 8000)
_DUPLICATE_KEY = 11000

_Document = dict[str, Any]
_Result = TypeVar("_Result")


@dataclass(frozen=True, slots=True)
class MongoAddress:
    """A collection on a server.

    Attributes:
        uri: What the driver is given; holds the credentials, so it is in no ``repr``.
        database: Name of the database.
        collection: Name of the collection.
        shown: The address without user, password and options, for people to read.
    """

    uri: str = field(repr=False)
    database: str
    collection: str
    shown: str

    @property
    def namespace(self) -> str:
        """``DATABASE.COLLECTION``, as MongoDB itself calls it."""
        return f"{self.database}.{self.collection}"


def mongo_address(uri: str) -> MongoAddress:
    """Read ``mongodb://USER:PASSWORD@HOST:PORT/DATABASE/COLLECTION?OPTIONS`` (or ``mongodb+srv``).

    All but ``/COLLECTION`` is handed to the driver unchanged; so, as everywhere with MongoDB, the
    user is looked up in DATABASE unless ``authSource`` names another.

    Raises:
        DataError: A part is missing, or the credentials are not percent-encoded.
    """
    scheme, _, rest = uri.partition("://")
    if not is_mongodb(uri):
        raise DataError(f"not the address of a MongoDB collection; expected {_FORM}")
    place, mark, options = rest.partition("?")
    authority, _, path = place.partition("/")
    credentials, _, hosts = authority.rpartition("@")
    # A bare @, / or ? in a password moves a part of it to where it would be shown.
    if "@" in credentials + path + options or not all(map(_HOST.fullmatch, hosts.split(","))):
        raise DataError(
            f"{scheme}://...: host and credentials cannot be told apart; write @ in a user or password as "
            f"%40, / as %2F, : as %3A and ? as %3F; expected {_FORM}"
        )
    shown = f"{scheme}://{hosts}/{path}"
    names = path.split("/")
    if len(names) != 2 or not all(names):
        raise DataError(f"{shown}: must name one database and one collection; expected {_FORM}")
    database, collection = map(unquote, names)
    return MongoAddress(f"{scheme}://{authority}/{names[0]}{mark}{options}", database, collection, shown)


def is_mongodb(place: object) -> bool:
    """Whether a place is the address of a collection and not a path."""
    return isinstance(place, str) and place.startswith(_SCHEMES)


def shown_place(place: str | Path) -> str:
    """A path or an address as people may see it: without user, password and options."""
    return mongo_address(str(place)).shown if is_mongodb(place) else redacted(str(place))


def documents(
    address: MongoAddress,
    *,
    query: Mapping[str, Any],
    fields: Iterable[str],
    after: Any = None,  # noqa: ANN401 - an _id may be of any type
    page_size: int = 1000,
) -> Iterator[_Document]:
    """Read the documents of a collection in the order of ``_id``.

    Each page is a request of its own (``_id`` greater than the last one seen), whole before its
    first document is given out, and only an empty page is the end: what breaks within a page
    makes the page be asked for again.

    Args:
        address: Where they are.
        query: Which of them, as a MongoDB filter; values may be extended JSON (``{"$oid": "..."}``).
        fields: What of them, by top-level names; none means everything. ``_id`` always comes.
        after: Go on after this ``_id``.
        page_size: Documents a request.

    Yields:
        Documents. MongoDB compares ``_id`` only within one type, so of a collection with ``_id`` of
        several types just one type may come: compare with ``count``.

    Raises:
        DataError: Refused, a query that the server rejects, or no answer in several tries.
    """
    projection = dict.fromkeys(fields, 1) or None
    with _opened(address) as collection:
        query = _as_filter(address, query)
        bound = {} if after is None else {"_id": {"$gt": after}}
        while page := _patiently(address, lambda: _page(collection, query, bound, projection, page_size)):  # noqa: B023
            yield from page
            bound = {"_id": {"$gt": page[-1]["_id"]}}


def count(address: MongoAddress, query: Mapping[str, Any]) -> int:
    """Number of documents that a MongoDB filter matches; raises as ``documents`` does."""
    with _opened(address) as collection:
        whole = _as_filter(address, query)
        return _patiently(address, lambda: collection.count_documents(whole))


def names_there(address: MongoAddress) -> tuple[list[str], list[str]]:
    """Collections of the database, and databases of the server; none where the user may not list them."""
    collections, databases = list[str](), list[str]()
    with _opened(address) as collection:
        database = collection.database
        with contextlib.suppress(DataError):
            collections = sorted(_patiently(address, database.list_collection_names))
        with contextlib.suppress(DataError):
            databases = sorted(_patiently(address, database.client.list_database_names))
    return collections, databases


def upsert(address: MongoAddress, rows: Iterable[Mapping[str, Any]], *, batch_size: int = 1000) -> int:
    """Write documents by ``_id``: a new one is inserted, a known one replaced.

    Doing it twice is doing it once, so whatever breaks is simply sent again.

    Args:
        address: Where to.
        rows: Documents, each with its ``_id``.
        batch_size: Documents a request.

    Returns:
        Number of documents written.

    Raises:
        DataError: No ``_id``, a document that MongoDB does not take, refused, or no answer in
            several tries.
    """
    require("pymongo", "mongodb")
    from pymongo import ReplaceOne

    def change(row: Mapping[str, Any]) -> ReplaceOne[_Document]:
        if "_id" not in row:
            raise DataError(f"{address.shown}: a document to be written has no _id; give each its own")
        return ReplaceOne({"_id": row["_id"]}, dict(row), upsert=True)

    return sum(num for num, _ in _bulk(address, map(change, rows), batch_size))


def set_field(
    address: MongoAddress, name: str, values: Iterable[tuple[Any, Any]], *, batch_size: int = 1000
) -> int:
    """Set one field of documents and count those that are there; nothing else changes, none is made.

    Args:
        address: Where they are.
        name: The field.
        values: (``_id``, what the field becomes).
        batch_size: Documents a request.

    Raises:
        DataError: As ``upsert``.
    """
    require("pymongo", "mongodb")
    from pymongo import UpdateOne

    changes = (UpdateOne({"_id": key}, {"$set": {name: value}}) for key, value in values)
    return sum(num_found for _, num_found in _bulk(address, changes, batch_size))


def _bulk(address: MongoAddress, changes: Iterable[Any], size: int) -> Iterator[tuple[int, int]]:
    """Send changes in batches; yields how many each had, and how many of its documents were there."""
    left = iter(changes)
    with _opened(address) as collection:
        while batch := list(itertools.islice(left, size)):
            done = _patiently(address, lambda: collection.bulk_write(batch, ordered=False))
            yield len(batch), done.matched_count


def _as_filter(address: MongoAddress, query: Mapping[str, Any]) -> dict[str, Any]:
    """A filter whose values of extended JSON are MongoDB's own."""
    from bson import json_util
    from bson.errors import BSONError

    try:
        return dict(json_util.loads(json_util.dumps(query)))
    except (BSONError, TypeError, ValueError) as error:
        raise DataError(
            f"{address.shown}: the query is not a MongoDB filter ({error}); expected field = value, or "
            'operators and extended JSON such as {"$gt": {"$date": "2020-01-01T00:00:00Z"}}'
        ) from error


def _page(
    collection: Collection[_Document],
    query: Mapping[str, Any],
    bound: Mapping[str, Any],
    projection: Mapping[str, int] | None,
    page_size: int,
) -> list[_Document]:
    # $and, because the query may have a condition on _id of its own.
    whole = {"$and": [query, bound]} if query and bound else {**query, **bound}
    found = collection.find(whole, projection, sort=[("_id", 1)], limit=page_size, batch_size=page_size)
    with found:
        return list(found)


@contextlib.contextmanager
def _opened(address: MongoAddress) -> Iterator[Collection[_Document]]:
    require("pymongo", "mongodb")
    import pymongo
    from bson.codec_options import CodecOptions, DatetimeConversion
    from pymongo.errors import PyMongoError

    given = {part.partition("=")[0].lower() for part in address.uri.partition("?")[2].split("&")}
    timeouts: dict[str, Any] = {key: ms for key, ms in _TIMEOUTS_MS.items() if key.lower() not in given}
    # One odd document (a date of the year 20000, a broken string) must not stop all the others.
    lenient = CodecOptions[_Document](
        unicode_decode_error_handler="replace", datetime_conversion=DatetimeConversion.DATETIME_AUTO
    )
    try:
        client: pymongo.MongoClient[_Document] = pymongo.MongoClient(address.uri, **timeouts)
        collection = client.get_database(address.database).get_collection(address.collection, lenient)
    except (PyMongoError, ValueError, TypeError, OSError) as error:
        # Its own words may quote the address, password and all.
        raise DataError(
            f"{address.shown}: the driver does not take this address ({type(error).__name__}); check the "
            "host, the names, the options, and that user and password are percent-encoded"
        ) from None
    with client:
        yield collection


def _patiently(address: MongoAddress, ask: Callable[[], _Result]) -> _Result:
    """What ``ask`` returns, asked again while the connection is at fault."""
    from bson.errors import BSONError
    from pymongo.errors import PyMongoError

    wait_s = _FIRST_WAIT_S
    for left in reversed(range(_TRIES)):
        try:
            return ask()
        except PyMongoError as error:
            if not _passes(error):
                raise _explained(address, error) from None
            reason = _reason(error)
        except (BSONError, OverflowError, UnicodeError) as error:
            raise DataError(
                f"{address.shown}: a document or the query holds a value that MongoDB cannot store "
                f"({type(error).__name__}); use text, numbers, dates, lists and tables"
            ) from None
        if left:
            _LOG.warning("%s: %s; trying again in %g s", address.shown, reason, wait_s)
            time.sleep(wait_s)
            wait_s = min(2 * wait_s, _LONGEST_WAIT_S)
    raise DataError(
        f"{address.shown}: no answer in {_TRIES} tries ({reason}); check the server and the network, "
        "then run the same command again: it resumes"
    )


def _passes(error: PyMongoError) -> bool:
    """Whether the same request may succeed a little later."""
    from pymongo.errors import BulkWriteError, ConnectionFailure, CursorNotFound, ProtocolError

    if isinstance(error, BulkWriteError):
        problems = (error.details or {}).get("writeErrors", ())
        # Two writers may insert one new _id at once; the second try finds it there.
        return bool(problems) and all(
            problem.get("code") == _DUPLICATE_KEY and problem.get("keyPattern") == {"_id": 1}
            for problem in problems
        )
    is_passing = isinstance(error, ConnectionFailure | CursorNotFound | ProtocolError)
    return is_passing or error.has_error_label("RetryableWriteError")


def _explained(address: MongoAddress, error: PyMongoError) -> DataError:
    from pymongo.errors import BulkWriteError, OperationFailure

    if isinstance(error, BulkWriteError):
        details = error.details or {}
        problems = details.get("writeErrors") or details.get("writeConcernErrors") or [{}]
        return DataError(
            f"{address.shown}: {len(problems)} documents of a batch were not written (code "
            f"{problems[0].get('code')}); check the collection's rules and unique indexes"
        )
    if isinstance(error, OperationFailure) and error.code in _REFUSED:
        return DataError(
            f"{address.shown}: the server refuses (code {error.code}); check user, password and rights; "
            "a user kept in another database needs ?authSource=admin (or its name) in the address"
        )
    return DataError(f"{address.shown}: {_reason(error)}; check the query and the server's version")


def _reason(error: PyMongoError) -> str:
    """The driver's words without its lists of settings."""
    text = str(error).split(" (configured", 1)[0].split(", Timeout:", 1)[0].split(", full error:", 1)[0]
    return f"{type(error).__name__}: {' '.join(text.split())[:200]}"
