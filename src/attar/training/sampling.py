"""Sampling of an epoch's rows where labels are imbalanced."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

__all__ = ["label_counts", "sampled_rows"]

_POWERS = {"shuffled": 1.0, "sqrt": 0.5, "balanced": 0.0}


def label_counts(
    counts: Sequence[int] | NDArray[np.int64], kind: Literal["shuffled", "sqrt", "balanced"]
) -> NDArray[np.int64]:
    """How many rows of each label an epoch of N = sum n_c rows has.

    N n_c^p / sum_k n_k^p with p = 1, 0.5 or 0, rounded by largest remainder so that they add up to
    N; a label without rows gets none. (p-sampling: Mahajan et al. 2018, arXiv:1805.00932, section 2.2,
    takes p = 0.5.)

    Args:
        counts: [C] rows of each label, n_c.
        kind: "shuffled" takes each row once.

    Returns:
        [C].
    """
    present = np.asarray(counts, np.int64)
    strength = np.where(present > 0, present.astype(np.float64) ** _POWERS[kind], 0.0)
    exact = present.sum() * strength / strength.sum()
    whole: NDArray[np.int64] = np.floor(exact + 1e-9).astype(np.int64)
    left = present.sum() - whole.sum()
    whole[np.argsort(-(exact - whole), kind="stable")[:left]] += 1
    return whole


def sampled_rows(
    labels: Sequence[int], kind: Literal["shuffled", "sqrt", "balanced"], *, seed: int, epoch: int
) -> NDArray[np.int64]:
    """The N rows of one epoch, the same for the same seed and epoch.

    Of a label that is oversampled each row is repeated equally often; the remainder is drawn without
    replacement.

    Args:
        labels: [N] class index of each row.
        kind: See ``label_counts``.
        seed: Of the random draw.
        epoch: Of the random draw.

    Returns:
        [N] rows, ordered by label.
    """
    rng = np.random.default_rng((seed, epoch, 1))  # not the stream that shuffles the batches
    classes = np.asarray(labels)
    drawn: list[NDArray[np.int64]] = []
    for label, wanted in enumerate(label_counts(np.bincount(classes), kind)):
        rows = np.flatnonzero(classes == label)
        if wanted:
            drawn += [np.tile(rows, wanted // len(rows)), rng.permutation(rows)[: wanted % len(rows)]]
    return np.concatenate(drawn)
