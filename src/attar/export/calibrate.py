"""Calibration: the range of values that enters each linear layer, and what int8 costs there.

Fourth step of ``attar export``, on the equalised fp32 graph. A range is not that of the extremes,
which a single outlier sets, but the one whose uint8 grid has the smallest mean squared error over
all values seen, clipping included.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from attar.export.grids import ActivationRange, LayerGrid
from attar.export.taps import Taps

__all__ = ["activation_ranges", "best_range", "layer_errors", "range_of"]

_BINS = 2048
_SAMPLE = 1500
_SHRINKS = np.linspace(0.2, 1.0, 81)


def activation_ranges(taps: Taps) -> dict[str, ActivationRange]:
    """Choose the input range of every linear layer of an fp32 graph.

    The encodings run twice, in small batches: once for the extremes, once for histograms between
    them, so memory does not grow with their number.

    Returns:
        A range by layer name.
    """
    tensors = set(taps.inputs.values())
    extremes = dict.fromkeys(tensors, (0.0, 0.0))
    for tensor, values in taps.values():
        low, high = extremes[tensor]
        extremes[tensor] = (min(low, float(values.min())), max(high, float(values.max())))
    counts = {tensor: np.zeros(_BINS, np.int64) for tensor in tensors}
    for tensor, values in taps.values():
        counts[tensor] += _histogram(values, *extremes[tensor])
    ranges = {tensor: best_range(counts[tensor], *extremes[tensor]) for tensor in tensors}
    return {layer: ranges[tensor] for layer, tensor in taps.inputs.items()}


def range_of(values: NDArray[np.float32]) -> ActivationRange:
    """The best range of values that are all at hand."""
    low, high = min(float(values.min()), 0.0), max(float(values.max()), 0.0)
    return best_range(_histogram(values, low, high), low, high)


def _histogram(values: NDArray[np.float32], low: float, high: float) -> NDArray[np.int64]:
    """Counts of ``_BINS`` equal bins over [low, high], which holds all values."""
    per_unit = np.float32(_BINS / max(high - low, 1e-30))
    bins = ((values - np.float32(low)) * per_unit).astype(np.int32)
    return np.bincount(np.clip(bins, 0, _BINS - 1).ravel(), minlength=_BINS)


def layer_errors(taps: Taps, grids: Mapping[str, LayerGrid]) -> dict[str, float]:
    """Relative error that int8 alone adds to each linear layer's output, given exact inputs.

    Returns:
        ||int8 - fp32|| / ||fp32|| by layer name, without the bias.
    """
    samples = taps.samples(_SAMPLE)
    errors = {}
    for layer, tensor in taps.inputs.items():
        grid, values, matrix = grids[layer], samples[tensor], taps.weights[layer]
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
