"""How fast records come in: read and audited, on one core, and what that costs.

    python benchmarks/import_speed.py --records 100000
    git worktree add /tmp/before COMMIT
    python benchmarks/import_speed.py --records 30000 --against /tmp/before/src --rounds 9

Texts are those of corpus/cosmetics/, shuffled with a number in each, one in ten with an offset to
repair. Each format is read in a process of its own, once with all the records and once with half of
them: the difference of the peaks is what a record costs in memory. With ``--against`` this code and
that of another commit read the same files in turns, and the table shows the ratio of their speeds.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import openpyxl

from attar.bench.processes import memory
from attar.io.tables.table_files import write_table
from attar.recipe.load import DataRecipe, SourceRecipe
from attar.records.audit.audit import audit
from attar.records.audit.summary import Summary
from attar.records.readers.text_formats import read_markup
from attar.records.record import Record
from attar.records.remote.fetch import LocalRecords, LocalSource
from attar.task import BUILT_IN_TASKS

ROOT = Path(__file__).resolve().parents[1]
COLUMNS = ("text", "term", "start", "end", "label", "channel", "wordtype")
FORMATS = ("jsonl", "csv", "xlsx", "parquet")


class Measured(NamedTuple):
    """What reading a file took: CPU seconds, peak memory in MiB, records accepted and repaired."""

    seconds: float
    peak: float
    accepted: int
    repaired: int


def synthetic_rows(count: int) -> Iterator[dict[str, object]]:
    """Rows of the embedded corpus, each text made unique."""
    files = sorted((ROOT / "corpus" / "cosmetics").glob("*.txt"))
    records = [record for file in files for record in read_markup(file) if isinstance(record, Record)]
    draw = random.Random(20)  # noqa: S311
    for number in range(count):
        text, term, start, end, *rest = draw.choice(records).as_row()
        head = f"第{number}单：😀" if number % 10 == 0 else f"第{number}单："
        # Every tenth offset counts UTF-16 code units, as a browser does.
        moved = len(head.encode("utf-16-le")) // 2
        row = [head + str(text), term, int(str(start)) + moved, int(str(end)) + moved, *rest]
        yield dict(zip(COLUMNS, row, strict=True))


def write(path: Path, rows: Iterable[dict[str, object]]) -> None:
    """Write rows in the format that the ending names."""
    if path.suffix == ".xlsx":
        book = openpyxl.Workbook(write_only=True)
        sheet = book.create_sheet("reviews")
        sheet.append(COLUMNS)
        for row in rows:
            sheet.append(list(row.values()))
        book.save(path)
    else:
        types = {name: "int64" if name in ("start", "end") else "string" for name in COLUMNS}
        write_table(path, [list(rows)], types)


def measure(path: Path) -> Measured:
    """Read and audit a file, in this process."""
    task = BUILT_IN_TASKS["cosmetics"]
    records = LocalRecords([LocalSource(SourceRecipe(path=str(path)), str(path))], {})
    summary = Summary(task)
    start = time.process_time()
    for outcome in audit(records, task, DataRecipe(), summary.agreement):
        summary.add(outcome)
    seconds = time.process_time() - start
    counts = summary.to_json()
    return Measured(seconds, memory().peak_bytes / 2**20, counts["num_accepted"], counts["num_repaired"])


def measured(path: Path, source: Path = ROOT / "src") -> Measured:
    """The same in a process of its own, because a process has one peak; by the code in ``source``."""
    command = [sys.executable, __file__, "--measure", str(path)]
    environment = os.environ | {"PYTHONPATH": str(source)}
    done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)  # noqa: S603
    return Measured(*json.loads(done.stdout))


def one_by_one(folder: Path, formats: list[str], count: int) -> None:
    """Measure every format and print a table."""
    print("| format | records/s | peak MiB | bytes a record | accepted | repaired |")
    print("|---|---:|---:|---:|---:|---:|")
    for kind in formats:
        results = []
        for number in (count // 2, count):
            path = folder / f"{number}.{kind}"
            write(path, synthetic_rows(number))
            results.append(measured(path))
        half, whole = results
        cost = (whole.peak - half.peak) * 2**20 / (count - count // 2)
        speed = f"{count / whole.seconds:,.0f} | {whole.peak:.0f} | {cost:.0f}"
        print(f"| {kind} | {speed} | {whole.accepted:,} | {whole.repaired:,} |", flush=True)


def in_turns(folder: Path, formats: list[str], count: int, other: Path, rounds: int) -> None:
    """Measure every format by this code and by another's, in turns, and print a table of ratios."""
    print("| format | records/s | before | speed ratio | lowest | highest | peak MiB | before |")
    print("|---|---:|---:|---:|---:|---:|---:|---:|")
    for kind in formats:
        path = folder / f"{count}.{kind}"
        write(path, synthetic_rows(count))
        now, before = list[Measured](), list[Measured]()
        for number in range(rounds):
            sides = [(now, ROOT / "src"), (before, other)]
            for side, source in sides if number % 2 else sides[::-1]:
                side.append(measured(path, source))
        ratios = [old.seconds / new.seconds for old, new in zip(before, now, strict=True)]
        speeds = [count / statistics.median(each.seconds for each in side) for side in (now, before)]
        peaks = [statistics.median(each.peak for each in side) for side in (now, before)]
        print(
            f"| {kind} | {speeds[0]:,.0f} | {speeds[1]:,.0f} | {statistics.median(ratios):.3f} "
            f"| {min(ratios):.3f} | {max(ratios):.3f} | {peaks[0]:.1f} | {peaks[1]:.1f} |",
            flush=True,
        )


def main() -> None:
    """Measure, alone or in turns."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--records", type=int, default=100_000)
    parser.add_argument("--against", type=Path, metavar="SRC", help="the folder src of another commit")
    parser.add_argument("--rounds", type=int, default=9, help="turns of each, with --against")
    parser.add_argument("--formats", default=FORMATS, nargs="+", choices=FORMATS)
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        print(json.dumps(measure(options.measure)))
        return
    with tempfile.TemporaryDirectory() as folder:
        if options.against:
            other = options.against.resolve()
            in_turns(Path(folder), options.formats, options.records, other, options.rounds)
        else:
            one_by_one(Path(folder), options.formats, options.records)


if __name__ == "__main__":
    main()
