"""How fast records come in: 100,000 of them read and audited, on one core, and what that costs.

    python benchmarks/import_speed.py --records 100000

Texts are those of corpus/cosmetics/, shuffled with a number in each, one in ten with an offset to
repair. Each format is read in a process of its own, once with all the records and once with half of
them: the difference of the peaks is what a record costs in memory.
"""

from __future__ import annotations

import argparse
import csv
import json
import multiprocessing
import random
import resource
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from attar.recipe.load import DataRecipe, SourceRecipe
from attar.records.audit.audit import audit
from attar.records.audit.summary import Summary
from attar.records.readers.sources import read_source
from attar.records.readers.text_formats import read_markup
from attar.records.record import Record
from attar.task import BUILT_IN_TASKS

ROOT = Path(__file__).resolve().parents[1]
COLUMNS = ("text", "term", "start", "end", "label", "channel", "wordtype")
FORMATS = ("jsonl", "csv")


@dataclass(frozen=True)
class Source:
    """A file, read again by every loop over it."""

    path: Path

    def __iter__(self) -> Iterator[object]:
        return read_source(SourceRecipe(path=str(self.path)))


def synthetic_rows(count: int) -> Iterator[list[object]]:
    """Rows of the embedded corpus, each text made unique."""
    files = sorted((ROOT / "corpus" / "cosmetics").glob("*.txt"))
    records = [record for file in files for record in read_markup(file) if isinstance(record, Record)]
    draw = random.Random(20)  # noqa: S311
    for number in range(count):
        text, term, start, end, *rest = draw.choice(records).as_row()
        head = f"第{number}单：😀" if number % 10 == 0 else f"第{number}单："
        # Every tenth offset counts UTF-16 code units, as a browser does.
        moved = len(head.encode("utf-16-le")) // 2
        yield [head + str(text), term, int(str(start)) + moved, int(str(end)) + moved, *rest]


def write(path: Path, count: int) -> None:
    """Write rows as JSONL or CSV, by the ending."""
    with path.open("w", encoding="utf-8", newline="") as stream:
        if path.suffix == ".csv":
            table = csv.writer(stream)
            table.writerow(COLUMNS)
            table.writerows(synthetic_rows(count))
        else:
            for row in synthetic_rows(count):
                line = json.dumps(dict(zip(COLUMNS, row, strict=True)), ensure_ascii=False)
                stream.write(f"{line}\n")


def measure(path: Path) -> tuple[float, float, int, int]:
    """CPU seconds, peak memory in MiB, records accepted and repaired."""
    task = BUILT_IN_TASKS["cosmetics"]
    summary = Summary(task)
    start = time.process_time()
    for outcome in audit(Source(path), task, DataRecipe(), summary.agreement):  # type: ignore[arg-type]
        summary.add(outcome)
    seconds = time.process_time() - start
    counts = summary.to_json()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return seconds, peak, counts["num_accepted"], counts["num_repaired"]


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
                write(path, number)
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
