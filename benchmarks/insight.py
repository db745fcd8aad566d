"""Insight: what its intervals cover, whether a planted change is found, and what a million rows take.

    ATTAR_DATA=DIR python benchmarks/insight.py [coverage] [makeup] [planted] [speed]

coverage: reviews with a mood of their own and two to three mentions each, a model that seldom sees neutral,
300 checked mentions; of 400 runs the share whose 95 % interval holds the truth: naive (mentions as if
independent, the model as if right), the same over reviews, and corrected by labels and by a report, with the
mean width of an interval. makeup: a linear model learns a third of the reviews and scores the rest, of which
300 random mentions are checked; 200 draws of these. planted: eight brands, six months; of 100 runs with
nothing planted those with any mark, and of 20 runs whose last brand loses 5 points of positive to negative
those that find it. speed: a million rows of 12 brands, and of 10,000, through `attar insight` in a process of
its own.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from attar.insight.contrasts import find_contrasts
from attar.insight.correction import from_confusion, from_labels, uncorrected
from attar.insight.dimensions import Dimension
from attar.insight.estimates import Checked, Grouping, label_scores, outcome_matrix, views_of
from attar.insight.scored_rows import ScoredRows
from attar.insight.shares import Floats, Ints, Mentions, count_shares, interval, mean_interval
from attar.recipe.load import SourceRecipe, load_recipe
from attar.records.record import Record
from attar.records.remote.fetch import LocalRecords, LocalSource
from attar.task import task_by_name

ROOT = Path(__file__).resolve().parents[1]
LABELS = ("消极", "中性", "积极")
CONFUSION = np.array([[0.85, 0.05, 0.10], [0.30, 0.35, 0.35], [0.03, 0.04, 0.93]])
PRIOR = np.array([0.2, 0.1, 0.7])
OUTCOME = np.concatenate([np.eye(3), np.array([[-1.0], [0.0], [1.0]])], axis=1)
NAMES = (*LABELS, "net")
# What getrusage says of a child's memory is that of its parent, too, which holds the table.
_COMMAND = """
import atexit, pathlib, sys
from attar.cli import main
atexit.register(lambda: sys.stderr.write(pathlib.Path("/proc/self/status").read_text()))
main()
"""


def draw(rng: np.random.Generator, num_reviews: int, prior: Floats = PRIOR) -> tuple[Ints, Ints, Ints]:
    """Review, true and predicted label of the mentions of reviews that have a mood each."""
    review = np.repeat(np.arange(num_reviews), rng.poisson(1.5, num_reviews) + 1)
    mood = rng.dirichlet(prior * 2, num_reviews)[review]
    gold = (rng.random(len(review))[:, None] > mood.cumsum(1)[:, :-1]).sum(1)
    said = (rng.random(len(review))[:, None] > CONFUSION.cumsum(1)[gold][:, :-1]).sum(1)
    return review, gold, said


class Tally:
    """How often intervals hold the truth, and how wide they are."""

    def __init__(self) -> None:
        self.hits, self.widths, self.runs = np.zeros(4), np.zeros(4), 0

    def add(self, low: Floats, high: Floats, truth: Floats) -> None:
        """Count one run: [4] each."""
        self.hits += (low <= truth) & (truth <= high)
        self.widths += high - low
        self.runs += 1

    def line(self, name: str) -> str:
        """A row of the table."""
        cells = (
            f"{100 * hit / self.runs:.1f} ({100 * width / self.runs:.1f})"
            for hit, width in zip(self.hits, self.widths, strict=True)
        )
        return f"| {name} | {' | '.join(cells)} |"


def ends(
    value: Floats, variance: Floats, reviews: int, freedom: Floats | None = None
) -> tuple[Floats, Floats]:
    """Ends of the intervals of the shares and of the net sentiment, [4] each."""
    many = np.full(4, reviews)
    degrees = many - 1.0 if freedom is None else freedom
    shares = interval(value[:3], variance[:3], many[:3], degrees[:3])
    net = mean_interval(value[3:], variance[3:], many[3:], degrees[3:], (-1.0, 1.0))
    return np.concatenate([shares[0], net[0]]), np.concatenate([shares[1], net[1]])


def tally_run(
    tallies: dict[str, Tally],
    mentions: tuple[Ints, Ints, Ints],
    checked: Ints,
    truth: Floats,
    counts: Floats | None,
) -> None:
    """Add one run of every way to estimate."""
    review, gold, said = mentions
    cell = np.zeros(len(said), np.int64)
    shares = count_shares(Mentions(cell, review, said, 1, 3))
    num_reviews = int(shares.reviews[0])
    value = shares.share[0] @ OUTCOME
    naive = (shares.share[0] @ OUTCOME**2 - value**2) / len(said)
    tallies["naive"].add(*ends(value, naive, len(said)), truth)
    plain = uncorrected(OUTCOME, 1).apply(shares)
    tallies["over reviews, uncorrected"].add(*ends(plain.share[0], plain.variance[0], num_reviews), truth)
    learnt = from_labels(
        said[checked], gold[checked], review[checked], cell[checked] - 1,
        num_groups=3, num_labels=3, num_cells=1, outcome=OUTCOME,
    ).apply(shares)  # fmt: skip
    by_labels = ends(learnt.share[0], learnt.variance[0], num_reviews, learnt.freedom[0])
    tallies["corrected by labels"].add(*by_labels, truth)
    alone = count_shares(Mentions(cell[checked], review[checked], gold[checked], 1, 3))
    only = uncorrected(OUTCOME, 1).apply(alone)
    tallies["the checked mentions alone"].add(
        *ends(only.share[0], only.variance[0], int(alone.reviews[0])), truth
    )
    if counts is not None:
        made = from_confusion(counts, OUTCOME).apply(shares)
        by_report = ends(made.share[0], made.variance[0], num_reviews, made.freedom[0])
        tallies["corrected by a report"].add(*by_report, truth)


def new_tallies(*, with_report: bool) -> dict[str, Tally]:
    """A tally for each way."""
    names = ["naive", "over reviews, uncorrected", "the checked mentions alone", "corrected by labels"]
    return {name: Tally() for name in names + (["corrected by a report"] if with_report else [])}


def show(tallies: dict[str, Tally]) -> None:
    """Print the table."""
    print(f"| coverage in % (width in points) | {' | '.join(NAMES)} |")
    for name, tally in tallies.items():
        print(tally.line(name))


def coverage() -> None:
    """Print what the intervals cover in a simulation."""
    rng, tallies = np.random.default_rng(0), new_tallies(with_report=True)
    truth = PRIOR @ OUTCOME
    for _ in range(400):
        mentions = draw(rng, 2000)
        checked = rng.choice(len(mentions[0]), 300, replace=False)
        # The report's reviews have another mix of labels.
        _, gold, said = draw(rng, 400, np.array([0.4, 0.2, 0.4]))
        counts = np.zeros((3, 3))
        np.add.at(counts, (gold, said), 1)
        tally_run(tallies, mentions, checked, truth, counts)
    show(tallies)


def makeup() -> None:
    """Print the same on real reviews, whose labels are all known."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression

    recipe = load_recipe(ROOT / "recipes" / "sets" / "zhijiang2019_makeup.toml")
    sources = [each for each in recipe.data.sources if isinstance(each, SourceRecipe)]
    local = [LocalSource(source, source.path) for source in sources]
    task = task_by_name("cosmetics")
    texts, gold, reviews = [], [], []
    for record in LocalRecords(local, recipe.data.columns):
        label = task.label_of(record.label or "") if isinstance(record, Record) else None
        if isinstance(record, Record) and label is not None and record.start is not None:
            start, end = record.start, record.end or record.start
            texts.append(f"{record.text[max(0, start - 12) : start]} {record.text[end : end + 12]}")
            gold.append(LABELS.index(label))
            reviews.append(record.text)
    _, review = np.unique(np.array(reviews), return_inverse=True)
    truth_of = np.array(gold)
    rng = np.random.default_rng(0)
    third = rng.random(review.max() + 1)[review] < 1 / 3
    vectors = TfidfVectorizer(analyzer="char", ngram_range=(1, 2), min_df=2, sublinear_tf=True)
    inside = vectors.fit_transform([text for text, is_in in zip(texts, third, strict=True) if is_in])
    model = LogisticRegression(C=2.0, max_iter=500).fit(inside, truth_of[third])
    said = model.predict(
        vectors.transform([text for text, is_in in zip(texts, third, strict=True) if not is_in])
    )
    rest = (review[~third], truth_of[~third], said.astype(np.int64))
    truth = np.eye(3)[rest[1]].mean(0) @ OUTCOME
    print(f"{third.sum():,} mentions learnt, {len(said):,} scored; accuracy {np.mean(said == rest[1]):.3f}")
    print("truth:", ", ".join(f"{name} {100 * value:.1f}" for name, value in zip(NAMES, truth, strict=True)))
    model_said = np.eye(3)[said].mean(0) @ OUTCOME
    print(
        "model:",
        ", ".join(f"{name} {100 * value:.1f}" for name, value in zip(NAMES, model_said, strict=True)),
    )
    tallies = new_tallies(with_report=False)
    for _ in range(200):
        tally_run(tallies, rest, rng.choice(len(said), 300, replace=False), truth, None)
    show(tallies)


def world(rng: np.random.Generator, num_reviews: int, drop: float) -> tuple[ScoredRows, Ints]:
    """Eight brands and six months; the last brand's positive mentions lose a share to negative."""
    review, gold, _ = draw(rng, num_reviews)
    brand, month = (rng.integers(0, size, num_reviews)[review] for size in (8, 6))
    gold = np.where((brand == 7) & (gold == 2) & (rng.random(len(gold)) < drop / PRIOR[2]), 0, gold)
    said = (rng.random(len(review))[:, None] > CONFUSION.cumsum(1)[gold][:, :-1]).sum(1)
    values = tuple(f"brand {i}" for i in range(8)), tuple(f"2025-{i:02d}" for i in range(1, 7))
    rows = ScoredRows(
        (Dimension("brand", "brand"), Dimension("month", "date", "month")), values,
        np.stack([brand, month]).astype(np.int32), LABELS, said, np.full(len(said), np.nan, np.float32),
        review.astype(np.uint64) + 1, review, np.arange(len(said)), {}, has_text=True,
    )  # fmt: skip
    return rows, gold


def planted() -> None:
    """Print how often nothing is marked as something, and a planted change is found."""
    outcome = outcome_matrix(3, label_scores(LABELS, {}))
    for name, runs, num_reviews, drop in (("nothing", 100, 8000, 0.0), ("5 points", 20, 24_000, 0.05)):
        rng, any_mark, hits, false, looked_at = np.random.default_rng(1), 0, 0, 0, 0
        for _ in range(runs):
            rows, gold = world(rng, num_reviews, drop)
            index = rng.choice(len(gold), 300, replace=False)
            grouping = Grouping.of(rows, outcome, Checked(index, gold[index]))
            found = find_contrasts(rows, views_of(rows, grouping, lambda *_: None), scored=True)
            marked = [each for each in found if each.is_marked]
            about = [each for each in marked if "brand 7" in (each.first, each.second)]
            any_mark, looked_at = any_mark + bool(marked), len(found)
            hits, false = hits + (len(about) >= 4), false + len(marked) - len(about)
        print(
            f"planted {name}: {runs} runs of {num_reviews:,} reviews and {looked_at} comparisons; with any "
            f"mark {any_mark}, brand 7 told from most others in {hits}, marks of anything else {false}"
        )


def speed() -> None:
    """Print time, memory and size for a million rows."""
    for num_brands in (12, 10_000):
        with tempfile.TemporaryDirectory() as place:
            _speed(Path(place), num_brands)


def _speed(folder: Path, num_brands: int) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    rng = np.random.default_rng(2)
    review, gold, said = draw(rng, 400_000)
    review, gold, said = review[:1_000_000], gold[:1_000_000], said[:1_000_000]
    size = len(review)
    brand = np.minimum(rng.zipf(1.3, 400_000), num_brands)[review]
    day = rng.integers(0, 365, 400_000)[review]
    term = rng.integers(0, 30, size)
    table = {
        "text": [
            f"第{r}单，第{t}个词说得很清楚，其他的都还好，下次还会再来看看"
            for r, t in zip(review, term, strict=True)
        ],
        "term": [f"第{t}个词" for t in term],
        "brand": [f"品牌{b}" for b in brand],
        "date": (np.datetime64("2025-01-01") + day).astype("datetime64[D]"),
        "label": np.array(LABELS)[said].tolist(),
        "prob": rng.uniform(0.4, 1, size),
    }
    pq.write_table(pa.table(table), folder / "scored.parquet")
    out = folder / "out"
    command = [sys.executable, "-c", _COMMAND, "insight"]
    command += [str(folder / "scored.parquet"), "--by", "brand,term,date:month", "--lang", "en"]
    command += ["--out", str(out)]
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    done = subprocess.run(command, check=True, capture_output=True, text=True)  # noqa: S603 - our own command
    after, wall = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic() - start
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    sizes = {
        name: (out / name).stat().st_size / 1e6 for name in ("insight.html", "insight.xlsx", "cells.parquet")
    }
    print(
        f"{size:,} rows, {len(set(brand.tolist())):,} brands, 30 terms, 12 months: {seconds:.0f} s of CPU "
        f"time, {wall:.0f} s, {int(done.stderr.split('VmHWM:')[1].split()[0]) / 1024:.0f} MB at most; "
        + ", ".join(f"{n} {s:.1f} MB" for n, s in sizes.items())
    )


if __name__ == "__main__":
    os.environ.setdefault("ATTAR_DATA", str(ROOT / "../shared/data"))
    parts = {"coverage": coverage, "makeup": makeup, "planted": planted, "speed": speed}
    for part in sys.argv[1:] or list(parts):
        print(f"## {part}", flush=True)
        parts[part]()
