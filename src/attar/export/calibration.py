"""Calibration: what enters each linear layer, its ranges, and what int8 costs there.

Two passes over the real encodings: one over the fp32 graph, for every channel's extremes and mean and
some rows (``channel_statistics``), from which ``attar.export.equalisation_scales`` chooses how to
equalise; one over the equalised graph, for histograms and products of channels (``observe``), from
which ranges are chosen and weights are rounded (``attar.export.gptq``). A range is not that of the extremes,
which a single outlier sets, but the one whose uint8 grid has the smallest mean squared error over
all values seen, clipping included.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from attar.export.observers import Observers
from attar.export.quant_params import ActivationRange, QuantParams

__all__ = [
    "Channels",
    "Observed",
    "activation_ranges",
    "best_range",
    "channel_statistics",
    "layer_errors",
    "observe",
    "range_of",
]

_BINS = 2048
_SAMPLE = 1500
_SHRINKS = np.linspace(0.2, 1.0, 81)


@dataclass(slots=True)
class Channels:
    """What was seen of a tensor's channels, and some of its rows.

    Attributes:
        low: [in] the smallest value of each channel.
        high: [in] the largest.
        total: [in] the sum.
        count: Rows seen.
        rows: [sample, in] some of them.
    """

    low: NDArray[np.float32]
    high: NDArray[np.float32]
    total: NDArray[np.float64]
    count: int
    rows: NDArray[np.float32]


def channel_statistics(taps: Observers) -> dict[str, Channels]:
    """Go once over the encodings: every input of a linear layer, channel by channel, by tensor."""
    found: dict[str, Channels] = {}
    kept: dict[str, list[NDArray[np.float32]]] = {}
    rng = np.random.default_rng(0)
    share = -(-_SAMPLE // taps.num_batches)
    for tensor, values in taps.values("calibration: values"):
        if tensor not in found:
            zeros, none = np.zeros(values.shape[1], np.float64), values[:0]
            found[tensor] = Channels(values.min(0), values.max(0), zeros, 0, none)
        channels = found[tensor]
        channels.low = np.minimum(channels.low, values.min(0))
        channels.high = np.maximum(channels.high, values.max(0))
        channels.total += values.sum(0, dtype=np.float64)
        channels.count += len(values)
        rows = np.sort(rng.choice(len(values), min(len(values), share), replace=False))
        kept.setdefault(tensor, []).append(values[rows])
    for tensor, parts in kept.items():
        found[tensor].rows = np.concatenate(parts)[:_SAMPLE]
    return found


@dataclass(slots=True)
class Observed:
    """What was seen of a tensor as a whole.

    Attributes:
        low: The smallest value, at most 0.
        high: The largest, at least 0.
        counts: Histogram of equal bins between them.
        squares: X^T X of all rows X, [in, in].
        count: Rows seen.
    """

    low: float
    high: float
    counts: NDArray[np.int64]
    squares: NDArray[np.float32]
    count: int = 0


def observe(taps: Observers, extremes: Mapping[str, tuple[float, float]]) -> dict[str, Observed]:
    """Go once over the encodings: histograms and products of channels, by tensor.

    Args:
        taps: Of an fp32 graph.
        extremes: Of each tensor; what lies beyond by an error of rounding counts in the last bin.
    """
    found: dict[str, Observed] = {}
    for tensor, values in taps.values("calibration: ranges"):
        if tensor not in found:
            low, high = min(extremes[tensor][0], 0.0), max(extremes[tensor][1], 0.0)
            squares = np.zeros((values.shape[1],) * 2, np.float32)
            found[tensor] = Observed(low, high, np.zeros(_BINS, np.int64), squares)
        one = found[tensor]
        one.counts += _histogram(values, one.low, one.high)
        one.squares += values.T @ values
        one.count += len(values)
    return found


def activation_ranges(
    observed: Mapping[str, Observed], inputs: Mapping[str, str]
) -> dict[str, ActivationRange]:
    """Choose the input range of every linear layer; ``inputs`` names each layer's tensor."""
    ranges = {name: best_range(one.counts, one.low, one.high) for name, one in observed.items()}
    return {layer: ranges[tensor] for layer, tensor in inputs.items()}


def range_of(values: NDArray[np.float32]) -> ActivationRange:
    """The best range of values that are all at hand."""
    low, high = min(float(values.min()), 0.0), max(float(values.max()), 0.0)
    return best_range(_histogram(values, low, high), low, high)


def _histogram(values: NDArray[np.float32], low: float, high: float) -> NDArray[np.int64]:
    """Counts of ``_BINS`` equal bins over [low, high], which holds all values but for rounding."""
    per_unit = np.float32(_BINS / max(high - low, 1e-30))
    bins = ((np.clip(values, low, high) - np.float32(low)) * per_unit).astype(np.int32)
    return np.bincount(np.clip(bins, 0, _BINS - 1).ravel(), minlength=_BINS)


def layer_errors(taps: Observers, grids: Mapping[str, QuantParams]) -> dict[str, float]:
    """Relative error that int8 alone adds to each linear layer's output, given exact inputs.

    Returns:
        ||int8 - fp32|| / ||fp32|| by layer name, without the bias.
    """
    seen, errors = channel_statistics(taps), {}
    for layer, tensor in taps.inputs.items():
        grid, values, matrix = grids[layer], seen[tensor].rows, taps.weights[layer]
        exact = values @ matrix
        found = grid.range.rounded(values) @ (grid.codes(matrix) * grid.steps)
        errors[layer] = float(np.linalg.norm(found - exact) / max(float(np.linalg.norm(exact)), 1e-30))
    return errors


def best_range(counts: NDArray[np.int64], low: float, high: float) -> ActivationRange:
    """The range within [low, high] with the smallest squared error of its uint8 grid.

    Rounding costs step^2 / 12 a value, clipping the squared distance to the edge. Both edges are
    searched, one after the other, from the widest.

    Args:
        counts: Histogram with equal bins over [low, high].
        low: At most 0.
        high: At least 0.
    """
    if low == high:
        return ActivationRange(low, high)
    width = (high - low) / len(counts)
    centres = low + width * (np.arange(len(counts)) + 0.5)

    def cost(bottom: float, top: float) -> float:
        beyond = np.maximum(centres - top, 0) + np.maximum(bottom - centres, 0)
        rounding = ((top - bottom) / 255) ** 2 / 12
        return float((counts * beyond**2).sum() + rounding * counts.sum())

    for _ in range(2):
        high = float(min(_SHRINKS * high, key=lambda top: cost(low, top)))
        low = float(min(_SHRINKS * low, key=lambda bottom: cost(bottom, high)))
    return ActivationRange(low, high)
