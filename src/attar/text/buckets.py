"""Length buckets: batches of encodings that are about equally long, so that little is padded."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

__all__ = ["shuffled_batches", "sorted_batches"]


def sorted_batches(lengths: Sequence[int], batch_size: int) -> list[list[int]]:
    """Indices in batches from the longest to the shortest, for one pass without training.

    The longest come first, so that a batch too large for the memory fails at once.
    """
    order = np.argsort(-np.asarray(lengths), kind="stable").tolist()
    return [order[i : i + batch_size] for i in range(0, len(order), batch_size)]


def shuffled_batches(
    lengths: Sequence[int], batch_size: int, *, seed: int, epoch: int, pool: int = 50, drop_last: bool = False
) -> list[list[int]]:
    """Indices in random batches of about equal length, the same for the same seed and epoch.

    Every pool of ``pool`` batches of a random order is sorted by length and cut; the batches of
    the epoch are then shuffled. One batch of an epoch may be smaller; with ``drop_last`` there is
    none, and which indices an epoch leaves out is drawn.
    """
    rng = np.random.default_rng((seed, epoch))
    order = rng.permutation(len(lengths))
    if drop_last:
        # Before they are sorted by length: else an epoch would always leave out the longest.
        order = order[: len(order) - len(order) % batch_size]
    size = np.asarray(lengths)
    batches: list[list[int]] = []
    for i in range(0, len(order), pool * batch_size):
        part = order[i : i + pool * batch_size]
        part = part[np.argsort(size[part], kind="stable")]
        batches += [part[j : j + batch_size].tolist() for j in range(0, len(part), batch_size)]
    return [batches[i] for i in rng.permutation(len(batches))]
