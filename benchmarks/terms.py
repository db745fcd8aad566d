"""Terms: how fast they are found, and how many of the proposed ones are terms that people labelled.

    ATTAR_DATA=DIR python benchmarks/terms.py

The matcher reads the 62,753 reviews of online_shopping_10_cats with 500 terms of four forms each, drawn
from their own frequent runs of characters: MB of UTF-8 a second of CPU time on one core. Proposals
come from the texts alone of zhijiang2019_makeup and aste_chinese_zhang (training part); they are judged
by the aspect terms that people marked there. A proposal that nobody marked counts as wrong.
"""

from __future__ import annotations

import csv
import os
import statistics
import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from attar.recipe.load import SourceRecipe, load_recipe
from attar.records.record import Record
from attar.records.remote.fetch import LocalRecords, LocalSource
from attar.terms.discovery import propose_terms
from attar.terms.finder import TermFinder

ROOT = Path(__file__).resolve().parents[1]
NUM_TERMS, NUM_FORMS, NUM_TURNS = 500, 4, 5


def frequent_runs(texts: Iterable[str], count: int) -> list[str]:
    """Frequent runs of two to four characters, in an order drawn by a fixed seed."""
    counts = Counter(
        text[i : i + size] for text in texts for size in (2, 3, 4) for i in range(len(text) - size + 1)
    )
    runs = [run for run, _ in counts.most_common(60_000) if run.isalnum()]
    order = np.random.default_rng(0).permutation(len(runs))[:count]
    return [runs[place] for place in order]


def matcher_speed(texts: list[str]) -> tuple[float, int]:
    """MB/s of CPU time, the median of some turns, and the number of mentions."""
    forms = frequent_runs(texts[::10], NUM_TERMS * NUM_FORMS)
    finder = TermFinder({form: forms[i - i % NUM_FORMS] for i, form in enumerate(forms)})
    size = sum(len(text.encode()) for text in texts) / 1e6
    speeds, found = [], 0
    for _ in range(NUM_TURNS):
        start = time.process_time()
        found = sum(len(finder.find(text)) for text in texts)
        speeds.append(size / (time.process_time() - start))
    return statistics.median(speeds), found


def labelled(name: str, held_out: bool) -> tuple[list[str], Counter[str]]:
    """The texts of a set, and its labelled terms in lower case with their number."""
    recipe = load_recipe(ROOT / "recipes" / "sets" / f"{name}.toml")
    sources = [
        s for s in recipe.data.sources if isinstance(s, SourceRecipe) and (held_out or s.split == "train")
    ]
    local = [LocalSource(source, source.path) for source in sources]
    records = [r for r in LocalRecords(local, recipe.data.columns) if isinstance(r, Record)]
    return [r.text for r in records], Counter(term for r in records if (term := r.term.strip().lower()))


def main() -> None:
    """Measure and print two tables."""
    data = Path(os.environ["ATTAR_DATA"])
    with (data / "online_shopping_10_cats" / "online_shopping_10_cats.csv").open(encoding="utf-8") as stream:
        texts = [row["review"] for row in csv.DictReader(stream)]
    speed, found = matcher_speed(texts)
    print(f"matcher: {len(texts):,} reviews, {NUM_TERMS} terms, {found:,} mentions: {speed:.1f} MB/s\n")
    print("| set | labelled terms | precision of 50 | of 200 | recall of 1,000 | of mentions | seconds |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for name, held_out in (("zhijiang2019_makeup", True), ("aste_chinese_zhang", False)):
        reviews, terms = labelled(name, held_out)
        start = time.process_time()
        proposed = [each.term for each in propose_terms(reviews, limit=1_000)]
        seconds = time.process_time() - start
        right = [term in terms for term in proposed]
        recall = sum(right) / len(terms)
        mentions = sum(terms[term] for term in proposed) / terms.total()
        print(
            f"| {name} | {len(terms):,} | {sum(right[:50]) / 50:.0%} | {sum(right[:200]) / 200:.0%} "
            f"| {recall:.0%} | {mentions:.0%} | {seconds:.1f} |"
        )


if __name__ == "__main__":
    main()
