"""Quantisation parameters of a linear layer: scale and zero point of its input, scales of its weights.

Chosen on calibration data (``attar.export.calibration``, ``attar.export.gptq``), written into the graph
(``attar.export.writer``) and simulated by quantisation-aware training (``attar.export.qat``).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from attar.export.saturation import INT8_MAX, PairBounds, pair_scales

__all__ = [
    "ActivationRange",
    "Int8Weights",
    "LayerPrecision",
    "QuantParams",
    "quantise_rows",
    "weight_scales",
]

Array = NDArray[np.float32]

LayerPrecision = Literal["w8a8", "w16a8", "w8a16", "w16a16", "fp32"]
"""Bits of a layer's weights (w) and activations (a); sixteen are a sum of two 8-bit tensors."""


class ActivationRange(NamedTuple):
    """The range that a linear layer's input is clipped to before it becomes uint8."""

    low: float
    high: float

    def scale_and_zero_point(self) -> tuple[np.float32, np.uint8]:
        """Of uint8 over the range; 0 is always represented exactly."""
        low, high = min(self.low, 0.0), max(self.high, 0.0)
        scale = max((high - low) / 255, 1e-8)
        return np.float32(scale), np.uint8(round(-low / scale))

    def fake_quantise(self, values: Array) -> Array:
        """Quantise and dequantise values of any shape."""
        scale, zero_point = self.scale_and_zero_point()
        offset = np.float32(zero_point)
        return np.asarray((np.clip(np.rint(values / scale) + offset, 0, 255) - offset) * scale, np.float32)


class Int8Weights(NamedTuple):
    """int8 weights [in after splitting, out] and their scales [out]."""

    values: NDArray[np.int8]
    scales: Array


@dataclass(frozen=True, slots=True, eq=False)
class QuantParams:
    """How one linear layer is quantised.

    Attributes:
        input_range: What its input is clipped to.
        scales: [out] of its weights.
        splits: [in] into how many channels each input channel is split. Its weight is the sum of
            theirs, so that its quantised weights reach ``splits`` times as far (outlier channel
            splitting, Zhao et al. 2019, arXiv:1901.09504, section 3).
        quantised: [in, out] the quantised weights, before splitting; None rounds to the nearest.
        precision: How the graph computes the layer.
    """

    input_range: ActivationRange
    scales: Array
    splits: NDArray[np.int64]
    quantised: NDArray[np.int32] | None = None
    precision: LayerPrecision = "w8a8"

    def int8_weights(self, weights: Array) -> list[Int8Weights]:
        """The weights [in, out], split, as one int8 tensor or as two that add up (w16)."""
        quantised = self.quantise(weights)
        first = Int8Weights(self.split(quantised), self.scales)
        if not self.precision.startswith("w16"):
            return [first]
        residual = weights - quantised * self.scales
        second = replace(self, scales=weight_scales(residual, self.splits), quantised=None)
        return [first, Int8Weights(second.split(second.quantise(residual)), second.scales)]

    def quantise(self, weights: Array) -> NDArray[np.int32]:
        """Quantised weights [in, out] that cannot saturate, before splitting."""
        if self.quantised is not None:
            return self.quantised
        bounds = PairBounds(self.channel_map, weights.shape[1])
        scaled = weights / self.scales.astype(np.float64)
        return np.stack([bounds.quantise(channel, values) for channel, values in enumerate(scaled)])

    def round_to_nearest(self, weights: Array) -> NDArray[np.int32]:
        """Quantised weights [in, out] that may saturate: off by one at most, and much faster to compute."""
        limits = self.limits[:, None]
        return np.asarray(np.clip(np.rint(weights / self.scales), -limits, limits), np.int32)

    @property
    def limits(self) -> NDArray[np.int64]:
        """[in] the largest quantised weight of each channel, before splitting."""
        return INT8_MAX * self.splits

    @property
    def channel_map(self) -> NDArray[np.int64]:
        """[S] original channel of each channel after splitting: each once, then the further ones."""
        return _channel_map(self.splits)

    def split(self, quantised: NDArray[np.int32]) -> NDArray[np.int8]:
        """Spread quantised weights [in, out] evenly over the channels after splitting: [S, out]."""
        share, rest = np.divmod(quantised, self.splits[:, None])
        further = np.arange(self.splits.sum() - len(quantised))
        begin = np.cumsum(self.splits - 1) - (self.splits - 1)  # of each channel's further ones
        number = np.append(
            np.zeros(len(quantised), np.int64), 1 + further - np.repeat(begin, self.splits - 1)
        )
        return (share[self.channel_map] + (number[:, None] < rest[self.channel_map])).astype(np.int8)


def _channel_map(splits: NDArray[np.int64]) -> NDArray[np.int64]:
    channels = np.arange(len(splits))
    return np.append(channels, np.repeat(channels, splits - 1))


def weight_scales(weights: Array, splits: NDArray[np.int64] | None = None) -> Array:
    """Scales [out] with which weights [in, out] become int8 that cannot saturate, once they are split."""
    if splits is None:
        return pair_scales(weights)
    return pair_scales(np.asarray(weights / splits[:, None], np.float32)[_channel_map(splits)])


def quantise_rows(rows: Array) -> Int8Weights:
    """A table [rows, D] in symmetric int8, with one scale a row: [rows, 1]."""
    largest = np.abs(rows).max(1, keepdims=True) / np.float32(INT8_MAX)
    scales = np.where(largest > 0, largest, np.float32(1))
    return Int8Weights(np.clip(np.rint(rows / scales), -INT8_MAX, INT8_MAX).astype(np.int8), scales)
