"""Which examples without labels a student learns from: confident ones, balanced by label.

After ``attar.distillation.data.unlabelled``, before the training. A student learns from the teachers'
logits; the label that is predicted here serves to balance alone.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from attar.recipe.load import UnlabelledRecipe

__all__ = ["select_rows"]

_POWERS = {"none": 1.0, "sqrt": 0.5, "equal": 0.0}


def select_rows(
    probs: NDArray[np.floating], settings: UnlabelledRecipe, seed: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows whose top prob is at least ``min_confidence``, balanced by the label that it is of.

    With n_c such rows of label c, N in all and S = min(limit, N), label c keeps at most
    S n_c^p / sum_k n_k^p of them (p = 1, 1/2, 0 for "none", "sqrt", "equal"), drawn by the seed.
    What a label cannot fill is not given to others: a rare label stays rare, without being swamped.

    Args:
        probs: [N, C].
        settings: ``min_confidence``, ``balance`` and ``limit``.
        seed: Another seed, other rows.

    Returns:
        The selected rows, ascending, and all rows that are confident enough.
    """
    labels = probs.argmax(1)
    confident = np.flatnonzero(probs.max(1) >= settings.min_confidence)
    counts = np.bincount(labels[confident], minlength=probs.shape[1])
    shares = np.where(counts > 0, counts.astype(np.float64) ** _POWERS[settings.balance], 0.0)
    size = min(settings.limit, len(confident))
    most = np.floor(size * shares / max(shares.sum(), 1.0) + 1e-9).astype(np.int64)
    order = np.random.default_rng(seed).permutation(confident)
    selected = [order[labels[order] == label][:count] for label, count in enumerate(most)]
    return np.sort(np.concatenate(selected)), confident
