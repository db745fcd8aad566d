"""Uncertainty of the scores: bootstrap intervals over whole reviews, and paired differences.

Terms of one review are not independent (one author, one mood, one product), so reviews are drawn
with replacement, never single examples: Davison & Hinkley, "Bootstrap Methods and their
Application" (1997), sections 3.8 and 5.3.1 (percentile interval). Every model is scored on the
same draws, so the difference of two models is paired.

A draw is a weight a review; resampled confusion counts are weights @ counts by review, one matrix
product for all models, and the scores follow from the counts.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from attar.metrics import accuracy_of, confusion_counts, f1_of
from attar.progress import track

__all__ = [
    "Interval",
    "Resampled",
    "paired_difference",
    "percentile_interval",
    "resample",
    "resampled_sums",
]

_TAILS = (2.5, 97.5)
_CHUNK = 100  # draws at a time; bounds the weights in memory at 100 x reviews


@dataclass(frozen=True, slots=True)
class Interval:
    """A figure and its 95 % percentile interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Resampled:
    """Confusion counts of one model: observed [C, C], and [R, C, C] under R draws of reviews."""

    observed: NDArray[np.int64]
    draws: NDArray[np.float64]

    def accuracy(self) -> Interval:
        """Accuracy with its interval."""
        return _interval(float(accuracy_of(self.observed)), accuracy_of(self.draws))

    def macro_f1(self, first: int | None = None) -> Interval:
        """Macro-F1 with its interval, over all labels or the ``first`` of them."""
        return _interval(float(_macro_f1(self.observed, first)), _macro_f1(self.draws, first))


def resample(
    gold: NDArray[np.integer],
    predicted: Mapping[str, NDArray[np.integer]],
    reviews: Sequence[Hashable],
    *,
    num_labels: int,
    repeats: int,
    seed: int,
) -> dict[str, Resampled]:
    """Draw reviews with replacement and count every model's confusions on the same draws.

    Args:
        gold: [N] label indices.
        predicted: [N] label indices by model.
        reviews: [N] a key of each example's review, such as its text.
        num_labels: C.
        repeats: R, how many draws.
        seed: The same seed gives the same draws.
    """
    review, num_reviews = _numbered(reviews)
    cells = num_labels**2
    counts = np.zeros((num_reviews, len(predicted) * cells))
    for column, labels in enumerate(predicted.values()):
        np.add.at(counts, (review, column * cells + gold * num_labels + labels), 1)
    draws = track(_weights(num_reviews, repeats, seed), "intervals", -(-repeats // _CHUNK))
    drawn = np.concatenate([weights @ counts for weights in draws])
    return {
        name: Resampled(
            confusion_counts(gold, labels, num_labels),
            drawn[:, column * cells : (column + 1) * cells].reshape(-1, num_labels, num_labels),
        )
        for column, (name, labels) in enumerate(predicted.items())
    }


def paired_difference(first: Resampled, second: Resampled, over: int | None = None) -> Interval:
    """Macro-F1 of ``first`` minus that of ``second``, both from one call of ``resample``.

    ``over`` is how many labels count, from the first; None takes all.
    """
    assert first.draws.shape == second.draws.shape, "two calls of resample() are not paired"
    value = _macro_f1(first.observed, over) - _macro_f1(second.observed, over)
    return _interval(float(value), _macro_f1(first.draws, over) - _macro_f1(second.draws, over))


def resampled_sums(
    values: NDArray[np.floating], reviews: Sequence[Hashable], *, repeats: int, seed: int
) -> NDArray[np.float64]:
    """Sums of columns under draws of whole reviews, the same draws as those of ``resample``.

    Args:
        values: [N, K], what is added up.
        reviews: [N] a key of each row's review.
        repeats: R, how many draws.
        seed: The same seed and reviews give the same draws.

    Returns:
        [R, K].
    """
    review, num_reviews = _numbered(reviews)
    sums = np.zeros((num_reviews, values.shape[1]))
    np.add.at(sums, review, values)
    return np.concatenate([weights @ sums for weights in _weights(num_reviews, repeats, seed)])


def percentile_interval(value: float, draws: NDArray[np.floating]) -> Interval:
    """A figure with the 95 % interval of its draws; those that are not numbers are left out."""
    known = draws[np.isfinite(draws)]
    return _interval(value, known) if len(known) else Interval(value, value, value)


def _macro_f1(counts: NDArray[np.number], first: int | None) -> NDArray[np.float64]:
    return np.asarray(f1_of(counts)[..., :first].mean(-1), np.float64)


def _numbered(reviews: Sequence[Hashable]) -> tuple[NDArray[np.int64], int]:
    """The number of each example's review, and how many there are."""
    number: dict[Hashable, int] = {}
    return np.array([number.setdefault(key, len(number)) for key in reviews], np.int64), len(number)


def _weights(num_reviews: int, repeats: int, seed: int) -> Iterator[NDArray[np.float64]]:
    """How often each review is drawn: R rows in chunks of [<= 100, reviews]."""
    rng = np.random.default_rng(seed)
    for done in range(0, repeats, _CHUNK):
        rows = [
            np.bincount(rng.integers(num_reviews, size=num_reviews), minlength=num_reviews)
            for _ in range(min(_CHUNK, repeats - done))
        ]
        yield np.stack(rows).astype(np.float64)


def _interval(value: float, draws: NDArray[np.float64]) -> Interval:
    low, high = np.percentile(draws, _TAILS)
    return Interval(value, float(low), float(high))
