"""MongoDB in pages and upserts: a real wire-protocol server, and one that fails by script."""

import logging
from concurrent.futures import ThreadPoolExecutor

import pytest

mockupdb = pytest.importorskip("mockupdb")
pytest.importorskip("pymongo")

from bson import ObjectId  # noqa: E402
from mongo_server import running_server, test_database  # noqa: E402

from attar.errors import DataError, MissingPackageError  # noqa: E402
from attar.io import mongo  # noqa: E402
from attar.io.mongo import count, documents, mongo_address, shown_place, upsert  # noqa: E402

PASSWORD = "gEh3im-Wort"  # noqa: S105
FAST = "serverSelectionTimeoutMS=2000"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with running_server(tmp_path_factory.mktemp("mongo")) as running:
        yield running


@pytest.fixture
def collection(server):
    with test_database(server) as (uri, database):
        yield mongo_address(uri("reviews")), database.reviews


@pytest.fixture(scope="module")
def mocked():
    hello = {"maxWireVersion": 17, "minWireVersion": 0, "saslSupportedMechs": ["SCRAM-SHA-256"]}
    running = mockupdb.MockupDB(auto_ismaster=hello)
    running.run()
    yield running
    running.stop()


@pytest.fixture
def scripted(mocked, monkeypatch, caplog):
    """A server whose every answer the test gives."""
    monkeypatch.setattr(mongo, "_FIRST_WAIT_S", 0.01)
    monkeypatch.setattr(mongo, "_TRIES", 3)
    caplog.set_level(logging.DEBUG)
    yield mocked
    assert PASSWORD not in caplog.text


def start(running, ask, credentials="", options=FAST):
    """The future of what ``ask`` gives for the scripted server's address."""
    address = mongo_address(f"mongodb://{credentials}127.0.0.1:{running.port}/shop/reviews?{options}")
    return ThreadPoolExecutor(1).submit(ask, address)


def read_all(address):
    return list(documents(address, query={}, fields=(), page_size=2))


def answer(request, *found, cursor=0):
    request.ok(cursor={"id": cursor, "ns": "shop.reviews", "firstBatch": list(found)})


def next_request(running, name):
    while (request := running.receives(timeout=600)) and name not in request:
        request.ok()
    return request


ONE, TWO = {"_id": 1, "text": "泵坏"}, {"_id": 2, "text": "香"}


@pytest.mark.parametrize(
    ("uri", "driver", "database", "collection", "shown"),
    [
        ("mongodb://h/d/c", "mongodb://h/d", "d", "c", "mongodb://h/d/c"),
        (
            "mongodb://u:p%40%2F@h:1,[::1]:2/ai-corpus/as_corpus?authSource=admin&tls=true",
            "mongodb://u:p%40%2F@h:1,[::1]:2/ai-corpus?authSource=admin&tls=true",
            "ai-corpus", "as_corpus", "mongodb://h:1,[::1]:2/ai-corpus/as_corpus",
        ),
        ("mongodb+srv://u:p@c.example/d/a%20b", "mongodb+srv://u:p@c.example/d", "d", "a b",
         "mongodb+srv://c.example/d/a%20b"),
    ],
)  # fmt: skip
def test_an_address_is_told_apart(uri, driver, database, collection, shown):
    address = mongo_address(uri)
    assert (address.uri, address.database, address.collection) == (driver, database, collection)
    assert address.shown == shown
    assert address.namespace == f"{database}.{collection}"
    assert "u:p" not in repr(address)


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("http://h/d/c", "not the address of a MongoDB collection; expected mongodb://"),
        ("reviews.json", "not the address of a MongoDB collection"),
        ("mongodb://h", "mongodb://h/: must name one database and one collection"),
        ("mongodb://u:PW@h/d", "mongodb://h/d: must name one database and one collection"),
        ("mongodb://u:PW@h/d/c/e", "must name one database"),
        ("mongodb://u:PW@h//c", "must name one database"),
        ("mongodb:///d/c", "cannot be told apart"),
        ("mongodb://u:P@PW@h/d/c", "write @ in a user or password as %40"),
        ("mongodb://u:P/PW@h/d/c", "/ as %2F"),
        ("mongodb://u:P?PW@h/d/c", r"\? as %3F"),
        ("mongodb://u:PW@P?PW@h/d/c", "cannot be told apart"),
        ("mongodb://u:PW/d/c", "cannot be told apart"),
        ("mongodb://u:P:PW@h:27017:1/d/c", "cannot be told apart"),
    ],
)
def test_a_wrong_address_says_what_is_missing_and_no_password(uri, message):
    with pytest.raises(DataError, match=message) as caught:
        mongo_address(uri)
    assert "PW" not in str(caught.value)


@pytest.mark.parametrize(
    "uri", ["mongodb://u:x:PW@h/d/c", "mongodb://u:PW@h:99999/d/c", "mongodb://u:PW@h/a b/c"]
)
def test_an_address_that_the_driver_does_not_take_shows_no_password(uri):
    with pytest.raises(DataError, match="the driver does not take this address") as caught:
        count(mongo_address(uri), {})
    assert "PW" not in str(caught.value)
    assert caught.value.__suppress_context__


@pytest.mark.parametrize("page_size", [1, 3, 7, 100])
def test_documents_come_in_order_whatever_the_page(collection, page_size):
    address, stored = collection
    stored.insert_many({"_id": f"{i:02}", "text": "泵坏", "n": i, "more": {"a": i}} for i in range(20, 0, -1))
    found = list(documents(address, query={"n": {"$gt": 13}}, fields=("n", "more"), page_size=page_size))
    assert found == [{"_id": f"{i:02}", "n": i, "more": {"a": i}} for i in range(14, 21)]
    assert count(address, {"n": {"$gt": 13}}) == 7
    rest = documents(address, query={"_id": {"$lt": "05"}}, fields=(), after="02", page_size=page_size)
    assert [found["_id"] for found in rest] == ["03", "04"]


def test_a_query_may_hold_extended_json(scripted):
    query = {"_id": {"$gt": {"$oid": "5f0000000000000000000001"}}, "n": 1}
    asked = start(scripted, lambda address: list(documents(address, query=query, fields=())))
    request = next_request(scripted, "find")
    assert request["filter"] == {"_id": {"$gt": ObjectId("5f0000000000000000000001")}, "n": 1}
    answer(request)
    assert asked.result(600) == []
    with pytest.raises(DataError, match="the query is not a MongoDB filter"):
        count(mongo_address("mongodb://h/d/c"), {"_id": {"$oid": "short"}})


def test_writing_twice_is_writing_once(collection):
    address, stored = collection
    rows = [{"_id": i, "label": "积极", "probs": [0.1, 0.9]} for i in range(25)]
    assert upsert(address, iter(rows), batch_size=10) == 25
    once = sorted(stored.find(), key=lambda row: row["_id"])
    assert once == rows
    assert upsert(address, rows, batch_size=7) == 25
    assert sorted(stored.find(), key=lambda row: row["_id"]) == rows
    assert upsert(address, [{"_id": 3, "label": "消极"}]) == 1
    assert stored.find_one({"_id": 3}) == {"_id": 3, "label": "消极"}
    assert stored.count_documents({}) == 25


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"text": "泵坏"}, "has no _id"),
        ({"_id": 1, "text": object()}, "a value that MongoDB cannot store"),
        ({"_id": 1, "text": "泵坏", "n": 2**64}, r"cannot store \(OverflowError\)"),
    ],
)
def test_a_document_that_cannot_be_written_is_named_without_its_text(collection, row, message):
    with pytest.raises(DataError, match=message) as caught:
        upsert(collection[0], [row])
    assert "泵坏" not in str(caught.value)


def test_a_server_that_is_not_there_is_given_up(monkeypatch, caplog):
    monkeypatch.setattr(mongo, "_FIRST_WAIT_S", 0.01)
    monkeypatch.setattr(mongo, "_TRIES", 3)
    address = mongo_address(f"mongodb://u:{PASSWORD}@127.0.0.1:1/d/c?serverSelectionTimeoutMS=50")
    with pytest.raises(
        DataError, match=r"127\.0\.0\.1:1/d/c: no answer in 3 tries .*same command again"
    ) as caught:
        count(address, {})
    assert caplog.text.count("trying again in") == 2
    assert PASSWORD not in str(caught.value) + caplog.text


def test_a_refused_password_is_an_error_at_once(scripted, caplog):
    asked = start(scripted, read_all, f"user:{PASSWORD}@")
    next_request(scripted, "saslStart").command_err(18, "Authentication failed.")
    with pytest.raises(
        DataError, match=r"127.*/shop/reviews: the server refuses \(code 18\).*authSource"
    ) as caught:
        asked.result(600)
    assert PASSWORD not in str(caught.value)
    assert "trying again" not in caplog.text


def test_a_query_that_the_server_rejects_is_an_error_at_once(scripted):
    asked = start(scripted, read_all)
    next_request(scripted, "find").command_err(2, "unknown operator: $biger")
    with pytest.raises(DataError, match=r"unknown operator: \$biger; check the query"):
        asked.result(600)


def test_a_dead_cursor_makes_the_page_be_asked_for_again(scripted):
    asked = start(scripted, read_all)
    answer(next_request(scripted, "find"), ONE, cursor=77)
    next_request(scripted, "getMore").command_err(43, "cursor id 77 not found")
    again = next_request(scripted, "find")
    assert again["filter"] == {}
    answer(again, ONE, TWO)
    last = next_request(scripted, "find")
    assert last["filter"] == {"_id": {"$gt": 2}}
    answer(last)
    assert asked.result(600) == [ONE, TWO]


def test_a_short_page_is_not_the_end(scripted):
    asked = start(scripted, read_all)
    answer(next_request(scripted, "find"), ONE)
    answer(next_request(scripted, "find"), TWO)
    answer(next_request(scripted, "find"))
    assert asked.result(600) == [ONE, TWO]


def test_a_reply_that_breaks_off_is_asked_for_again(scripted):
    asked = start(scripted, read_all)
    for _ in range(2):  # the driver itself tries once more
        request = next_request(scripted, "find")
        whole = mockupdb.OpMsgReply(
            {"ok": 1, "cursor": {"id": 0, "ns": "shop.reviews", "firstBatch": [ONE, TWO]}}
        ).reply_bytes(request)
        request._client.sendall(whole[: len(whole) // 2])
        request.hangup()
    answer(next_request(scripted, "find"), ONE, TWO)
    answer(next_request(scripted, "find"))
    assert asked.result(600) == [ONE, TWO]


def test_a_slow_answer_is_asked_for_again(scripted, caplog):
    asked = start(scripted, read_all, options=f"{FAST}&socketTimeoutMS=1000")
    for _ in range(2):
        next_request(scripted, "find")  # and no answer within a second
    answer(next_request(scripted, "find"), TWO)
    answer(next_request(scripted, "find"))
    assert asked.result(600) == [TWO]
    assert "NetworkTimeout" in caplog.text


def test_progress_starts_the_count_of_tries_anew(scripted):
    asked = start(scripted, read_all)
    for found in (ONE, TWO):
        for _ in range(2):
            next_request(scripted, "find").command_err(43, "cursor not found")
        answer(next_request(scripted, "find"), found)
    for _ in range(3):
        next_request(scripted, "find").command_err(43, "cursor not found")
    with pytest.raises(DataError, match="no answer in 3 tries"):
        asked.result(600)


def test_a_write_that_breaks_off_is_sent_again(scripted):
    asked = start(scripted, lambda address: upsert(address, [ONE, TWO]))
    for _ in range(2):
        next_request(scripted, "update").hangup()
    request = next_request(scripted, "update")
    request.ok(n=2, nModified=0)
    assert asked.result(600) == 2


@pytest.mark.parametrize(
    ("problem", "passes"),
    [
        ({"index": 0, "code": 11000, "errmsg": "泵坏", "keyPattern": {"_id": 1}}, True),
        ({"index": 0, "code": 11000, "errmsg": "泵坏", "keyPattern": {"text": 1}}, False),
        ({"index": 0, "code": 121, "errmsg": "泵坏"}, False),
    ],
)
def test_only_a_race_for_a_new_id_is_written_again(scripted, problem, passes, caplog):
    asked = start(scripted, lambda address: upsert(address, [ONE]))
    next_request(scripted, "update").ok(n=0, nModified=0, writeErrors=[problem])
    if passes:
        next_request(scripted, "update").ok(n=1, nModified=1)
        assert asked.result(600) == 1
    else:
        with pytest.raises(
            DataError, match=rf"1 documents of a batch were not written \(code {problem['code']}"
        ):
            asked.result(600)
        assert "泵坏" not in "".join(r.getMessage() for r in caplog.records if r.name.startswith("attar"))


def test_without_the_driver_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pymongo", None)
    with pytest.raises(MissingPackageError, match=r"pip install 'attar\[mongodb\]'"):
        count(mongo_address("mongodb://h/d/c"), {})


@pytest.mark.parametrize(
    ("place", "shown"),
    [
        ("mongodb://u:PW@h/d/c?authSource=x", "mongodb://h/d/c"),
        ("http://u:PW@h/projects/7", "http://...@h/projects/7"),
        ("http://h/projects/7?token=PW", "http://h/projects/7?..."),
        ("data/rows@2024.xlsx#sheet", "data/rows@2024.xlsx#sheet"),
    ],
)
def test_a_place_is_shown_without_what_may_be_secret(place, shown):
    assert shown_place(place) == shown
