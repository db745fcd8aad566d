"""attar score on Apache Spark, in two executors of one machine: the same rows as its own job."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import threading
from dataclasses import fields
from importlib.util import find_spec
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from attar.artifact import load_artifact
from attar.cli.score import _ONE_MACHINE
from attar.errors import ArtifactError, DataError, MissingPackageError, RunError
from attar.scoring.options import ScoreOptions
from attar.scoring.spark.job import score_with_spark
from attar.scoring.spark.places import check_parquet, table_name
from attar.scoring.spark.session import SparkSettings, open_session, read_conf, spark_error
from attar.scoring.spark.shipment import pack, scorer_of
from attar.scoring.stage import score_file
from attar.terms.term_list import Term, TermList

needs_pyspark = pytest.mark.skipif(find_spec("pyspark") is None, reason="needs attar[spark]")
needs_java = pytest.mark.skipif(
    shutil.which("java") is None, reason="needs Java for Spark: apt-get install openjdk-17-jre-headless"
)
ROWS = [
    {"text": "香味很好，香味{}", "term": "香味", "label": "好", "day": "2024-01-02"},
    {"text": "口红不好{}", "term": "粉底", "label": None, "day": None},
    {"text": None, "term": "口红", "label": "坏", "day": "2024-01-03"},
    {"text": "粉底液，太差了{}", "term": "粉底液", "label": "x", "day": "2024-01-04"},
    {"text": "什么都没有{}", "term": "没有", "label": "x", "day": None},
]
TERMS = TermList.of([Term("香味", ("香味", "味道"), "闻"), Term("粉底", ("粉底液", "粉底"), "妆")])
NUM_FILES = 12


def make_rows(count):
    made = []
    for number in range(count):
        row = dict(ROWS[number % len(ROWS)])
        if row["text"] is not None:
            row["text"] = row["text"].format("白红润香"[number % 4] * (number % 7))
        made.append(row | {"id": number})
    return made


@pytest.fixture(scope="module")
def rows_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("rows")
    rows = make_rows(NUM_FILES * 400)
    for number in range(NUM_FILES):
        table = pa.Table.from_pylist(rows[number::NUM_FILES])
        day = table["day"].combine_chunks().cast(pa.date32())
        pq.write_table(table.set_column(3, "day", day), folder / f"{number:02}.parquet")
    return folder


@pytest.fixture(scope="module")
def session(tmp_path_factory):
    """Two executors of one core; each task that takes longer than most is started twice."""
    short_lived = "-XX:+UseSerialGC -XX:TieredStopAtLevel=1"  # compiled once, and lightly
    conf = {
        "spark.driver.extraJavaOptions": short_lived, "spark.executor.extraJavaOptions": short_lived,
        "spark.sql.shuffle.partitions": "1", "spark.sql.codegen.wholeStage": "false",
        "spark.sql.warehouse.dir": str(tmp_path_factory.mktemp("warehouse")),
        "spark.speculation": "true", "spark.speculation.quantile": "0.1",
        "spark.speculation.multiplier": "1.1", "spark.speculation.interval": "50ms",
        "spark.sql.files.maxPartitionBytes": "1m", "spark.sql.files.openCostInBytes": "1m",  # a task a file
    }  # fmt: skip
    with open_session(SparkSettings("local-cluster[2,1,1024]", conf)) as made:
        yield made


@pytest.fixture(scope="module")
def artifact(artifact_folder):
    return load_artifact(artifact_folder)


def in_order(table):
    names = [name for name in ("id", "start", "term") if name in table.schema.names]
    return table.sort_by([(name, "ascending") for name in names])


def one_machine(predictor, folder, tmp_path, options):
    """What the job of one machine writes: its table and counts."""
    counts = score_file(predictor, folder, tmp_path / "one.parquet", options)
    return in_order(pq.read_table(tmp_path / "one.parquet")), counts


@pytest.fixture(scope="module")
def wanted_rows(predictor, rows_folder, tmp_path_factory):
    """What the job of one machine writes, with the options that are not given."""
    return one_machine(predictor, rows_folder, tmp_path_factory.mktemp("wanted"), ScoreOptions())


def check_same(found, counts, wanted, wanted_counts):
    assert found.schema.names == wanted.schema.names
    assert found.to_pylist() == wanted.to_pylist()
    for name in ("rows", "predictions", "rejected"):
        assert getattr(counts, name) == getattr(wanted_counts, name)
    assert counts.without_term.total() == wanted_counts.without_term.total()


def read_folder(folder):
    return in_order(pq.ParquetDataset(folder, partitioning=None).read())


@contextlib.contextmanager
def executor_killed(session, after_tasks=2):
    """Kill one executor as soon as some tasks of the block are done; yields what was killed, and when."""
    killed, over = [], threading.Event()
    app = session.sparkContext.applicationId

    def executors():
        for entry in Path("/proc").iterdir():
            with contextlib.suppress(OSError):
                words = (entry / "cmdline").read_bytes().split(b"\0")
                if (
                    b"org.apache.spark.executor.CoarseGrainedExecutorBackend" in words
                    and app.encode() in words
                ):
                    yield int(entry.name)

    def watch():
        tracker = session.sparkContext.statusTracker()
        while not over.wait(0.02):
            for stage in map(tracker.getStageInfo, tracker.getActiveStageIds()):
                if stage and after_tasks <= stage.numCompletedTasks < stage.numTasks >= NUM_FILES // 2:
                    pid = max(executors())
                    os.kill(pid, signal.SIGKILL)
                    killed.append((pid, stage.numCompletedTasks, stage.numTasks))
                    return

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield killed
    finally:
        over.set()
        thread.join()


@needs_pyspark
@needs_java
@pytest.mark.parametrize("options", [ScoreOptions(), ScoreOptions(terms=TERMS, columns=("id", "day"))])
def test_the_same_rows_as_one_machines_job(session, artifact, predictor, rows_folder, tmp_path, options):
    wanted, wanted_counts = one_machine(predictor, rows_folder, tmp_path, options)
    counts = score_with_spark(session, artifact, [str(rows_folder)], str(tmp_path / "out"), options)
    check_same(read_folder(tmp_path / "out"), counts, wanted, wanted_counts)
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"one.parquet", "one.parquet.rejected.jsonl", "out", "out.rejected"}
    assert not [path for path in tmp_path.rglob("*") if path.name.startswith(".")]
    rejected = pq.read_table(tmp_path / "out.rejected")
    assert rejected.num_rows == wanted_counts.rejected.total()
    assert set(rejected["rejected"].to_pylist()) == set(wanted_counts.rejected)
    assert counts.rejected_path == str(tmp_path / "out.rejected")


@needs_pyspark
@needs_java
def test_an_executor_that_is_killed_leaves_each_row_once(
    session, artifact, rows_folder, wanted_rows, tmp_path
):
    wanted, wanted_counts = wanted_rows
    for _ in range(5):  # a busy machine may see the job's end only
        with executor_killed(session) as killed:
            options = ScoreOptions(overwrite=True)
            counts = score_with_spark(session, artifact, [str(rows_folder)], str(tmp_path / "out"), options)
        if killed:
            break
    assert killed, "each job ended before an executor could be killed"
    check_same(read_folder(tmp_path / "out"), counts, wanted, wanted_counts)


@needs_pyspark
@needs_java
def test_tables_in_and_out(session, artifact, rows_folder, wanted_rows):
    session.read.parquet(str(rows_folder)).coalesce(2).write.saveAsTable("default.reviews", mode="overwrite")
    wanted, wanted_counts = wanted_rows
    place = "hive://default/scored"
    for options in (ScoreOptions(), ScoreOptions(overwrite=True)):
        counts = score_with_spark(session, artifact, ["hive://default/reviews"], place, options)
        found = in_order(pa.Table.from_pandas(session.table("scored").toPandas()).select(wanted.schema.names))
        assert found["id"].to_pylist() == wanted["id"].to_pylist()
        assert found["prob"].to_pylist() == wanted["prob"].to_pylist()
        assert counts.rejected == wanted_counts.rejected
        assert counts.rejected_path == "hive://default/scored_rejected"
        assert session.table("scored_rejected").count() == wanted_counts.rejected.total()
    assert {table.name for table in session.catalog.listTables()} == {"reviews", "scored", "scored_rejected"}
    with pytest.raises(DataError, match="hive://default/scored is there already; add --overwrite"):
        score_with_spark(session, artifact, ["hive://default/reviews"], place)
    with pytest.raises(DataError, match="hive://default/reviews is no table of scored rows"):
        score_with_spark(
            session, artifact, [str(rows_folder)], "hive://default/reviews", ScoreOptions(overwrite=True)
        )
    with pytest.raises(DataError, match="nothere"):
        score_with_spark(session, artifact, ["hive://default/nothere"], "hive://default/other")


@needs_pyspark
@needs_java
def test_what_is_there_is_replaced_only_with_leave_and_if_spark_wrote_it(session, artifact, tmp_path):
    table = pa.Table.from_pylist(make_rows(4))
    pq.write_table(table, tmp_path / "in.parquet")
    source, out = str(tmp_path / "in.parquet"), tmp_path / "out"
    score_with_spark(session, artifact, [source], str(out))
    before = sorted(path.name for path in out.iterdir())
    with pytest.raises(DataError, match="out is there already; add --overwrite"):
        score_with_spark(session, artifact, [source], str(out))
    pq.write_table(table.slice(0, 1), tmp_path / "in.parquet")  # of which none is rejected
    (out / "notes.txt").write_text("mine")
    with pytest.raises(DataError, match="holds what Spark did not write"):
        score_with_spark(session, artifact, [source], str(out), ScoreOptions(overwrite=True))
    (out / "notes.txt").unlink()
    with pytest.raises(DataError, match="no column 'review'"):
        score_with_spark(session, artifact, [source], str(out), ScoreOptions(text="review", overwrite=True))
    assert sorted(path.name for path in out.iterdir()) == before
    score_with_spark(session, artifact, [source], str(out), ScoreOptions(overwrite=True))
    assert read_folder(out).num_rows == 2
    assert {path.name for path in tmp_path.iterdir()} == {"in.parquet", "out"}
    with pytest.raises(DataError, match="is, holds or lies in what is read"):
        score_with_spark(session, artifact, [str(out)], str(out / "deeper"))


@needs_pyspark
@needs_java
def test_a_job_without_a_usable_row_leaves_nothing(session, artifact, tmp_path):
    pq.write_table(pa.Table.from_pylist([ROWS[1]]), tmp_path / "in.parquet")
    with pytest.raises(DataError, match=r"none of its 1 rows can be used \(term_not_found 1\)"):
        score_with_spark(session, artifact, [str(tmp_path / "in.parquet")], str(tmp_path / "out"))
    assert {path.name for path in tmp_path.iterdir()} == {"in.parquet"}
    (tmp_path / "out.parts").mkdir()
    with pytest.raises(DataError, match="attar did not write it"):
        score_with_spark(session, artifact, [str(tmp_path / "in.parquet")], str(tmp_path / "out"))
    (tmp_path / "out.parts" / "manifest.json").write_text("{}")
    with pytest.raises(RunError, match="Spark's jobs do not resume"):
        score_with_spark(session, artifact, [str(tmp_path / "in.parquet")], str(tmp_path / "out"))
    with pytest.raises(DataError, match="nothere"):
        score_with_spark(session, artifact, [str(tmp_path / "nothere")], str(tmp_path / "other"))


def test_a_worker_verifies_what_it_was_sent_and_loads_it_once(artifact, tmp_path):
    shipment, archive = pack(artifact, ScoreOptions(terms=TERMS, columns=("id",)), 1, tmp_path)
    shutil.unpack_archive(archive, tmp_path / "root" / shipment.name)
    schema = pa.Table.from_pylist(make_rows(2)).schema
    root = str(tmp_path / "root")
    scorer = scorer_of(root, shipment, schema)
    assert scorer is scorer_of(root, shipment, schema)
    assert scorer.schema.names[:2] == ["id", "term"]
    with pytest.raises(ArtifactError, match="did not arrive on this worker"):
        scorer_of(str(tmp_path), shipment, schema)
    model = tmp_path / "root" / shipment.name / "artifact" / "model.onnx"
    model.write_bytes(model.read_bytes()[:-1])
    scorer_of.cache_clear()
    with pytest.raises(ArtifactError, match="truncated or changed"):
        scorer_of(root, shipment, schema)
    shutil.unpack_archive(archive, tmp_path / "root" / shipment.name)
    job = tmp_path / "root" / shipment.name / "job.json"
    job.write_text(job.read_text("utf-8").replace("味道", "气味"), "utf-8")
    with pytest.raises(ArtifactError, match="another artifact or list of terms than was sent"):
        scorer_of(root, shipment, schema)


@pytest.mark.parametrize("place", ["a.csv", "b/c.jsonl", "-", "mongodb://localhost/a/b", "x.json", "t.xlsx"])
def test_other_formats_are_for_one_machine(place):
    with pytest.raises(DataError, match="--engine spark reads and writes Parquet and tables"):
        check_parquet(place)


def test_places_of_tables():
    assert table_name("hive://shop/reviews") == ("shop", "reviews")
    for place in ("hive://reviews", "hive:///reviews", "hive://a/b`c", "hive://a/b/c"):
        with pytest.raises(DataError, match="expected hive://DATABASE/TABLE"):
            table_name(place)
    check_parquet("hdfs:///reviews/2024-*")


@needs_pyspark
def test_what_is_missing_is_said_before_spark_is_started(monkeypatch, tmp_path):
    with (
        pytest.raises(RunError, match="expected yarn, spark://HOST:PORT"),
        open_session(SparkSettings("nowhere")),
    ):
        pass
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        place = f"spark://127.0.0.1:{free.getsockname()[1]}"
        said = r"does not answer \(Connection refused\)"
        with pytest.raises(RunError, match=said), open_session(SparkSettings(place)):
            pass
    monkeypatch.delenv("HADOOP_CONF_DIR", raising=False)
    monkeypatch.delenv("YARN_CONF_DIR", raising=False)
    with pytest.raises(RunError, match="set HADOOP_CONF_DIR"), open_session(SparkSettings("yarn")):
        pass
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    with pytest.raises(MissingPackageError, match="JAVA_HOME is"), open_session(SparkSettings()):
        pass
    monkeypatch.delenv("JAVA_HOME")
    monkeypatch.setenv("PATH", str(tmp_path))
    said = "apt-get install openjdk-17-jre-headless"
    with pytest.raises(MissingPackageError, match=said), open_session(SparkSettings()):
        pass
    with pytest.raises(RunError, match=r"expected spark.KEY=VALUE"):
        read_conf(["executor.memory=4g"])
    assert read_conf(["spark.a=-Dx=y"]) == {"spark.a": "-Dx=y"}


def test_errors_of_workers_are_said_in_one_line():
    trace = (
        'Job aborted.\n  File "x.py"\nattar.errors.ArtifactError: a: another artifact than was sent\n\tat org'
    )
    found = spark_error(Exception(trace))
    assert type(found) is ArtifactError
    assert str(found) == "a: another artifact than was sent"
    found = spark_error(Exception("x\nModuleNotFoundError: No module named 'attar'\n"))
    assert "a worker's Python has no package attar" in str(found)
    assert str(
        spark_error(Exception("[PATH_NOT_FOUND] Path does not exist: file:/x. SQLSTATE: 42K03"))
    ).startswith("Path does not exist: file:/x")
    found = spark_error(Exception("Job aborted.\nCaused by: java.io.IOException: No space left on device\n"))
    assert str(found) == "Spark: Job aborted. (No space left on device); --debug shows it all"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["--out", "o", "--master", "yarn"], "--master and --conf are for Apache Spark; add --engine spark"),
        (["--out", "o", "--engine", "spark", "--encoding", "utf-8"], "--encoding is for files that Spark"),
        (["--out", "o", "--engine", "spark", "--no-quotes"], "--no-quotes is for files that Spark"),
        (
            ["--out", "o.csv", "--engine", "spark"],
            "o.csv: --engine spark reads and writes Parquet and tables",
        ),
        (["--out", "o", "--engine", "spark", "--conf", "cores=1"], "expected spark.KEY=VALUE"),
        (["--out", "in", "--engine", "spark"], "in is read; name another --out"),
    ],
)
def test_what_the_engine_does_not_take_is_one_line(
    artifact_folder, tmp_path, attar_main, one_line, monkeypatch, given, said
):
    monkeypatch.chdir(tmp_path)
    code, _, err = attar_main("score", artifact_folder, "--in", "in", *given)
    assert said in one_line(code, err)
    assert list(tmp_path.iterdir()) == []


def test_every_option_that_spark_leaves_out_is_one_of_scores():
    assert set(_ONE_MACHINE) <= {field.name for field in fields(ScoreOptions)}
