"""The quickstart's line on public aspect-sentiment sets: rows in, a table of docs/results.md out.

    python benchmarks/aspect_sets.py makeup DIR --out runs/makeup
    python benchmarks/aspect_sets.py restaurants DIR --out runs/restaurants --terms 6000

``makeup``: DIR holds Train_makeup_reviews.csv and Train_makeup_labels.csv (Zhijiang Cup 2019).
``restaurants``: DIR holds train.txt of the ASTE form (text####[((first, last), (..), 'POS'), ...]).
Rows with an aspect term only. The split is this project's own: by review, 70 / 10 / 20, seed 20;
dev chooses everything, test is scored once, at the end of the run. The settings are those of
recipes/quickstart.toml. Stopped, it goes on.
"""

from __future__ import annotations

import argparse
import ast
import csv
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from attar.files import whole_file
from attar.recipe import load_recipe
from attar.stages import run_recipe

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "docs" / "results.md"


def makeup_rows(folder: Path) -> Iterator[dict[str, Any]]:
    """Label rows with an aspect term, offsets as the set gives them."""
    with (folder / "Train_makeup_reviews.csv").open(encoding="utf-8-sig", newline="") as stream:
        texts = {row["id"]: row["Reviews"] for row in csv.DictReader(stream)}
    with (folder / "Train_makeup_labels.csv").open(encoding="utf-8-sig", newline="") as stream:
        for row in csv.DictReader(stream):
            if row["AspectTerms"].strip() != "_":
                yield {
                    "text": texts[row["id"]],
                    "term": row["AspectTerms"],
                    "start": int(row["A_start"]),
                    "end": int(row["A_end"]),
                    "label": row["Polarities"],
                    "wordtype": row["Categories"],
                }


def restaurant_rows(folder: Path) -> Iterator[dict[str, Any]]:
    """One row a triplet; tokens are joined without spaces, token indices become offsets."""
    with (folder / "train.txt").open(encoding="utf-8") as stream:
        for line in stream:
            text, _, triplets = line.rpartition("####")
            tokens = text.split(" ")
            starts = [0]
            for token in tokens:
                starts.append(starts[-1] + len(token))
            joined = "".join(tokens)
            for (first, last), _opinion, polarity in ast.literal_eval(triplets):
                start, end = starts[first], starts[last + 1]
                yield {
                    "text": joined,
                    "term": joined[start:end],
                    "start": start,
                    "end": end,
                    "label": polarity,
                }


SETS = {"makeup": makeup_rows, "restaurants": restaurant_rows}


def write_table(name: str, report: dict[str, Any], command: str) -> None:
    """Replace one set's table in docs/results.md."""
    begin, end = f"<!-- {name} -->", f"<!-- /{name} -->"
    lines = [
        begin,
        f"`{command}`: n = {report['num_test']} test terms of {report['num_reviews']} reviews.",
        "",
        "| model | accuracy | macro-F1 (95 %) | size | examples/s | one example |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for key, m in report["models"].items():
        size = "" if m["size_bytes"] is None else f"{m['size_bytes'] / 1e6:.1f} MB"
        speed = "" if m["examples_per_second"] is None else f"{m['examples_per_second']:,.0f}"
        latency = "" if m["latency_ms_p50"] is None else f"{m['latency_ms_p50']:.1f} ms"
        lines.append(
            f"| {key} | {100 * m['accuracy']:.1f} | {100 * m['macro_f1']:.1f} "
            f"({100 * m['macro_f1_low']:.1f}-{100 * m['macro_f1_high']:.1f}) | {size} | {speed} | {latency} |"
        )
    ratios, labels = report["ratios"], report["models"]["student_int8"]["labels"]
    lines += [
        "",
        f"student_int8 against teacher: {ratios['smaller']:.1f}x smaller, {ratios['faster']:.1f}x faster, "
        f"same label for {100 * report['agreement']:.1f} %. Its F1 by label: "
        + ", ".join(
            f"{label} {100 * figures['f1']:.1f} (n = {figures['support']})"
            for label, figures in labels.items()
        )
        + ".",
        end,
    ]
    text = RESULTS.read_text("utf-8")
    before, _, rest = text.partition(begin)
    _, _, after = rest.partition(end)
    with whole_file(RESULTS) as draft:
        draft.write_text(before + "\n".join(lines) + after, "utf-8")


def main() -> None:
    """Run one set."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("set", choices=sorted(SETS))
    parser.add_argument("folder", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--terms", type=int, help="only the first so many term rows")
    parser.add_argument("--set", dest="overrides", action="append", default=[], metavar="KEY=VALUE")
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    rows = args.out / "rows.jsonl"
    with whole_file(rows) as draft, draft.open("w", encoding="utf-8") as stream:
        for number, row in enumerate(SETS[args.set](args.folder)):
            if args.terms is None or number < args.terms:
                stream.write(json.dumps(row, ensure_ascii=False) + "\n")
    recipe = load_recipe(ROOT / "recipes" / "quickstart.toml", [f"name={args.set}", *args.overrides])
    recipe = recipe.model_copy(update={"data": recipe.data.model_copy(update={"sources": (rows,)})})
    folders = run_recipe(recipe, args.out, logging.info)
    options = "".join(f" --set {override}" for override in args.overrides)
    options += f" --terms {args.terms}" if args.terms else ""
    command = f"python benchmarks/aspect_sets.py {args.set} DIR --out {args.out.name}{options}"
    write_table(args.set, json.loads((folders.report / "report.json").read_text("utf-8")), command)


if __name__ == "__main__":
    main()
