"""Marks: few where nothing differs, found where something does, however many were looked at."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from attar.insight.contrasts import Finding, find_contrasts
from attar.insight.dimensions import Dimension
from attar.insight.estimates import Checked, Grouping, label_scores, outcome_matrix, views_of
from attar.insight.scored_rows import ScoredRows
from attar.insight.sentences import foremost

LABELS = ("消极", "中性", "积极")
CONFUSION = np.array([[0.85, 0.05, 0.10], [0.30, 0.35, 0.35], [0.03, 0.04, 0.93]])
PRIOR = np.array([0.2, 0.1, 0.7])
BRANDS = tuple(f"b{i}" for i in range(8))
MONTHS = tuple(f"2025-{i:02d}" for i in range(1, 7))


def world(rng, num_reviews, drop=0.0):
    """Scored rows of 8 brands and 6 months; the last brand's positive mentions drop by a share."""
    review = np.repeat(np.arange(num_reviews), rng.poisson(1.0, num_reviews) + 1)
    brand, month = (rng.integers(0, size, num_reviews)[review] for size in (len(BRANDS), len(MONTHS)))
    mood = rng.dirichlet(PRIOR * 4, num_reviews)[review]
    gold = (rng.random(len(review))[:, None] > mood.cumsum(1)[:, :-1]).sum(1)
    gold[(brand == len(BRANDS) - 1) & (gold == 2) & (rng.random(len(review)) < drop / 0.7)] = 0
    said = (rng.random(len(review))[:, None] > CONFUSION.cumsum(1)[gold][:, :-1]).sum(1)
    rows = ScoredRows(
        (Dimension("brand", "brand"), Dimension("month", "date", "month")), (BRANDS, MONTHS),
        np.stack([brand, month]).astype(np.int32), LABELS, said, np.full(len(said), np.nan, np.float32),
        review.astype(np.uint64) + 1, review, np.arange(len(said)), {}, has_text=True,
    )  # fmt: skip
    return rows, gold


def found(rng, rows, gold, num_checked):
    index = np.sort(rng.choice(len(gold), num_checked, replace=False))
    outcome = outcome_matrix(3, label_scores(LABELS, {}))
    grouping = Grouping.of(rows, outcome, Checked(index, gold[index]))
    return find_contrasts(rows, views_of(rows, grouping, lambda: None), scored=True)


def test_where_nothing_differs_few_runs_have_any_mark():
    rng = np.random.default_rng(1)
    runs = 30
    alarms = sum(any(each.is_marked for each in found(rng, *world(rng, 3000), 300)) for _ in range(runs))
    # At a rate of 5 % more than 5 of 30 come once in 500 times.
    assert alarms <= 5


def test_a_brand_that_lost_ten_points_of_net_is_found():
    rng = np.random.default_rng(2)
    all_found = found(rng, *world(rng, 20_000, drop=0.05), 300)
    differences = [each for each in all_found if each.kind == "difference" and each.is_marked]
    with_planted = [each for each in differences if "b7" in (each.first, each.second)]
    assert len(with_planted) >= 5
    assert len(differences) - len(with_planted) <= 2
    for each in with_planted:
        sign = 1 if each.first == "b7" else -1
        assert sign * each.low < 0.12
        assert sign * each.value == pytest.approx(0.10, abs=0.06)


def test_a_trend_is_in_points_a_period():
    rng = np.random.default_rng(3)
    rows, _ = world(rng, 12_000)
    month = rows.codes[1]
    gold = np.where(rng.random(len(month)) < 0.3 + 0.08 * month, 2, 0)
    rows = replace(rows, label=gold)
    outcome = outcome_matrix(3, label_scores(LABELS, {}))
    all_found = find_contrasts(
        rows, views_of(rows, Grouping.of(rows, outcome, None), lambda: None), scored=True
    )
    (total,) = [each for each in all_found if each.kind == "trend" and not each.within]
    assert total.value == pytest.approx(0.16, abs=0.015), "8 points of positive less 8 of negative"
    assert total.low < 0.16 < total.high
    assert total.is_marked
    (change,) = [each for each in all_found if each.kind == "change" and not each.within]
    assert (change.first, change.second) == ("2025-05", "2025-06")


def test_many_cells_are_estimated_in_blocks_as_they_are_together(monkeypatch):
    from attar.insight import estimates

    rng = np.random.default_rng(4)
    rows, gold = world(rng, 800)
    index = np.arange(0, len(gold), 3)
    grouping = Grouping.of(rows, outcome_matrix(3, label_scores(LABELS, {})), Checked(index, gold[index]))
    together = views_of(rows, grouping, lambda: None)
    monkeypatch.setattr(estimates, "_BLOCK", 5)
    apart = views_of(rows, grouping, lambda: None)
    assert apart[-1].shares is None
    for one, other in zip(together, apart, strict=True):
        np.testing.assert_array_equal(one.codes, other.codes)
        np.testing.assert_array_equal(one.reviews, other.reviews)
        for mine, theirs in zip((*one.said, *one.best), (*other.said, *other.best), strict=True):
            np.testing.assert_allclose(mine, theirs, atol=1e-12)


def test_what_stands_out_begins_with_everything_and_then_the_first_column():
    def found(kind, dimension, within=(), p=0.001):
        return Finding(kind, dimension, "a", "b", within, 3, 0.1, 0.05, 0.15, p, p)

    # The surest first, as they are found: differences of terms, which are the second column.
    terms = [found("difference", 1, p=1e-9)] * 4
    brands = [found("difference", 0), found("difference", 0, ((1, "香味"),)), found("trend", 2, ((0, "a"),))]
    total = found("change", 2)
    doubtful = found("difference", 0, p=0.2)
    made = SimpleNamespace(findings=[*terms, *brands, total, doubtful])
    assert foremost(made) == [total, *brands, *terms[:3]]
    assert foremost(made, 2) == [total, brands[0]]
