"""attar score as a job: killed ten times, its rate and memory, and what it costs beside the bare predictor.

    python benchmarks/jobs.py --out runs/jobs
    python benchmarks/jobs.py --out runs/jobs --rows 50000 --results docs/results.md
    python benchmarks/jobs.py --out runs/jobs --only ratio --rounds 9

Rows are clauses of the project's own reviews, recombined, all different, with the place of the term. The
models have random weights: 2x128 for the job, 4x312 (T4-tiny) for the ratio. The job runs through once; then
it is killed ten times with SIGKILL, eight times at random and twice while a part is being written, of which
half is found afterwards. The SHA-256 of both outputs must be equal. In the ratio the predictor alone, with
all examples in memory, and the whole job take turns on the same rows.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import itertools
import json
import os
import random
import re
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from peers.document import command_line, machine_line, markdown_table, publish, say
from peers.traffic import corpus_examples

from attar.cores import usable_cores
from attar.io.files import file_hash
from attar.scoring.options import ScoreOptions
from attar.scoring.predictor import load
from attar.scoring.stage import score_file
from attar.system_info import system_info
from attar.task import Example

_ROOT = Path(__file__).resolve().parents[1]
_SCORE = [sys.executable, "-c", "from attar.cli import main; main()", "score"]
_CLAUSE = re.compile(r"[^，。！？；,!?;]+[，。！？；,!?;]*")
_RANDOM_KILLS = 8
_MAX_TRIES = 40


class Run(NamedTuple):
    """A process of ``attar score``."""

    seconds: float
    cpu_seconds: float
    peak_bytes: int
    returncode: int


def main() -> None:
    """Run the parts that were chosen."""
    options = command_line(__doc__)
    options.add_argument("--out", type=Path, required=True, help="models, rows and outputs")
    options.add_argument("--rows", type=int, default=1_000_000, help="rows of the job")
    options.add_argument("--ratio-rows", type=int, default=4096, help="rows of the ratio")
    options.add_argument("--rounds", type=int, default=7, help="interleaved turns of the ratio")
    options.add_argument("--only", choices=("job", "ratio"), help="one of the two parts")
    chosen = options.parse_args()
    chosen.out.mkdir(parents=True, exist_ok=True)
    _make_models(chosen.out)
    lines = [machine_line(system_info(), usable_cores()), ""]
    if chosen.only != "ratio":
        lines += _job(chosen)
    if chosen.only != "job":
        lines += _ratio(chosen)
    publish(chosen.results, "jobs", "Jobs: `attar score`", lines)


def _make_models(out: Path) -> None:
    """Artifacts with random weights, made once."""
    if (out / "2x128" / "attar.json").is_file() and (out / "T4-tiny" / "attar.json").is_file():
        return
    from peers import models
    from peers.traffic import make_traffic

    say("making the models")
    full = models.full_tokenizer()
    traffic, calibrating = make_traffic(full, 2000), make_traffic(full, 128, 21)
    for name, shape in (("2x128", "2x128"), ("T4-tiny", "student")):
        pruned = models._checkpoint(models._pruned(models._random_bert(shape, full)))
        models._export(pruned, calibrating, traffic, out / name)


def different_rows(count: int, seed: int = 0) -> Iterator[dict[str, object]]:
    """Rows of one to four clauses, one of which has the term at ``start`` to ``end``; no text comes twice."""
    draw, seen = random.Random(seed), set[bytes]()  # noqa: S311 - of a benchmark
    corpus = corpus_examples()
    clauses = [match[0] for example in corpus for match in _CLAUSE.finditer(example.text)]
    marked = [one for example in corpus if (one := _clause_of(example)) is not None]
    number = 0
    while number < count:
        clause, start, end = draw.choice(marked)
        before = "".join(draw.choices(clauses, k=draw.randrange(3)))
        text = before + clause + "".join(draw.choices(clauses, k=draw.randrange(2)))
        key = hashlib.blake2b(text.encode(), digest_size=12).digest()
        if key not in seen:
            seen.add(key)
            yield {
                "id": number,
                "text": text,
                "term": clause[start:end],
                "start": len(before) + start,
                "end": len(before) + end,
            }
            number += 1


def _clause_of(example: Example) -> tuple[str, int, int] | None:
    """The clause of an example's term, and where the term is in it."""
    for match in _CLAUSE.finditer(example.text):
        if match.start() <= example.start and example.end <= match.end():
            return match[0], example.start - match.start(), example.end - match.start()
    return None


def _job(chosen: argparse.Namespace) -> list[str]:
    out: Path = chosen.out
    rows = out / f"rows-{chosen.rows}.jsonl"
    if not rows.exists():
        say(f"making {chosen.rows:,} rows")
        draft = rows.with_suffix(".draft")
        with draft.open("w", encoding="utf-8") as stream:
            stream.writelines(
                json.dumps(row, ensure_ascii=False) + "\n" for row in different_rows(chosen.rows)
            )
        draft.replace(rows)
    for old in itertools.chain(out.glob("whole.jsonl*"), out.glob("killed.jsonl*")):
        shutil.rmtree(old) if old.is_dir() else old.unlink()
    say("the job that runs through")
    whole = _run(out / "2x128", rows, out / "whole.jsonl")
    if whole.returncode:
        raise SystemExit(f"attar score ended with {whole.returncode}")
    say(f"{chosen.rows / whole.seconds:,.0f} rows/s, {whole.peak_bytes / 1e6:,.0f} MB; now killed ten times")
    kills, peak = _killed(out / "2x128", rows, out / "killed.jsonl", whole.seconds)
    same = file_hash(out / "whole.jsonl") == file_hash(out / "killed.jsonl")
    left = [path.name for path in out.iterdir() if path.name.startswith(".") or path.name.endswith(".parts")]
    if not same or left:
        raise SystemExit(f"the killed job differs: same bytes {same}, left {left}")
    heads = ["rows", "rows/s", "CPU s", "peak memory", "killed", "of these within a write", "SHA-256"]
    inside = sum(kind != "random" for kind in kills)
    cells = [
        f"{chosen.rows:,}", f"{chosen.rows / whole.seconds:,.0f}", f"{whole.cpu_seconds:,.0f}",
        f"{max(peak, whole.peak_bytes) / 1e6:,.0f} MB", str(len(kills)), str(inside), "equal",
    ]  # fmt: skip
    return [*markdown_table(heads, [cells]), ""]


def _run(artifact: Path, rows: Path, out: Path) -> Run:
    """Run a job to its end."""
    process, began, peak = _start(artifact, rows, out), time.monotonic(), 0
    while not (ended := os.wait4(process.pid, os.WNOHANG))[0]:
        peak = max(peak, _peak_bytes(process.pid))
        time.sleep(0.1)
    _, status, used = ended
    process.returncode = os.waitstatus_to_exitcode(status)
    return Run(time.monotonic() - began, used.ru_utime + used.ru_stime, peak, process.returncode)


def _peak_bytes(pid: int) -> int:
    """The most memory that a process has had; what wait4 says of a child counts its parent's, too."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text("utf-8").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    return 0


def _start(artifact: Path, rows: Path, out: Path) -> subprocess.Popen[bytes]:
    command = [*_SCORE, str(artifact), "--in", str(rows), "--out", str(out)]
    with out.with_suffix(".log").open("ab") as log:
        return subprocess.Popen(command, stdout=log, stderr=log)  # noqa: S603 - its own command


def _killed(artifact: Path, rows: Path, out: Path, seconds: float) -> tuple[list[str], int]:
    """Kill a job ten times, let it end, and say how each kill came and what memory it took."""
    draw, kills, peak = random.Random(1), list[str](), 0  # noqa: S311 - of a benchmark
    wanted = ["part"] * 2 + ["random"] * _RANDOM_KILLS
    draw.shuffle(wanted)
    for kind in wanted:
        for _ in range(_MAX_TRIES):
            process = _start(artifact, rows, out)
            _wait_to_kill(process, out, kind, draw.uniform(2, max(3, seconds / 8)))
            if process.returncode is not None:
                raise SystemExit("the job ended before it was killed ten times; take more --rows")
            peak = max(peak, _peak_bytes(process.pid))
            process.kill()
            process.wait()
            if _is_within(out, kind):
                break
        else:
            raise SystemExit(f"no kill came within the write of a {kind}")
        kills.append(kind)
        say(f"killed ({kind}) with {len(list(_parts(out).glob('*.probs')))} parts done")
    last = _run(artifact, rows, out)
    if last.returncode:
        raise SystemExit(f"attar score ended with {last.returncode}")
    return kills, max(peak, last.peak_bytes)


def _wait_to_kill(process: subprocess.Popen[bytes], out: Path, kind: str, seconds: float) -> None:
    """Wait for the moment to kill: some time, or that a part is being written."""
    until = time.monotonic() + seconds
    while process.poll() is None and time.monotonic() < until:
        time.sleep(0.005)
    limit = time.monotonic() + 120
    while kind == "part" and process.poll() is None and time.monotonic() < limit:
        with contextlib.suppress(OSError):
            if any(one.name.endswith(".probs.tmp") for one in os.scandir(_parts(out))):
                return


def _is_within(out: Path, kind: str) -> bool:
    """Whether a kill left what is asked for: half a part."""
    return kind != "part" or any(_parts(out).glob("*.probs.tmp"))


def _parts(out: Path) -> Path:
    return out.with_name(f"{out.name}.parts")


def _ratio(chosen: argparse.Namespace) -> list[str]:
    """The rate of the whole job by that of the predictor alone, on the same rows."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = list(different_rows(chosen.ratio_rows, seed=1))
    files = {"JSONL": chosen.out / "ratio.jsonl", "Parquet": chosen.out / "ratio.parquet"}
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    files["JSONL"].write_text(text, "utf-8")
    pq.write_table(pa.Table.from_pylist(rows), files["Parquet"])
    examples = [Example(str(r["text"]), int(str(r["start"])), int(str(r["end"]))) for r in rows]
    table = []
    for workers in (1, 2):
        predictor = load(chosen.out / "T4-tiny", workers=workers)
        predictor.predict_probs(examples[:256])
        for name, source in files.items():
            alone, job = list[float](), list[float]()
            for number in range(chosen.rounds):
                say(f"{name}, {workers} workers, round {number + 1} of {chosen.rounds}")
                began = time.monotonic()
                predictor.predict_probs(examples)
                alone.append(time.monotonic() - began)
                out = chosen.out / f"scored{source.suffix}"
                began = time.monotonic()
                score_file(predictor, source, out, ScoreOptions(progress=False, overwrite=True))
                job.append(time.monotonic() - began)
            ratios = [one / other for one, other in zip(alone, job, strict=True)]
            table.append([
                name, str(workers), f"{len(rows) / statistics.median(job):,.0f}",
                f"{len(rows) / statistics.median(alone):,.0f}", f"{statistics.median(ratios):.2f}",
                f"{min(ratios):.2f}-{max(ratios):.2f}",
            ])  # fmt: skip
        predictor.close()
    heads = ["T4-tiny", "workers", "job, rows/s", "predictor alone", "ratio (median)", "of the rounds"]
    return [*markdown_table(heads, table), ""]


if __name__ == "__main__":
    main()
