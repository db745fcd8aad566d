"""A cascade: the first member answers where it is sure enough, the next one the rest.

Whether an example is passed on depends on that example's own probs, so a cascade too gives the same bytes
whatever else is in the batch. ``attar.cascade`` chooses the thresholds.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from attar.scoring.scorer import Scorer
from attar.task import Example

__all__ = ["CascadeScorer"]

_SMALLEST_PROB = 1e-12


class CascadeScorer:
    """A ``Scorer`` of several.

    Args:
        members: The first is asked about every example, each other about what is passed on.
        thresholds: One for each member but the last: it answers where the prob of its most likely label is
            at least that.
    """

    def __init__(self, members: Sequence[Scorer], thresholds: Sequence[float]) -> None:
        assert len(members) == len(thresholds) + 1, "a threshold for each member but the last"
        self._members = list(members)
        self._thresholds = list(thresholds)

    def probs(self, examples: Sequence[Example]) -> NDArray[np.float32]:
        """Probs [N, C] of the member that answers."""
        return self.probs_and_members(examples)[0]

    def probs_and_members(self, examples: Sequence[Example]) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Probs [N, C], and the number [N] of the member, from 0, that each is of."""
        out, by = self._members[0].probs(examples), np.zeros(len(examples), np.int64)
        left = np.arange(len(examples))
        for number, (member, threshold) in enumerate(
            zip(self._members[1:], self._thresholds, strict=True), start=1
        ):
            left = left[out[left].max(1) < threshold]
            if len(left) == 0:
                break
            out[left], by[left] = member.probs([examples[i] for i in left]), number
        return out, by

    def logits(self, examples: Sequence[Example]) -> NDArray[np.float32]:
        """Logs [N, C] of the probs: the members' own logits are on different scales."""
        return np.log(np.maximum(self.probs(examples), _SMALLEST_PROB))

    def window(self, example: Example) -> tuple[int, int]:
        """Code-point offsets of the part of the text that any member reads."""
        windows = [member.window(example) for member in self._members]
        return min(low for low, _ in windows), max(high for _, high in windows)

    def close(self) -> None:
        """End the members' threads; a later call starts them again."""
        for member in self._members:
            member.close()
