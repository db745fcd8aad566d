"""Shares and their intervals: what they cover where mentions come in reviews and the model errs."""

import numpy as np
import pytest

from attar.insight.correction import from_confusion, from_labels
from attar.insight.shares import (
    Mentions,
    benjamini_hochberg,
    count_shares,
    interval,
    p_value,
    t_quantile,
)

LABELS = 3
# What the model says (columns) of each true label (rows): neutral is seldom seen.
CONFUSION = np.array([[0.85, 0.05, 0.10], [0.30, 0.35, 0.35], [0.03, 0.04, 0.93]])
PRIOR = np.array([0.2, 0.1, 0.7])


def world(rng, num_reviews, prior=PRIOR, confusion=CONFUSION):
    """Mentions of reviews that have a mood each: review, true label, predicted label."""
    sizes = rng.poisson(1.5, num_reviews) + 1
    review = np.repeat(np.arange(num_reviews), sizes)
    mood = rng.dirichlet(prior * 2, num_reviews)[review]
    gold = (rng.random(len(review))[:, None] > mood.cumsum(1)[:, :-1]).sum(1)
    said = (rng.random(len(review))[:, None] > confusion.cumsum(1)[gold][:, :-1]).sum(1)
    return review, gold, said


def in_one_cell(review, group):
    return count_shares(Mentions(np.zeros(len(review), np.int64), review, group, 1, LABELS))


def ends(share, variance, reviews):
    low, high = interval(share, variance, np.full(share.shape, reviews))
    return low[0], high[0]


def test_shares_and_covariances_are_those_of_whole_reviews():
    review, _, said = world(np.random.default_rng(1), 60)
    cell = review % 3
    shares = count_shares(Mentions(cell, review, said, 4, LABELS))
    for one in range(3):
        here = cell == one
        ids = np.unique(review[here])
        assert (shares.mentions[one], shares.reviews[one]) == (here.sum(), len(ids))
        mean = np.eye(LABELS)[said[here]].mean(0)
        np.testing.assert_allclose(shares.share[one], mean)
        sums = np.stack([(np.eye(LABELS)[said[review == i]] - mean).sum(0) for i in ids])
        wanted = sums.T @ sums / here.sum() ** 2 * len(ids) / (len(ids) - 1)
        np.testing.assert_allclose(shares.covariance[one], wanted)
        np.testing.assert_allclose(shares.covariance_of(np.array([one]), np.ones(1)), wanted)
    assert shares.mentions[3] == 0
    assert not shares.share[3].any()
    both = shares.covariance_of(np.array([0, 1]), np.ones(2))
    np.testing.assert_allclose(both, shares.covariance[:2].sum(0), err_msg="no review has mentions in both")


def test_intervals_cover_the_truth_where_naive_ones_do_not():
    rng = np.random.default_rng(2)
    runs, covered = 200, {"uncorrected": 0, "labels": 0, "confusion": 0}
    widths = {"labels": 0.0, "checked alone": 0.0}
    for _ in range(runs):
        review, gold, said = world(rng, 600)
        shares = in_one_cell(review, said)
        variance = np.einsum("ckk->ck", shares.covariance)
        low, high = ends(shares.share, variance, 600)
        covered["uncorrected"] += (low <= PRIOR) & (high >= PRIOR)
        checked = review < 120
        nowhere = np.full(checked.sum(), -1)
        learnt = from_labels(
            said[checked], gold[checked], review[checked], nowhere,
            num_groups=LABELS, num_labels=LABELS, num_cells=1,
        )  # fmt: skip
        corrected = learnt.apply(shares)
        low, high = ends(corrected.share, corrected.variance, 120)
        covered["labels"] += (low <= PRIOR) & (high >= PRIOR)
        widths["labels"] += (high - low).mean()
        alone = in_one_cell(review[checked], gold[checked])
        low, high = ends(alone.share, np.einsum("ckk->ck", alone.covariance), 120)
        widths["checked alone"] += (high - low).mean()
        # The report's reviews had another mix of labels: the confusion is of the model alone.
        _, true, answer = world(rng, 300, np.array([0.4, 0.2, 0.4]))
        counts = np.zeros((LABELS, LABELS))
        np.add.at(counts, (true, answer), 1)
        corrected = from_confusion(counts).apply(shares)
        low, high = ends(corrected.share, corrected.variance, 300)
        covered["confusion"] += (low <= PRIOR) & (high >= PRIOR)
    assert (covered["labels"] / runs > 0.91).all(), covered
    assert (covered["confusion"] / runs > 0.91).all(), covered
    assert covered["uncorrected"].min() / runs < 0.3, "a model that errs is not mended by wide intervals"
    # 600 reviews that the model read are worth something beside 120 that a person checked.
    assert widths["labels"] < 0.85 * widths["checked alone"]


def test_a_cell_with_labels_of_its_own_is_corrected_by_them():
    rng = np.random.default_rng(3)
    review, gold, said = world(rng, 900)
    other_review, other_gold, other_said = world(rng, 900, confusion=np.eye(LABELS)[::-1] * 0.7 + 0.1)
    cell = np.repeat([0, 1], [len(review), len(other_review)])
    review = np.concatenate([review, other_review + 900])
    gold, said = np.concatenate([gold, other_gold]), np.concatenate([said, other_said])
    shares = count_shares(Mentions(cell, review, said, 2, LABELS))
    checked = review % 900 < 300
    learnt = from_labels(
        said[checked], gold[checked], review[checked], cell[checked],
        num_groups=LABELS, num_labels=LABELS, num_cells=2,
    )  # fmt: skip
    assert learnt.uses_own.tolist() == [1, 1]
    corrected = learnt.apply(shares)
    for one in (0, 1):
        truth = np.bincount(gold[cell == one], minlength=LABELS) / (cell == one).sum()
        deviation = np.sqrt(corrected.variance[one])
        assert (np.abs(corrected.share[one] - truth) < 3 * deviation).all()
    value, variance, _ = learnt.difference(shares, 0, 1)
    np.testing.assert_allclose(value, corrected.share[1] - corrected.share[0], atol=1e-9)
    assert (variance > 0).all()


@pytest.mark.parametrize("by", ["labels", "confusion"])
def test_a_planted_difference_is_found_and_none_where_there_is_none(by):
    rng = np.random.default_rng(4)
    found = false = 0
    runs = 40
    for run in range(runs):
        moved = PRIOR + np.array([0.08, 0.0, -0.08]) * (run % 2)
        first, second = world(rng, 1500), world(rng, 1500, moved)
        cell = np.repeat([0, 1], [len(first[0]), len(second[0])])
        review = np.concatenate([first[0], second[0] + 1500])
        gold, said = (np.concatenate([first[i], second[i]]) for i in (1, 2))
        shares = count_shares(Mentions(cell, review, said, 2, LABELS))
        checked = review % 1500 < 150
        if by == "labels":
            learnt = from_labels(
                said[checked], gold[checked], review[checked], np.full(checked.sum(), -1),
                num_groups=LABELS, num_labels=LABELS, num_cells=2,
            )  # fmt: skip
        else:
            counts = np.zeros((LABELS, LABELS))
            np.add.at(counts, (gold[checked], said[checked]), 1)
            learnt = from_confusion(counts)
        p = p_value(*learnt.difference(shares, 0, 1))[0]
        found += p < 0.05 and run % 2 == 1
        false += p < 0.05 and run % 2 == 0
    assert found >= 0.75 * runs / 2
    assert false <= 4


def test_cells_that_share_reviews_vary_together():
    rng = np.random.default_rng(5)
    differences, claimed = [], []
    for _ in range(300):
        review, _, said = world(rng, 150)
        cell = np.arange(len(review)) % 2
        shares = count_shares(Mentions(cell, review, said, 2, LABELS))
        differences.append(shares.share[1, 0] - shares.share[0, 0])
        claimed.append(shares.covariance_of(np.array([0, 1]), np.array([-1.0, 1.0]))[0, 0])
    assert np.mean(claimed) == pytest.approx(np.var(differences), rel=0.25)


def test_small_pieces():
    np.testing.assert_allclose(
        t_quantile(np.array([5, 10, 30, 10_000])), [2.571, 2.228, 2.042, 1.960], atol=4e-3
    )
    p = np.array([0.01, 0.04, 0.03, 0.5])
    np.testing.assert_allclose(benjamini_hochberg(p), [0.04, 0.16 / 3, 0.16 / 3, 0.5])
    assert p_value(np.array([0.0, 0.3]), np.array([0.01, 0.0])).tolist() == [1.0, 1.0]
    low, high = interval(np.array([1.0]), np.array([0.0]), np.array([9]))
    assert high[0] == pytest.approx(1.0)
    assert 0.5 < low[0] < 0.75, "nine of nine is not certain"
    empty = count_shares(Mentions(*(np.zeros(0, np.int64),) * 3, 2, LABELS))
    assert empty.mentions.tolist() == [0, 0]
