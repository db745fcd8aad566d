"""How fast records come in: 100,000 of them read and audited, on one core, and what that costs.

    python benchmarks/import_speed.py --records 100000

Texts are those of corpus/cosmetics/, shuffled with a number in each, one in ten with an offset to
repair. Each format is read in a process of its own, once with all the records and once with half of
them: the difference of the peaks is what a record costs in memory.
"""

from __future__ import annotations

import argparse
import multiprocessing
import random
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

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
FORMATS = ("jsonl", "csv")


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


def measure(path: Path) -> tuple[float, float, int, int]:
    """CPU seconds, peak memory in MiB, records accepted and repaired."""
    task = BUILT_IN_TASKS["cosmetics"]
    records = LocalRecords([LocalSource(SourceRecipe(path=str(path)), str(path))], {})
    summary = Summary(task)
    start = time.process_time()
    for outcome in audit(records, task, DataRecipe(), summary.agreement):
        summary.add(outcome)
    seconds = time.process_time() - start
    counts = summary.to_json()
    return seconds, memory().peak_bytes / 2**20, counts["num_accepted"], counts["num_repaired"]


def main() -> None:
    """Measure every format and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--records", type=int, default=100_000)
    count = parser.parse_args().records
    print("| format | records/s | peak MiB | bytes a record | accepted | repaired |")
    print("|---|---:|---:|---:|---:|---:|")
    context = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as folder:
        for kind in FORMATS:
            results = []
            for number in (count // 2, count):
                path = Path(folder) / f"{number}.{kind}"
                write_table(path, ([row] for row in synthetic_rows(number)), dict.fromkeys(COLUMNS))
                # A process has one peak, so each measurement has a process.
                with context.Pool(1) as pool:
                    results.append(pool.apply(measure, (path,)))
            (_, half, *_), (seconds, peak, accepted, repaired) = results
            cost = (peak - half) * 2**20 / (count - count // 2)
            print(
                f"| {kind} | {count / seconds:,.0f} | {peak:.0f} | {cost:.0f} | {accepted:,} | {repaired:,} |"
            )


if __name__ == "__main__":
    main()
