"""The int8 form of a linear layer: the grid of its inputs and the codes of its weights.

What calibration chooses (``attar.export.calibrate``), the graph writes (``attar.export.graph``) and
quantisation-aware training learns with (``attar.export.tuning``).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["ActivationRange", "LayerGrid", "symmetric_int8", "weight_steps"]

Array = NDArray[np.float32]

_LARGEST = 127


class ActivationRange(NamedTuple):
    """The values that a linear layer's input is clipped to before it becomes uint8."""

    low: float
    high: float

    def scale_and_zero(self) -> tuple[np.float32, np.uint8]:
        """Step and zero point of a uint8 grid over the range; 0 is always on the grid."""
        low, high = min(self.low, 0.0), max(self.high, 0.0)
        step = max((high - low) / 255, 1e-8)
        return np.float32(step), np.uint8(round(-low / step))

    def rounded(self, values: Array) -> Array:
        """The values as the grid holds them."""
        step, zero = self.scale_and_zero()
        whole = np.clip(np.rint(values / step) + np.float32(zero), 0, 255) - np.float32(zero)
        return np.asarray(whole * step, np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class LayerGrid:
    """How one linear layer is rounded.

    Attributes:
        range: Of its input.
        steps: [out] of its weights.
        copies: [in] how often each input stands there; its weight is the sum over the copies, so
            its codes reach ``copies`` times as far.
        table: [in, out] codes of the weights, or None for the nearest.
    """

    range: ActivationRange
    steps: Array
    copies: NDArray[np.int64]
    table: NDArray[np.int32] | None = None

    def codes(self, weights: Array) -> NDArray[np.int32]:
        """Codes [in, out] of the layer's weights [in, out]: code * step is the weight."""
        if self.table is not None:
            return self.table
        reach = self.reach[:, None]
        return np.asarray(np.clip(np.rint(weights / self.steps), -reach, reach), np.int32)

    @property
    def reach(self) -> NDArray[np.int64]:
        """[in] the largest code of each input's weights."""
        return _LARGEST * self.copies

    @property
    def places(self) -> NDArray[np.int64]:
        """[sum of copies] which input stands at each place."""
        return np.repeat(np.arange(len(self.copies)), self.copies)

    def spread(self, codes: NDArray[np.int32]) -> NDArray[np.int8]:
        """Codes [in, out] over the copies, as evenly as whole numbers can be: [sum of copies, out]."""
        copies = self.copies[:, None]
        share, rest = np.divmod(codes, copies)
        number = np.arange(len(self.places)) - np.repeat(np.cumsum(self.copies) - self.copies, self.copies)
        return (share[self.places] + (number[:, None] < rest[self.places])).astype(np.int8)


def weight_steps(weights: Array, copies: NDArray[np.int64] | None = None) -> Array:
    """Steps [out] for which the largest weight of each column gets the largest code.

    Args:
        weights: [in, out].
        copies: [in], or None for one of each.
    """
    each = weights if copies is None else weights / copies[:, None].astype(np.float32)
    steps = np.abs(each).max(0) / np.float32(_LARGEST)
    return np.where(steps > 0, steps, np.float32(1)).astype(np.float32)


def symmetric_int8(rows: Array) -> tuple[NDArray[np.int8], Array]:
    """int8 form of a table's rows [rows, D] and their steps [rows, 1]."""
    steps = weight_steps(rows.T)[:, None]
    return np.clip(np.rint(rows / steps), -_LARGEST, _LARGEST).astype(np.int8), steps
