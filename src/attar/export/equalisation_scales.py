"""Which shifts equalise a classifier best: second step of ``attar export``.

The width of a channel trades the grid of the activations against that of the weights: width_c =
reach_c^a / weight_c^(1 - a), where reach_c is the largest |x_c - centre_c| seen and weight_c the
largest weight that reads the channel. The exponent a is searched for each input, by the error of
the layers that read it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from attar.export.calibration import Channels, range_of
from attar.export.equalisation import LayerShifts, Shift
from attar.export.observers import Observers
from attar.export.quant_params import QuantParams, weight_steps
from attar.export.weights import ClassifierWeights

__all__ = ["choose_shifts", "copies_of"]

Array = NDArray[np.float32]

_EXPONENTS = (0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
_LEAST = 1e-5
_EXTRA_NEURONS = 1 / 96  # of the FFN's width; more copies gained nothing
_WORTH = 1.1  # factors after the GELU cost a pass over it: taken where they save a tenth of the error


def choose_shifts(
    taps: Observers, seen: Mapping[str, Channels], weights: ClassifierWeights
) -> list[LayerShifts]:
    """Choose the shifts of each layer, first to last.

    Args:
        taps: Of the classifier's fp32 graph.
        seen: From ``channel_statistics`` of it.
        weights: The classifier.
    """
    groups = [[i for i, other in enumerate(weights.layers) if other is layer] for layer in weights.layers]
    every = list(range(len(groups)))
    shared = max(map(len, groups)) > 1
    found: dict[tuple[int, ...], LayerShifts] = {}
    hidden: dict[tuple[int, ...], Shift] = {}

    def reads(group: Sequence[int], *parts: str) -> _Reading:
        return _reading(taps, seen, [[f"layer.{i}.{part}" for part in parts] for i in group])

    for group in groups:
        readers, key = (every if shared else group), tuple(group)
        if tuple(readers) not in hidden:
            parts = ("attention.key", "attention.query", "attention.value")
            hidden[tuple(readers)] = _best_shift(reads(readers, *parts))
        if key not in found:
            shift, copies = _best_inner(reads(group, "outer"))
            found[key] = LayerShifts(
                hidden[tuple(readers)],
                _best_shift(reads(group, "attention.out")),
                _best_shift(reads(group, "inner")),
                shift,
                copies,
            )
    return [found[tuple(group)] for group in groups]


class _Reading(NamedTuple):
    """One input, or those of shared layers together, and the weights [in, out] that read it."""

    low: Array
    high: Array
    mean: Array
    rows: Array
    weights: Array


def _reading(taps: Observers, seen: Mapping[str, Channels], layers: Sequence[Sequence[str]]) -> _Reading:
    """Of groups of layers with one input each; the first of a group says which tensor that is."""
    channels = [seen[taps.inputs[group[0]]] for group in layers]
    count = sum(one.count for one in channels)
    # Shared weights need to be looked at once, others were not grouped.
    names = {id(taps.weights[name]): name for group in layers for name in group}
    return _Reading(
        np.min([one.low for one in channels], 0),
        np.max([one.high for one in channels], 0),
        np.asarray(sum(one.total for one in channels) / count, np.float32),
        np.concatenate([one.rows for one in channels])[:: len(channels)],
        np.concatenate([taps.weights[name] for name in names.values()], 1),
    )


def _best_shift(read: _Reading) -> Shift:
    """Centre at the mean, and the widths that cost least."""
    reach = np.maximum(read.high - read.mean, read.mean - read.low)
    centred = read.rows - read.mean
    ones = np.ones(len(read.weights), np.int64)
    widths = [_width(reach, read.weights, exponent) for exponent in _EXPONENTS]
    return Shift(read.mean, min(widths, key=lambda width: _error(centred, read.weights, width, ones)))


def _best_inner(read: _Reading) -> tuple[Shift, NDArray[np.int64]]:
    """Widths and copies of an FFN's neurons; none where they gain little."""
    reach = np.maximum(read.high, -read.low)
    plain = np.ones_like(reach)
    once = np.ones(len(reach), np.int64)
    extra = max(1, round(len(reach) * _EXTRA_NEURONS))
    forms = [(width, copies_of(width, read.weights, extra))
             for width in (_width(reach, read.weights, exponent) for exponent in _EXPONENTS)]  # fmt: skip
    errors = [_error(read.rows, read.weights, *form) for form in forms]
    width, copies = forms[int(np.argmin(errors))]
    if _error(read.rows, read.weights, plain, once) <= _WORTH * min(errors):
        width, copies = plain, once
    return Shift(np.zeros_like(width), width), copies


def _width(reach: Array, weights: Array, exponent: float) -> Array:
    """[in], with a geometric mean of 1."""
    largest = np.maximum(np.abs(weights).max(1), _LEAST)
    width = np.maximum(reach, _LEAST) ** exponent / largest ** (1 - exponent)
    return np.asarray(width / np.exp(np.log(width).mean()), np.float32)


def copies_of(width: Array, weights: Array, extra: int) -> NDArray[np.int64]:
    """How often each neuron stands: each further copy goes to the one whose weights are largest."""
    largest = width * np.abs(weights).max(1)
    copies = np.ones(len(width), np.int64)
    for _ in range(extra):
        copies[np.argmax(largest / copies)] += 1
    return copies


def _error(values: Array, weights: Array, width: Array, copies: NDArray[np.int64]) -> float:
    """How far int8 is from ``values @ weights``, squared."""
    written, read = values / width, width[:, None] * weights
    grid = QuantParams(range_of(written), weight_steps(read, copies), copies)
    found = grid.range.rounded(written) @ (grid.nearest(read) * grid.steps)
    return float(np.square(found - values @ weights).sum())
