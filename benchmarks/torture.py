"""Tries to break what docs/reliability.md promises, for as long as it is given, and writes one table.

    python benchmarks/torture.py --out torture            # every part, an hour each at most
    python benchmarks/torture.py --part damage --seed 1 --minutes 10
    python benchmarks/torture.py --share                 # a share of each, in some minutes

``make torture`` runs all of it. A part is a function in ``benchmarks/torturing/`` that is named in
``PARTS``; it yields rows. Ends with 1 if any promise was broken.
"""

from __future__ import annotations

import argparse
import os

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import json
import platform
import sys
import tempfile
import time
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path

from torturing.disks import disks
from torturing.given import fuzzed, workbooks
from torturing.kills import kills
from torturing.loading import artifacts, damage, pickles
from torturing.outs import outs
from torturing.parts import Part, Row, Torture
from torturing.scale import scale
from torturing.secrets import secrets
from torturing.stops import stops

from attar.system_info import package_versions, system_info

PARTS: Mapping[str, Part] = {
    "damage": damage,
    "artifacts": artifacts,
    "pickles": pickles,
    "kills": kills,
    "stops": stops,
    "disks": disks,
    "out": outs,
    "workbooks": workbooks,
    "secrets": secrets,
    "fuzz": fuzzed,
    "scale": scale,
}
"""By the name that ``--part`` takes."""


def run_part(name: str, seed: int, minutes: float, *, is_short: bool = False) -> list[Row]:
    """Run one part in a folder of its own; what escapes from it is a failure too."""
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(prefix=f"attar-{name}-") as folder:
        begin = last = time.monotonic()
        try:
            for row in PARTS[name](Torture(Path(folder), seed, begin + 60 * minutes, is_short)):
                now = time.monotonic()
                row.seconds, last = now - last, now
                rows.append(row)
                print(f"{name}: {row.what}: {row.count}, {len(row.failures)} failed", flush=True)
                print("\n".join(row.failures), file=sys.stderr, end="\n" if row.failures else "", flush=True)
        except Exception:  # noqa: BLE001 - a part that breaks must not end the night
            broken = Row("the part itself")
            broken.fail(traceback.format_exc(limit=-3))
            rows.append(broken)
    return rows


def table(rows: Mapping[str, Sequence[Row]]) -> str:
    """All rows as Markdown."""
    lines = ["| part | what ran | how many | outcome | broken |", "| --- | --- | ---: | --- | ---: |"]
    for part, of_part in rows.items():
        for row in of_part:
            outcome = ", ".join(f"{name} {count:,}" for name, count in row.outcomes.most_common())
            what = f"{row.what} (cut off by time)" if row.is_cut else row.what
            lines.append(f"| {part} | {what} | {row.count:,} | {outcome} | {len(row.failures)} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Run the parts and write the table, as JSON and as Markdown."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--part", action="append", choices=sorted(PARTS), help="only this; may be repeated")
    parser.add_argument("--seed", type=int, default=0, help="of everything random")
    parser.add_argument("--minutes", type=float, default=60, help="at most, for each part")
    parser.add_argument(
        "--share", action="store_true", help="a share of each part, in minutes: what the docs show"
    )
    parser.add_argument("--out", type=Path, default=Path("torture"), help="folder for the table")
    arguments = parser.parse_args()
    rows = {
        name: run_part(name, arguments.seed, arguments.minutes, is_short=arguments.share)
        for name in arguments.part or PARTS
    }
    arguments.out.mkdir(parents=True, exist_ok=True)
    found = {
        "seed": arguments.seed,
        "system": system_info(),
        "python": platform.python_version(),
        "versions": package_versions(("attar", "torch", "onnxruntime", "tokenizers")),
        "parts": {name: [row.to_json() for row in of_part] for name, of_part in rows.items()},
    }
    (arguments.out / "torture.json").write_text(
        json.dumps(found, ensure_ascii=False, indent=2) + "\n", "utf-8"
    )
    (arguments.out / "torture.md").write_text(table(rows), "utf-8")
    print(table(rows))
    failures = [line for of_part in rows.values() for row in of_part for line in row.failures]
    print("\n".join(failures), file=sys.stderr)
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
