"""``attar score --engine spark``: what the driver does.

``places -> DataFrame -> mapInArrow -> draft -> places``. A row depends on no other, so there is no shuffle:
each task reads its rows, scores them and writes them. Spark's committer takes the files of one attempt of
each task, so that retries and speculative execution leave each row once. The draft, ``OUT.parts``, takes
its place when the whole of it is there.
"""

from __future__ import annotations

import contextlib
import logging
import shutil
import tempfile
import threading
import weakref
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from typing import Any

from attar.artifact import Artifact
from attar.errors import DataError, RunError
from attar.progress import progress_bar
from attar.scoring.arrow import REJECTED, ArrowScorer
from attar.scoring.options import Counts, ScoreOptions
from attar.scoring.predictor import Predictor
from attar.scoring.scored import added_columns
from attar.scoring.spark.partitions import CountsByPartition, PartitionScorer
from attar.scoring.spark.places import HadoopFiles, check_parquet, is_table, table_name
from attar.scoring.spark.session import spark_errors
from attar.scoring.spark.shipment import Shipment, pack

__all__ = ["check_places", "score_with_spark"]

_LOG = logging.getLogger(__name__)
_MANIFEST = {"format": "attar-spark-parts-1"}
_SCORED = f"{REJECTED}=__HIVE_DEFAULT_PARTITION__"  # Hive's name for the folder of what is null
_GLOB = "*?[{"
_POLL_S = 0.5


@dataclass(frozen=True, slots=True)
class _Job:
    """What both kinds of output need.

    Attributes:
        session: Spark's.
        out: The place.
        rejected: That of the rows that cannot be used.
        options: How.
        labels: C labels.
        counts: Accumulator of what became of each partition.
        shown: The sources, for messages.
    """

    session: Any
    out: str
    rejected: str
    options: ScoreOptions
    labels: Sequence[str]
    counts: Any
    shown: str


def check_places(sources: Sequence[str], out: str) -> None:
    """Refuse places that Spark cannot read or write here, before it is started.

    Raises:
        DataError: Such a place.
    """
    if not sources:
        raise DataError("name what to score with --in")
    if twice := [one for one, count in Counter(sources).items() if count > 1]:
        raise DataError(f"{twice[0]} is named twice")
    for place in (*sources, out):
        if is_table(place):
            table_name(place)
        else:
            check_parquet(place)
    if out in sources:
        raise DataError(f"{out} is read; name another --out")


def score_with_spark(
    session: Any,  # noqa: ANN401 - Spark's
    artifact: Artifact,
    sources: Sequence[str],
    out: str,
    options: ScoreOptions | None = None,
    workers: int | None = None,
) -> Counts:
    """Score files, folders and patterns of Parquet, and tables, into a folder or a table.

    The rows and columns are those of ``score_file``, in no order. Rows that cannot be used are in
    ``<out>.rejected``, a folder for each reason, or in the table ``<out>_rejected``, whole and with the
    reason in the column ``rejected``.

    Args:
        session: From ``open_session``, or your own.
        artifact: From ``load_artifact``; Spark brings it to the workers.
        sources: What to read; columns are put together by name.
        out: A folder, which appears only when it is whole, or a table.
        options: Of columns and terms; those of other formats are not read.
        workers: Threads in each Python worker; None takes the cores of a task (``spark.task.cpus``).

    Returns:
        What became of the rows.

    Raises:
        DataError: A place or a column is missing, or no row can be used; something is there already.
        RunError: Spark failed, or an earlier job left its parts.
    """
    options = options or ScoreOptions()
    check_places(sources, out)
    if options.terms is not None and not artifact.task.has_term:
        raise DataError(f"task {artifact.task.name!r} has no terms; leave the list of terms out")
    rejected = f"{out}_rejected" if is_table(out) else f"{out.rstrip('/')}.rejected"
    with spark_errors():
        context = session.sparkContext
        counts = context.accumulator({}, CountsByPartition())
        job = _Job(session, out, rejected, options, artifact.task.labels, counts, ", ".join(sources))
        _check_free(job, sources)
        rows = reduce(_with_rows, (_read(session, source) for source in sources))
        threads = workers or int(context.getConf().get("spark.task.cpus", "1"))
        schema = _scored_schema(artifact, rows, options)
        shipment = _ship(session, artifact, options, threads)
        scored = rows.mapInArrow(PartitionScorer(shipment, counts).score, schema)
        _LOG.info("scoring with Spark %s on %s", session.version, context.master)
        with _progress(context, rows.rdd.getNumPartitions() if options.progress else None):
            return _into_tables(job, scored) if is_table(out) else _into_folder(job, scored)


def _ship(session: Any, artifact: Artifact, options: ScoreOptions, threads: int) -> Shipment:  # noqa: ANN401
    """Let Spark bring every executor what it needs.

    Executors that start later, in the place of a lost one, fetch all archives of the session, those of jobs
    that have ended too; so they stay as long as the session.
    """
    folder = Path(tempfile.mkdtemp(prefix="attar-spark-"))
    weakref.finalize(session, shutil.rmtree, folder, ignore_errors=True)
    shipment, archive = pack(artifact, options, threads, folder)
    context = session.sparkContext
    if not any(shipment.name in sent for sent in context.listArchives):  # of an equal job before
        context.addArchive(f"{archive}#{shipment.name}")  # the name of the folder that it becomes
    return shipment


def _read(session: Any, source: str) -> Any:  # noqa: ANN401 - Spark's
    if is_table(source):
        return session.table(_quoted(source))
    return session.read.option("mergeSchema", "true").parquet(source)


def _with_rows(ours: Any, more: Any) -> Any:  # noqa: ANN401 - Spark's
    return ours.unionByName(more, allowMissingColumns=True)


def _quoted(place: str) -> str:
    return ".".join(f"`{part}`" for part in table_name(place))


def _scored_schema(artifact: Artifact, rows: Any, options: ScoreOptions) -> Any:  # noqa: ANN401 - Spark's
    """Spark's schema of the scored rows; columns that are missing are found here."""
    from pyspark.sql.pandas.types import from_arrow_schema, to_arrow_schema

    predictor = Predictor(artifact, 1)
    try:
        scorer = ArrowScorer(predictor, to_arrow_schema(rows.schema), options)
    finally:
        predictor.close()
    return from_arrow_schema(scorer.schema, prefer_timestamp_ntz=True)


def _check_free(job: _Job, sources: Sequence[str]) -> None:
    """Refuse to replace what is there without leave, and what Spark did not write at all."""
    for place in (job.out, job.rejected):
        if is_table(place):
            _check_table(job, place)
    if is_table(job.out):
        return
    files = HadoopFiles(job.session)
    parts = _parts(job)
    read = [_before_glob(source) for source in sources if not is_table(source)]
    files.check_apart((job.out, job.rejected, parts), read)
    for place in (job.out, job.rejected):
        if not files.exists(place):
            continue
        if not job.options.overwrite:
            raise DataError(f"{place} is there already; add --overwrite to replace it, or name another --out")
        if not files.is_sparks(place):
            raise DataError(f"{place} holds what Spark did not write; move it away, or name another --out")
    if files.exists(parts):
        _check_parts(job, files, parts)


def _check_parts(job: _Job, files: HadoopFiles, parts: str) -> None:
    """Refuse to remove what another job may still need, or what is not attar's."""
    if not files.exists(f"{parts}/manifest.json"):
        raise DataError(f"{parts} is there, and attar did not write it; move it away")
    if not job.options.overwrite:
        raise RunError(
            f"{parts} is of a job that is still at work, or was killed: Spark's jobs do not resume; add "
            "--overwrite if none is at work"
        )
    if files.exists(f"{parts}/replaced") and not files.exists(job.out):
        raise RunError(
            f"{parts}/replaced holds the earlier output of a job that was killed while it put the new one "
            f"in its place; move it back to {job.out}, or remove it"
        )


def _before_glob(source: str) -> str:
    """The folder above the first part of a path that is a pattern."""
    parts = source.split("/")
    plain = next((i for i, part in enumerate(parts) if set(part) & set(_GLOB)), len(parts))
    return "/".join(parts[:plain]) or ("/" if source.startswith("/") else ".")


def _parts(job: _Job) -> str:
    return f"{job.out.rstrip('/')}.parts"


def _check_table(job: _Job, place: str) -> None:
    if not job.session.catalog.tableExists(_quoted(place)):
        return
    if not job.options.overwrite:
        raise DataError(f"{place} is there already; add --overwrite to replace it, or name another --out")
    columns = {column.name.lower() for column in job.session.catalog.listColumns(_quoted(place))}
    if missing := {name.lower() for name in added_columns(job.labels)} - columns:
        raise DataError(
            f"{place} is no table of scored rows: it has no column {min(missing)!r}; name another --out"
        )


def _into_folder(job: _Job, scored: Any) -> Counts:  # noqa: ANN401 - Spark's
    """Write the draft, a folder for each reason, and put it in its place."""
    files, parts = HadoopFiles(job.session), _parts(job)
    files.remove(parts)  # of a job that was killed, as _check_free has seen
    files.write_json(f"{parts}/manifest.json", _MANIFEST)
    draft = f"{parts}/rows"
    try:
        # Version 1 moves the files of a task in one step: an attempt that dies half-way leaves none.
        writer = scored.write.option("mapreduce.fileoutputcommitter.algorithm.version", "1")
        writer.partitionBy(REJECTED).parquet(draft)
        counts = _counts(job)
        _publish(job, files, draft)
    except BaseException:
        if not files.exists(f"{parts}/replaced"):
            files.remove(parts)
        raise
    files.remove(parts)
    return counts


def _publish(job: _Job, files: HadoopFiles, draft: str) -> None:
    replaced = f"{_parts(job)}/replaced"
    for place, name in ((job.rejected, "rejected"), (job.out, "out")):
        if files.exists(place):
            if not job.options.overwrite:
                raise RunError(f"{place} was made meanwhile; the job is undone: name another --out")
            files.move(place, f"{replaced}/{name}")
    files.mark_whole(f"{draft}/{_SCORED}")
    files.move(f"{draft}/{_SCORED}", f"{_parts(job)}/scored")
    if files.folders(draft):
        files.move(draft, job.rejected)
    files.move(f"{_parts(job)}/scored", job.out)


def _into_tables(job: _Job, scored: Any) -> Counts:  # noqa: ANN401 - Spark's
    """Write two new tables and give them their names; what was scored is kept on the executors' disks."""
    from pyspark import StorageLevel

    kept = scored.persist(StorageLevel.DISK_ONLY)
    is_scored = kept[REJECTED].isNull()
    made = {job.out: kept.filter(is_scored).drop(REJECTED), job.rejected: kept.filter(~is_scored)}
    try:
        kept.count()
        counts = _counts(job)
        if not counts.rejected:
            del made[job.rejected]
        for place, rows in made.items():
            rows.write.mode("overwrite").saveAsTable(_quoted(f"{place}__attar_new"))
        for place in (job.out, job.rejected):
            if job.options.overwrite:
                job.session.sql(f"DROP TABLE IF EXISTS {_quoted(place)}")
        for place in made:
            new, target = _quoted(f"{place}__attar_new"), _quoted(place)
            job.session.sql(f"ALTER TABLE {new} RENAME TO {target}")
    finally:
        kept.unpersist()
    return counts


def _counts(job: _Job) -> Counts:
    """What became of all partitions.

    Raises:
        DataError: No row can be used.
    """
    total = Counts()
    for one in map(Counts.from_json, job.counts.value.values()):
        total.rows += one.rows
        total.predictions += one.predictions
        total.rejected += one.rejected
        total.without_term += one.without_term
    if total.rejected:
        total.rejected_path = job.rejected
    if total.predictions == 0:
        reasons = ", ".join(f"{reason} {count}" for reason, count in total.rejected.most_common())
        why = (
            f"({reasons})"
            if reasons
            else "(none names a term of the list)"
            if total.rows
            else "(it has none)"
        )
        raise DataError(f"{job.shown}: none of its {total.rows:,} rows can be used {why}")
    return total


@contextlib.contextmanager
def _progress(context: Any, num_tasks: int | None) -> Iterator[None]:  # noqa: ANN401 - Spark's
    """Show how many tasks are done, one a partition; None shows nothing."""
    if num_tasks is None:
        yield
        return
    over = threading.Event()

    def watch() -> None:
        tracker, done = context.statusTracker(), 0
        while not over.wait(_POLL_S):
            with contextlib.suppress(Exception):  # the session may be going down; it is but a display
                stages = [tracker.getStageInfo(one) for one in tracker.getActiveStageIds()]
                now = sum(stage.numCompletedTasks for stage in stages if stage is not None)
                if now > done:
                    advance(now - done)
                    done = now

    with progress_bar("score", num_tasks, unit="tasks", rate=True) as advance:
        watcher = threading.Thread(target=watch, name="attar-spark-progress", daemon=True)
        watcher.start()
        try:
            yield
        finally:
            over.set()
            watcher.join()
