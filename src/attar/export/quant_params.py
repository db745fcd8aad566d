"""The int8 form of a linear layer: the grid of its inputs and the codes of its weights.

What calibration chooses (``attar.export.calibration``), the graph writes (``attar.export.graph``) and
quantisation-aware training learns with (``attar.export.qat``).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from attar.export.saturation import LARGEST, Bounds, pair_steps

__all__ = [
    "ActivationRange",
    "LayerPrecision",
    "QuantParams",
    "WeightPart",
    "symmetric_int8",
    "weight_steps",
]

Array = NDArray[np.float32]

LayerPrecision = Literal["w8a8", "w16a8", "w8a16", "w16a16", "fp32"]
"""Bits of a layer's weights and of its inputs; sixteen are two parts of eight."""


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


class WeightPart(NamedTuple):
    """int8 codes [places, out] and their steps [out]."""

    codes: NDArray[np.int8]
    steps: Array


@dataclass(frozen=True, slots=True, eq=False)
class QuantParams:
    """How one linear layer is rounded.

    Attributes:
        range: Of its input.
        steps: [out] of its weights.
        copies: [in] how often each input stands there; its weight is the sum over the copies, so
            its codes reach ``copies`` times as far.
        table: [in, out] codes of the weights, or None for the nearest.
        precision: How the graph computes it.
    """

    range: ActivationRange
    steps: Array
    copies: NDArray[np.int64]
    table: NDArray[np.int32] | None = None
    precision: LayerPrecision = "w8a8"

    def weight_parts(self, weights: Array) -> list[WeightPart]:
        """The layer's weights [in, out] as one or two parts of int8, place by place; they add up."""
        codes = self.codes(weights)
        first = WeightPart(self.spread(codes), self.steps)
        if not self.precision.startswith("w16"):
            return [first]
        left = weights - codes * self.steps
        rest = replace(self, steps=weight_steps(left, self.copies), table=None)
        return [first, WeightPart(rest.spread(rest.codes(left)), rest.steps)]

    def codes(self, weights: Array) -> NDArray[np.int32]:
        """Codes [in, out] of the layer's weights [in, out]: code * step is the weight."""
        if self.table is not None:
            return self.table
        bounds, left = Bounds(self.places, weights.shape[1]), weights / self.steps.astype(np.float64)
        return np.stack([bounds.rounded(channel, values) for channel, values in enumerate(left)])

    def nearest(self, weights: Array) -> NDArray[np.int32]:
        """Codes [in, out] without regard to saturation: off by one at most, and sooner there."""
        reach = self.reach[:, None]
        return np.asarray(np.clip(np.rint(weights / self.steps), -reach, reach), np.int32)

    @property
    def reach(self) -> NDArray[np.int64]:
        """[in] the largest code of each input's weights."""
        return LARGEST * self.copies

    @property
    def places(self) -> NDArray[np.int64]:
        """[sum of copies] which input stands at each place: each once, then the further copies."""
        return _places(self.copies)

    def spread(self, codes: NDArray[np.int32]) -> NDArray[np.int8]:
        """Codes [in, out] over the copies, as evenly as whole numbers can be: [sum of copies, out]."""
        share, rest = np.divmod(codes, self.copies[:, None])
        further = np.arange(self.copies.sum() - len(codes))
        begin = np.cumsum(self.copies - 1) - (self.copies - 1)  # of each input's further copies
        number = np.append(np.zeros(len(codes), np.int64), 1 + further - np.repeat(begin, self.copies - 1))
        return (share[self.places] + (number[:, None] < rest[self.places])).astype(np.int8)


def _places(copies: NDArray[np.int64]) -> NDArray[np.int64]:
    channels = np.arange(len(copies))
    return np.append(channels, np.repeat(channels, copies - 1))


def weight_steps(weights: Array, copies: NDArray[np.int64] | None = None) -> Array:
    """Steps [out] with which a matrix' weights fit into int8 that cannot saturate.

    Args:
        weights: [in, out].
        copies: [in], or None for one of each.
    """
    if copies is None:
        return pair_steps(weights)
    return pair_steps(np.asarray(weights / copies[:, None], np.float32)[_places(copies)])


def symmetric_int8(rows: Array) -> tuple[NDArray[np.int8], Array]:
    """int8 form of a table's rows [rows, D] and their steps [rows, 1]."""
    largest = np.abs(rows).max(1, keepdims=True) / np.float32(LARGEST)
    steps = np.where(largest > 0, largest, np.float32(1))
    return np.clip(np.rint(rows / steps), -LARGEST, LARGEST).astype(np.int8), steps
