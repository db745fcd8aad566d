"""What computes: one interface for networks, linear models and cascades.

``Predictor`` checks what it is given, computes equal examples once, and leaves the rest to one of these.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from attar.task import Example

__all__ = ["Scorer", "softmax"]


class Scorer(Protocol):
    """Scores examples from any number of threads at once; an example's probs depend on it alone.

    It can be pickled and survives a fork.
    """

    def logits(self, examples: Sequence[Example]) -> NDArray[np.float32]:
        """Logits [N, C] before the temperature."""
        ...

    def probs(self, examples: Sequence[Example]) -> NDArray[np.float32]:
        """Probs [N, C]."""
        ...

    def window(self, example: Example) -> tuple[int, int]:
        """Code-point offsets of the part of the text that is read."""
        ...

    def close(self) -> None:
        """End the threads; a later call starts them again."""
        ...


def softmax(logits: NDArray[np.float32], temperature: float) -> NDArray[np.float32]:
    """Probs [N, C] of logits [N, C] divided by a temperature."""
    scaled = logits.astype(np.float64) / temperature
    weights = np.exp(scaled - scaled.max(1, keepdims=True))
    probs: NDArray[np.float32] = (weights / weights.sum(1, keepdims=True)).astype(np.float32)
    return probs
