"""Decision thresholds between the labels: an offset for each, chosen on held-out examples.

A model trained for likelihood seldom predicts a rare label, whatever that costs in macro-F1. Adding
a number to each label's logit before the argmax moves the thresholds between the labels (Menon et al.
2021, arXiv:2007.07314, section 4, with offsets searched for instead of taken from the labels' shares).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from attar.metrics import accuracy_of, confusion_counts, macro_f1_of
from attar.task import Metric

__all__ = ["Thresholds", "best_offsets", "choose_thresholds"]

_ROUNDS = 5
_MOST_CANDIDATES = 500
_HALVINGS = 10
_MOST_LOST = 2

Logits = NDArray[np.floating]
Gold = NDArray[np.integer]


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Offsets, and whether they are worth having.

    Attributes:
        offsets: [C], added to the logits; 0 for the commonest label and labels without examples.
        gain: Mean gain on examples that the offsets were not chosen on, a fraction of 1.
        kept: Whether that gain is more than noise.
        before: Score on all the examples without offsets.
        after: Score with them, on the examples that they were chosen on: too optimistic.
    """

    offsets: NDArray[np.float64]
    gain: float
    kept: bool
    before: float
    after: float


def choose_thresholds(logits: Logits, gold: Gold, metric: Metric) -> Thresholds:
    """Choose offsets on held-out examples, and find out whether they generalise.

    Two-fold cross-validation, ten times: the examples are halved at random, label by label, each half
    is predicted with the offsets of the other, and both are scored together. The offsets of all
    examples are kept if the score gains on average, and in at least eight of the ten halvings.

    Args:
        logits: [N, C], N > 0.
        gold: [N] label indices.
        metric: To be raised.
    """
    before = _score(logits, gold, metric)
    halved = (_cross_fitted(logits, gold, metric, number) for number in range(_HALVINGS))
    gains = [_score(each, gold, metric) - before for each in halved]
    offsets = best_offsets(logits, gold, metric)
    gain = float(np.mean(gains))
    return Thresholds(
        offsets,
        gain,
        kept=gain > 0 and sum(each <= 0 for each in gains) <= _MOST_LOST,
        before=before,
        after=_score(logits + offsets, gold, metric),
    )


def best_offsets(logits: Logits, gold: Gold, metric: Metric) -> NDArray[np.float64]:
    """Offsets [C] whose argmax(logits + offsets) scores best on these examples.

    One label at a time, in the order of the logits, until none moves: of at most 500 candidates between the
    margins at which some example changes to the label, the best; of equals the one nearest to 0.
    Only labels with examples move, and not the commonest, for it is differences that count. The arguments
    are those of ``choose_thresholds``.
    """
    counts = np.bincount(gold, minlength=logits.shape[1])
    moved = [c for c in np.flatnonzero(counts) if c != counts.argmax()]
    offsets = np.zeros(logits.shape[1])
    best = _score(logits, gold, metric)
    for _ in range(_ROUNDS):
        start = best
        for c in moved:
            candidates, found = _search_line(logits + offsets, gold, int(c), metric)
            if found.max(initial=0.0) <= best:
                continue
            # Of equal scores the candidate nearest to no offset at all.
            i = np.lexsort((np.abs(candidates + offsets[c]), -found))[0]
            best, offsets[c] = float(found[i]), candidates[i] + offsets[c]
        if best == start:
            break
    return offsets


def _search_line(
    logits: Logits, gold: Gold, label: int, metric: Metric
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Numbers to add to one label's logit, [K] and rising, and the scores [K] that they give."""
    others = logits.copy()
    others[:, label] = -np.inf
    margins, rest = others.max(1) - logits[:, label], others.argmax(1)
    changes = np.unique(margins)
    candidates = (changes[1:] + changes[:-1]) / 2
    if len(candidates) > _MOST_CANDIDATES:
        spaced = np.linspace(0, len(candidates) - 1, _MOST_CANDIDATES)
        candidates = candidates[spaced.round().astype(np.int64)]
    # Each example changes to the label at the first candidate beyond its margin.
    at, num_labels = np.searchsorted(candidates, margins), logits.shape[1]
    confusion = np.zeros((len(candidates) + 1, num_labels, num_labels), np.int64)
    np.add.at(confusion, (at, gold, np.full_like(gold, label)), 1)
    np.add.at(confusion, (at, gold, rest), -1)
    confusion[0] += confusion_counts(gold, rest, num_labels)
    return candidates, _metric_of(confusion.cumsum(0)[:-1], metric)


def _cross_fitted(logits: Logits, gold: Gold, metric: Metric, number: int) -> Logits:
    """[N, C] logits, each half with the offsets of the other; the halves are those of ``number``."""
    rng = np.random.default_rng(number)
    first = np.zeros(len(gold), bool)
    for c in np.unique(gold):
        rows = rng.permutation(np.flatnonzero(gold == c))
        first[rows[: (len(rows) + rng.integers(2)) // 2]] = True
    shifted = logits.astype(np.float64)
    for half in (first, ~first):
        if (~half).any():
            shifted[half] += best_offsets(logits[~half], gold[~half], metric)
    return shifted


def _score(logits: Logits, gold: Gold, metric: Metric) -> float:
    return float(_metric_of(confusion_counts(gold, logits.argmax(1), logits.shape[1]), metric))


def _metric_of(confusion: NDArray[np.int64], metric: Metric) -> NDArray[np.float64]:
    return macro_f1_of(confusion) if metric == "macro_f1" else accuracy_of(confusion)
