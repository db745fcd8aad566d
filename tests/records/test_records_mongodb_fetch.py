"""4,000 documents fetched while the server, or the fetch itself, is killed: the same bytes each time."""

import json
import logging
import subprocess
import sys
import threading
import time
from contextlib import suppress

import pytest

pytest.importorskip("pymongo")

from bson import Binary, Int64, ObjectId
from mongo_server import REAL_URI, running_server, test_database

from attar.errors import DataError
from attar.io import mongo
from attar.recipe.load import SourceRecipe
from attar.records.record import Rejection
from attar.records.remote import mongodb
from attar.records.remote.mongodb import fetch_documents, read_documents

NUM_DOCUMENTS = 4000
TEXTS = ("香味好，泵坏", "这支口红很显白，就是有点干", "质地\u2028水润😀，价格贵")
TERMS = ("泵", "口红", "价格")


def document(number):
    text, term = TEXTS[number % 3], TERMS[number % 3]
    start = text.index(term)
    aspect = {"aspectTerm": term, "sScore": number // 3 % 3, "start": start, "end": start + len(term)}
    # Not stored in the order of the ids.
    return {
        "_id": ObjectId(f"{number * 7919 % NUM_DOCUMENTS:024x}"),
        "content": text if number % 100 else list(text),
        "aspect": [aspect],
        "source": "天猫",
        "batchId": Int64(number),
    }


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with running_server(tmp_path_factory.mktemp("mongo")) as running:
        yield running


@pytest.fixture(scope="module")
def database(server):
    with test_database(server) as (uri, database):
        yield uri, database


@pytest.fixture(scope="module")
def corpus(database):
    """A source of 4,000 documents; the driver does not try again on its own."""
    uri, stored = database
    stored.as_corpus.insert_many(document(number) for number in range(NUM_DOCUMENTS))
    mark = "&" if "?" in uri("") else "?"
    return SourceRecipe(path=f"{uri('as_corpus')}{mark}serverSelectionTimeoutMS=60000&retryReads=false")


@pytest.fixture(autouse=True)
def larger_pages(monkeypatch):
    # The server sorts the whole collection for each page.
    monkeypatch.setattr(mongodb, "_PAGE", 800)
    monkeypatch.setattr(mongo, "_FIRST_WAIT_S", 0.05)


@pytest.fixture(scope="module")
def undisturbed(corpus, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mongodb, "_PAGE", NUM_DOCUMENTS)
        return fetch_documents(corpus, tmp_path_factory.mktemp("whole")).read_bytes()


def size(path):
    with suppress(FileNotFoundError):
        return path.stat().st_size
    return 0


def wait_until(condition):
    for _ in range(24_000):
        if condition():
            return
        time.sleep(0.005)
    raise AssertionError("waited for two minutes")


def test_every_document_is_there_once_in_the_order_of_its_id(undisturbed, corpus, tmp_path):
    header, *lines = undisturbed.decode().removesuffix("\n").split("\n")
    rows = [json.loads(line) for line in lines]
    assert [row["_id"]["$oid"] for row in rows] == [f"{number:024x}" for number in range(NUM_DOCUMENTS)]
    assert "batchId" not in rows[0]
    assert json.loads(header)["attar_fetched"].endswith(".as_corpus")
    (tmp_path / "documents.jsonl").write_bytes(undisturbed)
    records = list(read_documents(tmp_path / "documents.jsonl", corpus))
    assert len(records) == NUM_DOCUMENTS
    assert not any(isinstance(record, Rejection) for record in records)
    assert all(record.text[record.start : record.end] == record.term for record in records)
    labels = [record.label for record in records]
    scores = [number // 3 % 3 for number in range(NUM_DOCUMENTS)]
    assert [labels.count(label) for label in ("消极", "中性", "积极")] == [scores.count(n) for n in range(3)]


@pytest.mark.skipif(bool(REAL_URI), reason="a real server is not ours to kill")
def test_a_server_killed_three_times_changes_no_byte(server, corpus, undisturbed, tmp_path, caplog):
    partial, killed_at, broken = tmp_path / "documents.partial.jsonl", [], []

    def kill_and_start():
        try:
            for share in (0.05, 0.35, 0.65):
                wait_until(lambda share=share: size(partial) > share * len(undisturbed))
                killed_at.append(size(partial))
                server.kill()
                time.sleep(0.2)
                server.start()
        except Exception as error:  # noqa: BLE001 - shown by the assertion below
            broken.append(error)

    killer = threading.Thread(target=kill_and_start)
    killer.start()
    path = fetch_documents(corpus, tmp_path)
    killer.join()
    assert broken == []
    assert len(killed_at) == 3
    assert killed_at[-1] < len(undisturbed)
    assert path.read_bytes() == undisturbed
    assert not partial.exists()
    assert "trying again in" in caplog.text


FETCH = """
import sys
from pathlib import Path
from attar.recipe.load import SourceRecipe
from attar.records.remote import mongodb
mongodb._PAGE = 800
mongodb.fetch_documents(SourceRecipe(path=sys.argv[1]), Path(sys.argv[2]))
"""


def test_a_killed_fetch_goes_on_where_it_stopped(corpus, undisturbed, tmp_path):
    partial = tmp_path / "documents.partial.jsonl"
    fetching = subprocess.Popen([sys.executable, "-W", "error", "-c", FETCH, corpus.path, tmp_path])
    wait_until(lambda: size(partial) > 0.3 * len(undisturbed))
    fetching.kill()
    fetching.wait()
    before = size(partial)
    assert before < len(undisturbed)
    assert undisturbed.startswith(partial.read_bytes())
    partial.write_bytes(partial.read_bytes()[:-5])  # and the last line was cut
    asked = []
    real = mongodb.documents

    def noted(address, **settings):
        asked.append(settings["after"])
        return real(address, **settings)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mongodb, "documents", noted)
        path = fetch_documents(corpus, tmp_path)
    assert path.read_bytes() == undisturbed
    num_kept = undisturbed[: before - 5].count(b"\n") - 1
    assert asked == [ObjectId(f"{num_kept - 1:024x}")]


@pytest.fixture
def small(database):
    """(source, collection) of five documents."""
    uri, stored = database
    stored.small.drop()
    stored.small.insert_many(
        {"_id": f"id{n}", "text": f"泵坏{n}", "term": "泵", "label": "消极"} for n in range(5)
    )
    return SourceRecipe(path=uri("small")), stored.small


def test_a_whole_file_of_the_same_settings_is_kept(small, tmp_path):
    source, stored = small
    first = fetch_documents(source, tmp_path).read_bytes()
    stored.delete_one({"_id": "id3"})
    assert fetch_documents(source, tmp_path).read_bytes() == first
    other = source.model_copy(update={"query": {"_id": {"$gt": "id0"}}})
    lines = fetch_documents(other, tmp_path).read_text("utf-8").splitlines()
    assert [json.loads(line)["_id"] for line in lines[1:]] == ["id1", "id2", "id4"]


@pytest.mark.parametrize(
    "damage",
    [
        lambda whole: whole[:0],
        lambda whole: whole[:9],
        lambda whole: whole[: whole.index(b"\n") + 1],
        lambda whole: whole[:-3],
        lambda whole: whole[:-60] + b"\0" * 60,
        lambda whole: whole[:-60] + b"\0" * 59 + b"\n",
        lambda whole: whole.replace(b'"query": {}', b'"query": {"n": 1}').replace(
            "坏".encode(), "好".encode()
        ),
        lambda whole: b"something else\n" + whole,
        lambda whole: whole,
    ],
)
def test_whatever_is_left_of_a_fetch_the_next_one_is_whole(small, tmp_path, damage):
    source, _ = small
    whole = fetch_documents(source, tmp_path / "a").read_bytes()
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "documents.partial.jsonl").write_bytes(damage(whole))
    assert fetch_documents(source, tmp_path / "b").read_bytes() == whole
    assert [path.name for path in (tmp_path / "b").iterdir()] == ["documents.jsonl"]


def test_a_count_that_does_not_fit_is_an_error_and_the_partial_stays(small, tmp_path, monkeypatch):
    monkeypatch.setattr(mongodb, "count", lambda *_: 7)
    with pytest.raises(
        DataError, match=r"small: fetched 5 documents, the server counts 7; .*of several types"
    ):
        fetch_documents(small[0], tmp_path)
    assert len((tmp_path / "documents.partial.jsonl").read_text("utf-8").splitlines()) == 6
    assert not (tmp_path / "documents.jsonl").exists()


def test_an_empty_collection_and_a_query_without_matches_are_named(database, tmp_path):
    uri, stored = database
    stored.full_one.insert_one({"_id": "a", "text": "好"})
    with pytest.raises(DataError, match=r"collection 'empty_one': no document \(query \{\}\); .*full_one"):
        fetch_documents(SourceRecipe(path=uri("empty_one")), tmp_path)
    query = {"text": "差"}
    with pytest.raises(DataError, match=r"none of its 1 documents matches the query .*差"):
        fetch_documents(SourceRecipe(path=uri("full_one"), query=query), tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_database_that_is_not_there_names_those_that_are(monkeypatch):
    monkeypatch.setattr(mongodb, "names_there", lambda _: ([], ["admin", "ai-corpus"]))
    address = mongo.mongo_address("mongodb://h/ai_corpus/as_corpus")
    said = str(mongodb._nothing_there(address, {}))
    assert "database 'ai_corpus', collection 'as_corpus'" in said
    assert said.endswith("collections of the database: none; databases of the server: admin, ai-corpus")


def test_columns_are_fetched_whole_and_read_by_their_paths(database, tmp_path):
    uri, stored = database
    stored.nested.insert_one({"_id": "a", "r": {"body": ["泵", "坏"], "m": [{"l": -1}]}, "secret": "x"})
    columns = {"text": "r.body", "label": "r.m.0.l"}
    source = SourceRecipe(path=uri("nested"), columns=columns)
    path = fetch_documents(source, tmp_path)
    assert "secret" not in path.read_text("utf-8")
    (record,) = read_documents(path, source)
    assert (record.text, record.label) == ("泵坏", "-1")
    assert record.where.endswith(".nested#a")


@pytest.mark.parametrize(
    "last_id",
    [
        7,
        Int64(2**53 + 1),
        2.5,
        "五",
        ObjectId("5f0000000000000000000001"),
        Binary(b"ab", 4),
        {"a": 1, "b": "x"},
    ],
)
def test_an_id_of_any_type_is_found_again(small, tmp_path, monkeypatch, last_id):
    """What a resumed fetch asks for is the ``_id`` that was written."""
    source, _ = small
    asked = []

    def found(_, **settings):
        asked.append(settings["after"])
        return iter(() if asked[1:] else [{"_id": last_id, "text": "泵坏"}])

    monkeypatch.setattr(mongodb, "documents", found)
    monkeypatch.setattr(mongodb, "count", lambda *_: 2)
    for _ in range(2):
        with pytest.raises(DataError, match="fetched 1 documents, the server counts 2"):
            fetch_documents(source, tmp_path)
    assert asked == [None, last_id]


def test_no_credential_is_written_logged_or_shown(tmp_path, caplog, monkeypatch):
    monkeypatch.setattr(mongo, "_TRIES", 2)
    caplog.set_level(logging.DEBUG)
    place = "127.0.0.1:1/shop/small"
    source = SourceRecipe(path=f"mongodb://nutzer:gEh3im@{place}?serverSelectionTimeoutMS=50")
    with pytest.raises(DataError) as caught:
        fetch_documents(source, tmp_path)
    written = "".join(path.read_text("utf-8") for path in tmp_path.iterdir())
    said = f"{caught.value}{caplog.text}{written}"
    assert place in said
    assert "gEh3im" not in said
    assert "nutzer" not in said


def test_what_is_written_has_no_credentials(small):
    """An address with a user is written as the same one without."""
    source, _ = small
    header = mongodb._header(mongo.mongo_address("mongodb://nutzer:gEh3im@h/d/c?x=y"), source, ["text"])
    settings = json.loads(header)
    assert settings == {"attar_fetched": "d.c", "address": "mongodb://h/d/c", "query": {}, "fields": ["text"]}
