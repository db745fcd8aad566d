"""attar score on Apache Spark beside one machine's job: CPU seconds of the same rows; an executor killed.

    python benchmarks/spark.py --out runs/spark
    python benchmarks/spark.py --out runs/spark --rows 100000 --results docs/results.md
    python benchmarks/spark.py --out runs/spark --only cost

The rows and the 2x128 model with random weights are those of benchmarks/jobs.py, in sixteen files of Parquet.
``attar score`` and ``attar score --engine spark --master local-cluster[2,1,1024]`` take turns; of Spark
only the Python processes of its workers are counted, from their start to their end, because what the Java
side costs is Spark's own. Then the job runs again, and one of its two executors is killed with SIGKILL when
half of the tasks are done. All outputs must hold the same rows, each once.

The cost of a row is measured in this process: the predictor alone, and the function that a worker calls, from
record batches to record batches, take turns on the same rows with one thread each.
"""

from __future__ import annotations

import argparse
import itertools
import shutil
import statistics
import subprocess
import time
from pathlib import Path
from typing import NamedTuple

import jobs
import psutil
from peers.document import command_line, machine_line, markdown_table, publish, say

from attar.cores import usable_cores
from attar.errors import require
from attar.scoring.arrow import ArrowScorer
from attar.scoring.predictor import load
from attar.system_info import system_info
from attar.task import Example

_FILES = 16
_SPARK = ["--engine", "spark", "--master", "local-cluster[2,1,1024]",
          "--conf", "spark.sql.files.openCostInBytes=128m"]  # fmt: skip
_SAMPLE_S = 0.2
_COST_ROUNDS = 3


class SparkRun(NamedTuple):
    """A job on Spark.

    Attributes:
        seconds: From start to end, Spark's own start included.
        worker_cpu_seconds: Of all Python processes of its executors.
        killed_after: Tasks that were done when an executor was killed; None where none was.
    """

    seconds: float
    worker_cpu_seconds: float
    killed_after: int | None


def main() -> None:
    """Run the parts that were chosen."""
    options = command_line(__doc__)
    options.add_argument("--out", type=Path, required=True, help="model, rows and outputs")
    options.add_argument("--rows", type=int, default=100_000)
    options.add_argument("--rounds", type=int, default=1, help="interleaved turns")
    options.add_argument("--cost-rows", type=int, default=2048, help="rows of the cost")
    options.add_argument("--only", choices=("engines", "cost"), help="one of the two parts")
    chosen = options.parse_args()
    chosen.out.mkdir(parents=True, exist_ok=True)
    jobs._make_models(chosen.out)
    head = [machine_line(system_info(), usable_cores()), ""]
    if chosen.only != "cost":
        publish(chosen.results, "spark", "Jobs on Apache Spark", [*head, *_engines(chosen), ""])
    if chosen.only != "engines":
        publish(chosen.results, "spark-cost", "What a row costs a worker", [*head, *_cost(chosen), ""])


def _engines(chosen: argparse.Namespace) -> list[str]:
    """Run both engines in turn, then the job with a killed executor."""
    rows = _rows(chosen)
    alone, spark = list[jobs.Run](), list[SparkRun]()
    for number in range(chosen.rounds):
        say(f"round {number + 1} of {chosen.rounds}: one machine's job")
        _remove(chosen.out)
        alone.append(jobs._run(chosen.out / "2x128", rows, chosen.out / "alone.parquet"))
        if alone[-1].returncode:
            raise SystemExit(f"attar score ended with {alone[-1].returncode}: see alone.log")
        say(f"{alone[-1].cpu_seconds:,.0f} CPU s in {alone[-1].seconds:,.0f} s; now Spark")
        spark.append(_on_spark(chosen, rows, "spark", kill=False))
        say(f"{spark[-1].worker_cpu_seconds:,.0f} CPU s in {spark[-1].seconds:,.0f} s")
    say("with an executor killed half-way")
    killed = _on_spark(chosen, rows, "killed", kill=True)
    for name in ("spark", "killed"):
        _check_same(chosen.out / "alone.parquet", chosen.out / name)
    return _table(chosen, alone, spark, killed)


def _cost(chosen: argparse.Namespace) -> list[str]:
    """CPU time of a row, and what a billion of them take."""
    pa = require("pyarrow", "parquet")
    rows = list(jobs.different_rows(chosen.cost_rows, seed=2))
    table = pa.Table.from_pylist(rows)
    examples = [Example(str(r["text"]), int(str(r["start"])), int(str(r["end"]))) for r in rows]
    lines = []
    for name in ("2x128", "T4-tiny"):
        predictor = load(chosen.out / name, workers=1)
        scorer = ArrowScorer(predictor, table.schema)
        predictor.predict_probs(examples[:256])
        model, whole = list[float](), list[float]()
        for _ in range(_COST_ROUNDS):
            began = time.process_time()
            predictor.predict_probs(examples)
            model.append((time.process_time() - began) / len(rows))
            began = time.process_time()
            for _batch in scorer.score(table.to_batches()):
                pass
            whole.append((time.process_time() - began) / len(rows))
        shares = [one / other for one, other in zip(model, whole, strict=True)]
        seconds = statistics.median(whole)
        cells = [f"{seconds * 1e6:,.0f}", f"{statistics.median(shares):.0%}", f"{1 / seconds:,.0f}"]
        lines.append([name, *cells, f"{seconds * 1e9 / 3600:,.0f}"])
        predictor.close()
    heads = ["model", "CPU µs a row", "of it the predictor", "rows/s a core", "core-hours a billion rows"]
    return markdown_table(heads, lines)


def _rows(chosen: argparse.Namespace) -> Path:
    pa, pq = require("pyarrow", "parquet"), require("pyarrow.parquet", "parquet")
    folder: Path = chosen.out / f"rows-{chosen.rows}"
    if folder.is_dir():
        return folder
    say(f"making {chosen.rows:,} rows")
    draft, made = chosen.out / "rows.draft", jobs.different_rows(chosen.rows)
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir()
    each = -(-chosen.rows // _FILES)
    for number in range(_FILES):
        table = pa.Table.from_pylist(list(itertools.islice(made, each)))
        pq.write_table(table, draft / f"{number:02}.parquet")
    draft.rename(folder)
    return folder


def _remove(out: Path) -> None:
    """What an earlier round wrote."""
    for pattern in ("alone.*", "spark*", "killed*"):
        for left in out.glob(pattern):
            shutil.rmtree(left) if left.is_dir() else left.unlink()


def _on_spark(chosen: argparse.Namespace, rows: Path, name: str, *, kill: bool) -> SparkRun:
    out: Path = chosen.out / name
    command = [*jobs._SCORE, str(chosen.out / "2x128"), "--in", str(rows), "--out", str(out), *_SPARK]
    began, killed_after, cpu = time.monotonic(), None, dict[int, float]()
    with out.with_suffix(".log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)  # noqa: S603 - its own command
    while process.poll() is None:
        _sample(process.pid, cpu)
        done = len(list(out.with_name(f"{name}.parts").glob("rows/_temporary/0/task_*")))
        if kill and killed_after is None and done >= _FILES // 2:
            _kill_executor(process.pid)
            killed_after = done
        time.sleep(_SAMPLE_S)
    if process.returncode or (kill and killed_after is None):
        raise SystemExit(f"{name}: ended with {process.returncode}, killed after {killed_after}; see its log")
    return SparkRun(time.monotonic() - began, sum(cpu.values()), killed_after)


def _sample(pid: int, cpu: dict[int, float]) -> None:
    """Note the CPU seconds of the Python processes of all executors, which only grow."""
    for child in _children(pid):
        try:
            if "pyspark.daemon" in child.cmdline():
                used = child.cpu_times()
                cpu[child.pid] = used.user + used.system
        except psutil.Error:
            continue


def _children(pid: int) -> list[psutil.Process]:
    try:
        return list(psutil.Process(pid).children(recursive=True))
    except psutil.Error:
        return []


def _kill_executor(pid: int) -> None:
    for child in _children(pid):
        if "org.apache.spark.executor.CoarseGrainedExecutorBackend" in child.cmdline():
            say(f"killing the executor {child.pid}")
            child.kill()
            return
    raise SystemExit("no executor was found to kill")


def _check_same(alone: Path, spark: Path) -> None:
    """Stop unless both outputs hold the same rows, each once."""
    pq = require("pyarrow.parquet", "parquet")
    order = [("id", "ascending"), ("start", "ascending")]
    tables = [
        pq.ParquetDataset(place, partitioning=None).read().replace_schema_metadata().sort_by(order)
        for place in (alone, spark)
    ]
    if not tables[0].equals(tables[1].cast(tables[0].schema)):
        raise SystemExit(f"{spark} holds other rows than {alone}")


def _table(
    chosen: argparse.Namespace, alone: list[jobs.Run], spark: list[SparkRun], killed: SparkRun
) -> list[str]:
    heads = ["job", "rows", "CPU s", "beside one machine's", "seconds", "output"]
    one = statistics.median(run.cpu_seconds for run in alone)
    workers = statistics.median(run.worker_cpu_seconds for run in spark)
    ratios = [theirs.worker_cpu_seconds / ours.cpu_seconds for ours, theirs in zip(alone, spark, strict=True)]
    cells = [
        ["`attar score`", f"{chosen.rows:,}", f"{one:,.1f}", "1",
         f"{statistics.median(run.seconds for run in alone):,.0f}", ""],
        ["Spark: its Python workers", f"{chosen.rows:,}", f"{workers:,.1f}",
         f"{statistics.median(ratios):.2f}",
         f"{statistics.median(run.seconds for run in spark):,.0f}", "the same rows"],
        [f"Spark, an executor killed after {killed.killed_after} of {_FILES} tasks", f"{chosen.rows:,}",
         f"{killed.worker_cpu_seconds:,.1f}", f"{killed.worker_cpu_seconds / one:.2f}",
         f"{killed.seconds:,.0f}", "the same rows"],
    ]  # fmt: skip
    return markdown_table(heads, cells)


if __name__ == "__main__":
    main()
