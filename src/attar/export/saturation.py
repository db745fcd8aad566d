"""int8 weights that no processor's kernel can saturate.

x86 without VNNI multiplies uint8 by int8 with ``vpmaddubsw``: the products of two neighbouring input
channels are added in 16 bits, and the sum saturates at 32,767. With inputs up to 255 it always fits
if the two weights of an output, where they have the same sign, add up to at most 128: 255 * 128 =
32,640. Weights within that limit give exact products on every kernel, the fastest one of each
processor included, for scales that are a twentieth to a quarter larger than plain int8's, output by
output. (ONNX Runtime's own remedy, ``session.x64quantprecision``, replaces that kernel by one a third
slower, and ignores the branches of an If.)

Neighbours are the channels 2i and 2i + 1, as the kernels of MLAS read them.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["INT8_MAX", "PAIR_LIMIT", "PairBounds", "can_saturate", "pair_scales"]

INT8_MAX = 127
PAIR_LIMIT = 128
"""The most that two neighbouring weights of one sign may add up to, in absolute value."""


def pair_scales(weights: NDArray[np.float32]) -> NDArray[np.float32]:
    """Scales [out] with which a matrix [in, out] becomes int8 that cannot saturate."""
    largest = np.abs(weights).max(0) / np.float32(INT8_MAX)
    scales = np.maximum(largest, _pair_sums(weights).max(0, initial=0) / np.float32(PAIR_LIMIT))
    return np.where(scales > 0, scales, np.float32(1)).astype(np.float32)


def can_saturate(weights: NDArray[np.int8]) -> bool:
    """Whether some input saturates int8 weights [in, out] on a kernel that adds pairs in 16 bits."""
    return bool((_pair_sums(weights.astype(np.int32)) > PAIR_LIMIT).any())


def _pair_sums(weights: NDArray[Any]) -> NDArray[Any]:
    """[in // 2, out] per pair the larger of the sums of its positive and negative weights, unsigned."""
    even, odd = weights[: len(weights) // 2 * 2 : 2], weights[1::2]
    positive = np.maximum(even, 0) + np.maximum(odd, 0)
    negative = np.minimum(even, 0) + np.minimum(odd, 0)
    sums: NDArray[Any] = np.maximum(positive, -negative)
    return sums


class PairBounds:
    """Bounds of each channel's weights while a matrix is quantised one channel after another.

    A weight that is already quantised limits that of its neighbour, so that no pair can saturate.

    Args:
        channel_map: [S] original channel of each channel after splitting (``QuantParams.channel_map``).
        num_outputs: out.
    """

    def __init__(self, channel_map: NDArray[np.int64], num_outputs: int) -> None:
        self._positions: list[list[int]] = [[] for _ in range(int(channel_map.max()) + 1)]
        for position, channel in enumerate(channel_map.tolist()):
            self._positions[channel].append(position)
        # One row more, for the neighbour that the last of an odd number of channels lacks.
        self._high = np.full((len(channel_map) + 1, num_outputs), INT8_MAX, np.int32)
        self._low = -self._high
        for first in range(0, len(channel_map) - 1, 2):
            if channel_map[first] == channel_map[first + 1]:  # a channel is its own neighbour
                self._high[first : first + 2] = PAIR_LIMIT // 2
                self._low[first : first + 2] = -PAIR_LIMIT // 2

    def quantise(self, channel: int, values: NDArray[np.float64]) -> NDArray[np.int32]:
        """Round one channel's weights within their bounds, and tighten those of its neighbours.

        ``values`` [out] are the channel's weights before splitting, divided by their scales. A split
        channel's quantised weights [out] are the sums over its parts.
        """
        at = self._positions[channel]
        high, low = len(at) * self._high[at].min(0), len(at) * self._low[at].max(0)
        quantised = np.clip(np.rint(values), low, high).astype(np.int32)
        largest, smallest = np.maximum(-(-quantised // len(at)), 0), np.minimum(quantised // len(at), 0)
        for position in at:
            neighbour = min(position ^ 1, len(self._high) - 1)
            self._high[neighbour] = np.minimum(self._high[neighbour], PAIR_LIMIT - largest)
            self._low[neighbour] = np.maximum(self._low[neighbour], -PAIR_LIMIT - smallest)
        return quantised
