"""What ``attar compare`` tells apart: two models whose difference is known, in many simulated test sets.

    python benchmarks/compare.py

Each set has labelled reviews of one to four mentions. How often a model is right differs from review to
review, the same for both models, so that the mentions of a review are no independent questions. Of each
difference of accuracy it prints how often the interval lies above 0, and below it, how often McNemar's
p is under 0.05, and how often the interval holds the true difference of macro-F1. The same sets are written
as files with and without columns of the user's own, whose figures must be equal.
"""

from __future__ import annotations

import csv
import tempfile
from pathlib import Path

import numpy as np

from attar.compare.differences import differences, judged_by_all
from attar.compare.join import Annotation, Case
from attar.compare.stage import CompareOptions, compare_files
from attar.metrics import confusion_counts, macro_f1_of

LABELS = ("消极", "中性", "积极")
PRIOR = (0.3, 0.15, 0.55)
NAMES = ("old", "new")
BASE, SPREAD = 0.80, 0.15  # accuracy, and its standard deviation between reviews
RUNS, DRAWS = 200, 500

Ints = np.ndarray[tuple[int], np.dtype[np.int64]]


def draw(rng: np.random.Generator, num_reviews: int, gain: float) -> tuple[Ints, Ints, list[Ints]]:
    """The review and the gold label of each mention, and what either model says of it."""
    review = np.repeat(np.arange(num_reviews), rng.integers(1, 5, num_reviews))
    gold = rng.choice(3, len(review), p=PRIOR)
    ease = rng.normal(0, SPREAD, num_reviews)[review]
    said = []
    for accuracy in (BASE, BASE + gain):
        right = rng.random(len(review)) < np.clip(accuracy + ease, 0, 1)
        said.append(np.where(right, gold, (gold + rng.integers(1, 3, len(review))) % 3))
    return review, gold, said


def true_difference(gain: float) -> float:
    """Of macro-F1, in a very large set."""
    _, gold, said = draw(np.random.default_rng(99), 1_000_000, gain)
    before, after = (float(macro_f1_of(confusion_counts(gold, each, 3))) for each in said)
    return after - before


def cases_of(review: Ints, gold: Ints, said: list[Ints]) -> list[Case]:
    """The same as questions."""
    return [
        Case(tuple(Annotation(f"第{r}条", "词", label=LABELS[each[i]]) for each in said), LABELS[gold[i]])
        for i, r in enumerate(review)
    ]


def simulate(num_reviews: int, gain: float) -> None:
    """Print a line for one size and difference."""
    rng, truth = np.random.default_rng(5), true_difference(gain)
    above = below = tested = covered = 0
    widths, num = [], 0
    for run in range(RUNS):
        judged = judged_by_all(cases_of(*draw(rng, num_reviews, gain)), LABELS)
        (pair,) = differences(judged, NAMES, repeats=DRAWS, seed=run)
        low, high = pair["macro_f1"]["low"], pair["macro_f1"]["high"]
        above, below = above + (low > 0), below + (high < 0)
        tested += pair["mcnemar"]["p"] < 0.05
        covered += low <= truth <= high
        widths.append((high - low) / 2)
        num += pair["num"]
    shares = [f"{100 * count / RUNS:.1f}" for count in (above, below, tested, covered)]
    half = 100 * float(np.mean(widths))
    print(
        f"| {num_reviews:,} ({num // RUNS:,}) | {100 * gain:+.0f} ({100 * truth:+.1f}) | "
        f"{' | '.join(shares)} | ±{half:.1f} |",
        flush=True,
    )


def through_files() -> None:
    """The figures of files with and without columns of the user's own."""
    review, gold, said = draw(np.random.default_rng(7), 1_000, 0.05)
    found = []
    with tempfile.TemporaryDirectory() as place:
        for own in (False, True):
            paths = []
            for name, each in zip(NAMES, said, strict=True):
                paths.append(Path(place) / f"{name}{own}.csv")
                with paths[-1].open("w", encoding="utf-8", newline="") as stream:
                    rows = csv.writer(stream)
                    rows.writerow(["text", "term", "gold", "label", *(["brand", "price"] if own else [])])
                    for i, r in enumerate(review):
                        more = [f"品牌{r % 7}", 19.9] if own else []
                        rows.writerow([f"第{r}条评论", f"词{i}", LABELS[gold[i]], LABELS[each[i]], *more])
            options = CompareOptions(names=NAMES)
            found.append(compare_files(paths, Path(place) / f"{own}.csv", compared=options)["differences"])
    (pair,) = found[0]
    gap = [f"{100 * pair['macro_f1'][key]:+.1f}" for key in ("value", "low", "high")]
    print(
        f"files of {pair['num']:,} mentions, 5 points of accuracy apart: {gap[0]} points of macro-F1 "
        f"[{gap[1]}, {gap[2]}], McNemar's p {pair['mcnemar']['p']:.2g}; "
        f"with columns of the user's own {'the same' if found[0] == found[1] else 'NOT the same'}"
    )


if __name__ == "__main__":
    print("| reviews (mentions) | accuracy, points (macro-F1) | better | worse | McNemar | covered | width |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for num_reviews in (200, 800):
        for gain in (0.0, 0.02, 0.05, 0.08):
            simulate(num_reviews, gain)
    through_files()
