"""int8 weights that no processor's kernel can saturate.

x86 without VNNI multiplies uint8 by int8 with ``vpmaddubsw``: the products of two neighbouring inputs
are added in 16 bits, and what does not fit is cut off at 32,767. With inputs up to 255 a sum always
fits if the two weights of a column, where they have one sign, add up to at most 128: 255 * 128 =
32,640. So weights that keep to that give the exact products on every kernel, and on the fastest one
of each processor; they cost a step that is a twentieth to a quarter larger than int8's own, column by
column. (ONNX Runtime's other way out, ``session.x64quantprecision``, leaves that kernel for one a
third slower, and does not look into the branches of an If.)

Neighbours are the places 2i and 2i + 1 along the inputs, as the kernels of MLAS read them.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["LARGEST", "PAIR_LIMIT", "Bounds", "can_saturate", "pair_steps"]

LARGEST = 127
PAIR_LIMIT = 128
"""What the weights of two neighbours may add up to, each sign by itself."""


def pair_steps(weights: NDArray[np.float32]) -> NDArray[np.float32]:
    """Steps [out] with which a matrix' weights, place by place, are int8 that cannot saturate.

    Args:
        weights: [places, out]; where a channel stands at several places, each has its share.
    """
    largest = np.abs(weights).max(0) / np.float32(LARGEST)
    steps = np.maximum(largest, _pair_sums(weights).max(0, initial=0) / np.float32(PAIR_LIMIT))
    return np.where(steps > 0, steps, np.float32(1)).astype(np.float32)


def can_saturate(codes: NDArray[np.int8]) -> bool:
    """Whether some inputs saturate int8 weights [places, out] on a kernel that adds pairs in 16 bits."""
    return bool((_pair_sums(codes.astype(np.int32)) > PAIR_LIMIT).any())


def _pair_sums(weights: NDArray[Any]) -> NDArray[Any]:
    """[places // 2, out] the larger of the sums of positive and of negative weights, without sign."""
    even, odd = weights[: len(weights) // 2 * 2 : 2], weights[1::2]
    positive = np.maximum(even, 0) + np.maximum(odd, 0)
    negative = np.minimum(even, 0) + np.minimum(odd, 0)
    sums: NDArray[Any] = np.maximum(positive, -negative)
    return sums


class Bounds:
    """What codes are left for each channel while a matrix is rounded, one channel after another.

    Args:
        places: [P] which channel stands at each place.
        num_columns: out.
    """

    def __init__(self, places: NDArray[np.int64], num_columns: int) -> None:
        self._at: list[list[int]] = [[] for _ in range(int(places.max()) + 1)]
        for place, channel in enumerate(places.tolist()):
            self._at[channel].append(place)
        self._high = np.full((len(places) + 1, num_columns), LARGEST, np.int32)  # and one for no partner
        self._low = -self._high
        for one in range(0, len(places) - 1, 2):
            if places[one] == places[one + 1]:  # a channel beside itself
                self._high[one : one + 2] = PAIR_LIMIT // 2
                self._low[one : one + 2] = -PAIR_LIMIT // 2

    def rounded(self, channel: int, values: NDArray[np.float64]) -> NDArray[np.int32]:
        """Codes [out] of a channel, the nearest to values [out] that are allowed, and taken from now on.

        Where a channel stands at several places, the codes are the sums over them.
        """
        at = self._at[channel]
        high, low = len(at) * self._high[at].min(0), len(at) * self._low[at].max(0)
        codes = np.clip(np.rint(values), low, high).astype(np.int32)
        largest, smallest = np.maximum(-(-codes // len(at)), 0), np.minimum(codes // len(at), 0)
        for place in at:
            partner = min(place ^ 1, len(self._high) - 1)
            self._high[partner] = np.minimum(self._high[partner], PAIR_LIMIT - largest)
            self._low[partner] = np.maximum(self._low[partner], -PAIR_LIMIT - smallest)
        return codes
