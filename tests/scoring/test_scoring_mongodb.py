"""Documents in and out of ``attar score``, over a real wire-protocol server."""

from __future__ import annotations

import csv
import json
from datetime import datetime

import pytest

pytest.importorskip("pymongo")

from bson import ObjectId
from mongo_server import running_server, test_database

from attar.errors import DataError
from attar.io.mongo import shown_place
from attar.io.tables.table_files import open_tables
from attar.scoring import cached_probs, chunks, mongodb
from attar.scoring.mongodb import open_documents, parse_query
from attar.scoring.stage import ScoreOptions, score_file

LABELS = ("坏", "中", "好")
DOCUMENTS = [
    {"_id": ObjectId("5f" * 12), "review": {"body": "香味很好，香味"}, "keyword": "香味", "brand": "a"},
    {"_id": ObjectId("6f" * 12), "review": {"body": "口红不好"}, "keyword": "口红", "label": "好"},
    {"_id": ObjectId("7f" * 12), "review": {"body": "粉底液"}, "keyword": "口红", "at": datetime(2020, 1, 2)},
]  # fmt: skip
NESTED = ScoreOptions("review.body")


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with running_server(tmp_path_factory.mktemp("mongo")) as running:
        yield running


@pytest.fixture
def shop(server, tmp_path, monkeypatch):
    """(URI of a collection by name, the Database) with a collection ``reviews``, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    with test_database(server) as (uri, database):
        database.reviews.insert_many(DOCUMENTS)
        yield uri, database


def everything(collection):
    return list(collection.find().sort("_id", 1))


def test_documents_become_scored_documents_once(predictor, shop, tmp_path):
    uri, database = shop
    counts = score_file(predictor, uri("reviews"), uri("scored"), NESTED)
    assert (counts.rows, counts.predictions, dict(counts.rejected)) == (3, 3, {"term_not_found": 1})
    first = everything(database.scored)
    assert [d["_id"] for d in first] == [f"{'5f' * 12}:0:2", f"{'5f' * 12}:5:7", f"{'6f' * 12}:0:2"]
    wanted = predictor.predict([d["review"]["body"] for d in DOCUMENTS[:2]], ["香味", "口红"])
    assert first[0]["source_id"] == DOCUMENTS[0]["_id"]
    assert (first[0]["brand"], first[0]["keyword"]) == ("a", "香味")
    assert (first[0]["start"], first[0]["end"], first[0]["label"]) == (0, 2, wanted[0].label)
    assert first[0]["probs"] == pytest.approx(wanted[0].probs, abs=1e-6)
    assert first[0]["prob"] == max(first[0]["probs"].values())
    version = predictor.artifact.version
    assert first[0]["model"] == {
        "task": "tiny",
        "version": version,
        "sha256": predictor.artifact.files["model.onnx"],
    }
    assert first[2]["input_label"] == "好"
    assert everything(database.reviews) == DOCUMENTS
    assert counts.rejected_path.resolve() == tmp_path / "scored.rejected.jsonl"
    assert json.loads(counts.rejected_path.read_text("utf-8"))["reason"] == "term_not_found"
    score_file(predictor, uri("reviews"), uri("scored"), NESTED)
    assert everything(database.scored) == first


def test_a_run_that_was_killed_is_completed_by_the_next(predictor, shop, tmp_path, monkeypatch):
    uri, database = shop
    database.many.insert_many([{"_id": n, "text": f"香味很好{n}", "term": "香味"} for n in range(60)])
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(chunks, "CHUNK_EXAMPLES", 7)
    monkeypatch.setattr(cached_probs, "_MAX_PART", 7)
    monkeypatch.setattr(mongodb, "upsert", lambda a, d: mongo_upsert(a, d, batch_size=5))
    from attar.io.mongo import upsert as mongo_upsert

    calls, real = [], predictor.predict_probs

    def broken(examples):
        calls.append(examples)
        if len(calls) == 5:
            raise KeyboardInterrupt
        return real(examples)

    with monkeypatch.context() as patch:
        patch.setattr(predictor, "predict_probs", broken)
        with pytest.raises(KeyboardInterrupt):
            score_file(predictor, uri("many"), uri("partly"))
    assert 0 < database.partly.count_documents({}) < 60
    assert [path.name for path in tmp_path.iterdir()] == ["partly.parts"]
    assert score_file(predictor, uri("many"), uri("partly")).reused == 28
    assert not list(tmp_path.iterdir())
    score_file(predictor, uri("many"), uri("whole"))
    assert everything(database.partly) == everything(database.whole)
    assert database.whole.count_documents({}) == 60


def test_a_query_chooses_and_ids_of_every_kind_stay_apart(predictor, shop):
    uri, _ = shop
    chosen = ScoreOptions("review.body", query=parse_query('{"brand": {"$in": ["a"]}}'))
    assert score_file(predictor, uri("reviews"), uri("scored"), chosen).rows == 1
    keys = {mongodb._key(value) for value in (1, "1", 1.5, ObjectId("1" * 24), {"a": 1}, {"a": 2}, True)}
    assert len(keys) == 7
    with pytest.raises(DataError, match="no document matches"):
        score_file(predictor, uri("reviews"), uri("x"), ScoreOptions(query={"brand": "none"}))
    with pytest.raises(DataError, match=r"no column 'text' for text; there are '_id', 'review'"):
        score_file(predictor, uri("reviews"), uri("x"))


@pytest.mark.parametrize("form", ["jsonl", "csv", "parquet", "xlsx"])
def test_documents_to_files(predictor, shop, tmp_path, form):
    uri, _ = shop
    out = tmp_path / f"out.{form}"
    assert score_file(predictor, uri("reviews"), out, NESTED).predictions == 3
    found = [row.values for row in open_tables(out)[0].rows()]
    assert [row["_id"] for row in found] == ["5f" * 12, "5f" * 12, "6f" * 12]
    assert [int(row["start"]) for row in found] == [0, 5, 0]
    assert [row.get("input_label") or None for row in found] == [None, None, "好"]
    assert {row["label"] for row in found} <= set(LABELS)


def test_files_to_documents(predictor, shop, tmp_path):
    uri, database = shop
    source = tmp_path / "in.jsonl"
    lines = [
        {"text": "香味很好", "term": "香味", "big": 10**30, "$odd": 1, "deep": [{"$a": "\ud800", "b": 2.5}]},
        {"text": "香味很好", "term": "香味", "model": "x"},
        {"text": "香味很好", "term": "香味", "model": "x"},
        {"_id": "mine", "text": "口红", "term": "口红"},
    ]
    source.write_text("".join(json.dumps(line) + "\n" for line in lines), "utf-8")
    assert score_file(predictor, source, uri("scored")).predictions == 4
    first = everything(database.scored)
    assert len(first) == 4  # equal rows are told apart by their lines
    by_id = {document["_id"]: document for document in first}
    assert by_id["mine:0:2"]["source_id"] == "mine"
    odd = next(document for document in first if "big" in document)
    assert (odd["big"], odd["＄odd"], odd["deep"][0]["b"]) == (str(10**30), 1, 2.5)
    assert any(document.get("input_model") == "x" for document in first)
    score_file(predictor, source, uri("scored"))
    assert everything(database.scored) == first


def test_the_source_is_written_to_only_when_asked_twice(predictor, shop):
    uri, database = shop
    with pytest.raises(DataError, match=r"is the source.*--into-source"):
        score_file(predictor, uri("reviews"), uri("reviews"), NESTED)
    into = ScoreOptions("review.body", into_source=True)
    with pytest.raises(DataError, match="is another"):
        score_file(predictor, uri("reviews"), uri("elsewhere"), into)
    assert everything(database.reviews) == DOCUMENTS
    score_file(predictor, uri("reviews"), uri("reviews"), into)
    first = everything(database.reviews)
    assert [{k: v for k, v in d.items() if k != "attar"} for d in first] == DOCUMENTS
    assert "attar" not in first[2]
    assert [m["start"] for m in first[0]["attar"]["mentions"]] == [0, 5]
    assert set(first[0]["attar"]["mentions"][0]) == {"start", "end", "label", "prob", "probs"}
    assert first[0]["attar"]["model"]["version"] == predictor.artifact.version
    score_file(predictor, uri("reviews"), uri("reviews"), into)
    assert everything(database.reviews) == first


def test_nothing_of_the_users_is_overwritten(predictor, shop, tmp_path):
    uri, database = shop
    source = tmp_path / "in.jsonl"
    source.write_text('{"text": "香味", "term": "香味"}\n', "utf-8")
    with pytest.raises(DataError, match="attar score did not write"):
        score_file(predictor, source, uri("reviews"))
    database.reviews.update_one({"_id": DOCUMENTS[0]["_id"]}, {"$set": {"attar": "mine"}})
    before = everything(database.reviews)
    with pytest.raises(DataError, match="1 documents have a field 'attar'"):
        score_file(predictor, uri("reviews"), uri("reviews"), ScoreOptions("review.body", into_source=True))
    assert everything(database.reviews) == before
    for options in (ScoreOptions(into_source=True), ScoreOptions(query={"a": 1})):
        with pytest.raises(DataError, match="is a file"):
            score_file(predictor, source, tmp_path / "o.csv", options)


def test_documents_that_do_not_come_are_no_silence(shop, monkeypatch):
    uri, _ = shop
    source = open_documents(uri("reviews"), {})
    assert source.count() == 3
    monkeypatch.setattr(mongodb, "documents", lambda *_, **__: iter(DOCUMENTS[:2]))
    with pytest.raises(DataError, match="2 of 3 documents came"):
        list(source.rows())


@pytest.mark.parametrize("query", ["{", "[1]", "brand"])
def test_a_query_that_is_none(query):
    with pytest.raises(DataError, match="expected such as"):
        parse_query(query)


def test_credentials_are_not_shown(attar_main, one_line, artifact_folder, shop, tmp_path):
    uri, _ = shop
    assert shown_place("mongodb://me:secret@h/d/c?authSource=x") == "mongodb://h/d/c"
    out = tmp_path / "out.csv"
    arguments = ["score", artifact_folder, "--in", uri("reviews"), "--text", "review.body", "--workers", "1"]
    code, said, _ = attar_main(*arguments, "--query", '{"brand": "a"}', "--out", out)
    assert (code, said) == (0, f"scored:    2 mentions of 1 rows -> {out}\n")
    with out.open(encoding="utf-8", newline="") as stream:
        assert [row["brand"] for row in csv.DictReader(stream)] == ["a", "a"]
    code, said, err = attar_main(*arguments, "--out", "mongodb://me:secret@h/d/c", "--into-source")
    assert "mongodb://h/d/c is another" in one_line(code, err)
    assert "secret" not in said + err


@pytest.mark.parametrize("text", ["{", "[1]", '{"a":' * 100_000 + "1" + "}" * 100_000])
def test_a_query_that_is_none_is_named(text):
    with pytest.raises(DataError, match="--query is n"):
        parse_query(text)
