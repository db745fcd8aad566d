"""Calibration: statistics and ranges of what enters each linear layer, and the error of int8 there.

Two passes over the calibration data: one over the fp32 graph, for each channel's extremes and mean and
a sample of rows (``channel_statistics``), from which ``attar.export.equalisation`` is chosen; one over the
equalised graph, for histograms and Gram matrices (``tensor_statistics``), from which the ranges and the
quantised weights (``attar.export.gptq``) are chosen. A range is not that of the extremes, which a
single outlier sets, but the one whose uint8 quantisation has the least mean squared error, clipping
included.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from attar.export.observers import Observers
from attar.export.quant_params import ActivationRange, QuantParams

__all__ = [
    "ChannelStatistics",
    "TensorStatistics",
    "activation_ranges",
    "best_range",
    "channel_statistics",
    "layer_errors",
    "range_of",
    "tensor_statistics",
]

_BINS = 2048
_SAMPLE = 1500
_SHRINKS = np.linspace(0.2, 1.0, 81)


@dataclass(slots=True)
class ChannelStatistics:
    """Extremes and sum [in] of each channel of a tensor, and a sample [sample, in] of its rows."""

    low: NDArray[np.float32]
    high: NDArray[np.float32]
    total: NDArray[np.float64]
    count: int
    rows: NDArray[np.float32]


def channel_statistics(observers: Observers) -> dict[str, ChannelStatistics]:
    """One pass over the calibration data: statistics of every input of a linear layer, by tensor."""
    found: dict[str, ChannelStatistics] = {}
    samples: dict[str, list[NDArray[np.float32]]] = {}
    rng = np.random.default_rng(0)
    share = -(-_SAMPLE // observers.num_batches)
    for tensor, values in observers.values("calibration: channel statistics"):
        if tensor not in found:
            zeros, none = np.zeros(values.shape[1], np.float64), values[:0]
            found[tensor] = ChannelStatistics(values.min(0), values.max(0), zeros, 0, none)
        channels = found[tensor]
        channels.low = np.minimum(channels.low, values.min(0))
        channels.high = np.maximum(channels.high, values.max(0))
        channels.total += values.sum(0, dtype=np.float64)
        channels.count += len(values)
        rows = np.sort(rng.choice(len(values), min(len(values), share), replace=False))
        samples.setdefault(tensor, []).append(values[rows])
    for tensor, parts in samples.items():
        found[tensor].rows = np.concatenate(parts)[:_SAMPLE]
    return found


@dataclass(slots=True)
class TensorStatistics:
    """Statistics of a tensor as a whole.

    Attributes:
        low: The smallest value, at most 0.
        high: The largest, at least 0.
        histogram: Counts of equal bins between them.
        gram: X^T X of all ``count`` rows X, [in, in].
    """

    low: float
    high: float
    histogram: NDArray[np.int64]
    gram: NDArray[np.float32]
    count: int = 0


def tensor_statistics(
    observers: Observers, extremes: Mapping[str, tuple[float, float]]
) -> dict[str, TensorStatistics]:
    """One pass over the calibration data: histograms and Gram matrices, by tensor.

    What a rounding error puts beyond a tensor's ``extremes`` counts in the outermost bin.
    """
    found: dict[str, TensorStatistics] = {}
    for tensor, values in observers.values("calibration: histograms"):
        if tensor not in found:
            low, high = min(extremes[tensor][0], 0.0), max(extremes[tensor][1], 0.0)
            gram = np.zeros((values.shape[1],) * 2, np.float32)
            found[tensor] = TensorStatistics(low, high, np.zeros(_BINS, np.int64), gram)
        one = found[tensor]
        one.histogram += _histogram(values, one.low, one.high)
        one.gram += values.T @ values
        one.count += len(values)
    return found


def activation_ranges(
    statistics: Mapping[str, TensorStatistics], inputs: Mapping[str, str]
) -> dict[str, ActivationRange]:
    """Choose the input range of every linear layer; ``inputs`` names each layer's tensor."""
    ranges = {name: best_range(one.histogram, one.low, one.high) for name, one in statistics.items()}
    return {layer: ranges[tensor] for layer, tensor in inputs.items()}


def range_of(values: NDArray[np.float32]) -> ActivationRange:
    """The best range for an array of values."""
    low, high = min(float(values.min()), 0.0), max(float(values.max()), 0.0)
    return best_range(_histogram(values, low, high), low, high)


def _histogram(values: NDArray[np.float32], low: float, high: float) -> NDArray[np.int64]:
    """Counts of ``_BINS`` equal bins over [low, high], which holds all values but for rounding."""
    per_unit = np.float32(_BINS / max(high - low, 1e-30))
    bins = ((np.clip(values, low, high) - np.float32(low)) * per_unit).astype(np.int32)
    return np.bincount(np.clip(bins, 0, _BINS - 1).ravel(), minlength=_BINS)


def layer_errors(observers: Observers, params: Mapping[str, QuantParams]) -> dict[str, float]:
    """||int8 - fp32|| / ||fp32|| of each linear layer's output without the bias, given exact inputs."""
    statistics, errors = channel_statistics(observers), {}
    for layer, tensor in observers.inputs.items():
        own, values, weights = params[layer], statistics[tensor].rows, observers.weights[layer]
        exact = values @ weights
        int8 = own.input_range.fake_quantise(values) @ (own.quantise(weights) * own.scales)
        errors[layer] = float(np.linalg.norm(int8 - exact) / max(float(np.linalg.norm(exact)), 1e-30))
    return errors


def best_range(counts: NDArray[np.int64], low: float, high: float) -> ActivationRange:
    """The range within [low, high] whose uint8 quantisation has the least squared error.

    Rounding costs scale^2 / 12 a value, clipping the squared distance to the edge. Both edges are
    searched in turn, from the widest. ``counts`` are of equal bins over [low, high], which holds 0.
    """
    if low == high:
        return ActivationRange(low, high)
    width = (high - low) / len(counts)
    centres = low + width * (np.arange(len(counts)) + 0.5)
    weights, total = counts.astype(np.float64), counts.sum()

    def cost(bottom: float, top: float, clipped: NDArray[np.float64], other: NDArray[np.float64]) -> float:
        """The last two: how far each bin lies beyond the edge that moves, and beyond the other."""
        beyond = np.maximum(clipped, 0, out=clipped)
        beyond += other
        beyond *= beyond
        beyond *= weights
        return float(beyond.sum() + ((top - bottom) / 255) ** 2 / 12 * total)

    for _ in range(2):
        below = np.maximum(low - centres, 0)
        high = float(min(_SHRINKS * high, key=lambda top: cost(low, top, centres - top, below)))
        above = np.maximum(centres - high, 0)
        low = float(min(_SHRINKS * low, key=lambda bottom: cost(bottom, high, bottom - centres, above)))
    return ActivationRange(low, high)
