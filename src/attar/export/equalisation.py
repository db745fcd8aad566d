"""Equalisation: the same classifier, rewritten so that int8 loses less of it.

A linear layer's input has a few outlier channels with large values or means, and one uint8 scale for
all channels is too coarse for the others. So each channel is shifted and scaled, x = shift +
scale * x', and x' is what is quantised. That costs nothing at run time: whatever computes x computes
x' instead (the norm's scale and bias, the values' weights), whatever reads it absorbs scale and shift
into its weights and bias, and the residual connection multiplies by the scale once. In fp32 the logits
stay the same but for rounding errors. (SmoothQuant, Xiao et al. 2023, arXiv:2211.10438, section 4;
Outlier Suppression+, Wei et al. 2023, arXiv:2304.09145, section 3.1.)

The scale of a channel trades the error of the activations for that of the weights: scale_c =
reach_c^a / weight_c^(1 - a), reach_c being the largest |x_c - shift_c| seen and weight_c the largest
weight that reads the channel. The exponent a is searched for each input, by the error of the layers
that read it.

No weight can absorb the scale of a GELU's output: its channels are multiplied after it. An outlier
neuron whose weights are large besides (active at the [CLS] or [SEP] that attention rests on) is split
into several that share its weights, so that it does not set every output's scale (outlier channel
splitting, Zhao et al. 2019, arXiv:1901.09504, section 3). Only the int8 graph holds the split neurons.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from attar.export.calibration import ChannelStatistics, range_of
from attar.export.observers import Observers
from attar.export.quant_params import QuantParams, weight_scales
from attar.export.weights import ClassifierWeights, LayerWeights, Linear, Norm

__all__ = ["Equalisation", "LayerEqualisation", "choose_equalisation", "count_splits", "equalise"]

Array = NDArray[np.float32]

_EXPONENTS = (0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
_LEAST = 1e-5
_EXTRA_NEURONS = 1 / 96  # of the FFN's width; more splits gained nothing
_MIN_GAIN = 1.1  # scaling after the GELU costs a pass over it: done where it saves a tenth of the error


class Equalisation(NamedTuple):
    """How a linear layer's input x is rewritten: x = shift + scale * x', both [in]."""

    shift: Array
    scale: Array


class LayerEqualisation(NamedTuple):
    """How the inputs within one transformer layer are rewritten.

    Attributes:
        hidden: Of the queries, keys and values.
        context: Of the attention's output layer.
        attended: Of the FFN's first layer.
        inner: Of the FFN's second layer; its shift is 0.
        splits: [F] into how many neurons each neuron of the FFN is split, at least 1.
    """

    hidden: Equalisation
    context: Equalisation
    attended: Equalisation
    inner: Equalisation
    splits: NDArray[np.int64]


def equalise(weights: ClassifierWeights, layers: Sequence[LayerEqualisation]) -> ClassifierWeights:
    """Rewrite a classifier; its logits stay the same but for rounding errors.

    Layers that share weights have equal equalisations, and where any do, ``hidden`` is the same for all.
    """
    shared = len({id(layer) for layer in weights.layers}) < len(weights.layers)
    made: dict[int, LayerWeights] = {}
    for index, (layer, own) in enumerate(zip(weights.layers, layers, strict=True)):
        if id(layer) not in made:
            last = index + 1 == len(layers)
            following = own.hidden if shared else None if last else layers[index + 1].hidden
            made[id(layer)] = _equalised_layer(layer, own, following)
    first = layers[0].hidden
    projection = weights.projection
    return replace(
        weights,
        embedding_norm=weights.embedding_norm if projection else _norm_to(weights.embedding_norm, first),
        projection=_output_to(projection, first) if projection else None,
        layers=[made[id(layer)] for layer in weights.layers],
        pooler=_input_from(weights.pooler, first) if shared else weights.pooler,
    )


def _equalised_layer(
    layer: LayerWeights, own: LayerEqualisation, following: Equalisation | None
) -> LayerWeights:
    return LayerWeights(
        query=_input_from(layer.query, own.hidden),
        key=_input_from(layer.key, own.hidden),
        value=_output_to(_input_from(layer.value, own.hidden), own.context),
        attention_out=_residual_of(_input_from(layer.attention_out, own.context), own.hidden),
        attention_norm=_norm_to(layer.attention_norm, own.attended),
        inner=_input_from(layer.inner, own.attended),
        outer=_residual_of(_input_from(layer.outer, own.inner), own.attended),
        out_norm=layer.out_norm if following is None else _norm_to(layer.out_norm, following),
        hidden_scale=own.hidden.scale,
        attended_scale=own.attended.scale,
        inner_scale=None if (own.inner.scale == 1).all() else np.reciprocal(own.inner.scale),
    )


def _input_from(linear: Linear, own: Equalisation) -> Linear:
    """A layer that reads x' instead of x."""
    return Linear(own.scale[:, None] * linear.weight, linear.bias + own.shift @ linear.weight)


def _output_to(linear: Linear, own: Equalisation) -> Linear:
    """A layer that computes x' instead of x."""
    return Linear(linear.weight / own.scale, (linear.bias - own.shift) / own.scale)


def _norm_to(norm: Norm, own: Equalisation) -> Norm:
    """A norm that computes x' instead of x."""
    return Norm(norm.scale / own.scale, (norm.bias - own.shift) / own.scale, norm.epsilon)


def _residual_of(linear: Linear, own: Equalisation) -> Linear:
    """A layer to whose output scale * x' is added where it was x."""
    return Linear(linear.weight, linear.bias + own.shift)


def choose_equalisation(
    observers: Observers, statistics: Mapping[str, ChannelStatistics], weights: ClassifierWeights
) -> list[LayerEqualisation]:
    """Choose the equalisation of each layer, first to last, from ``channel_statistics`` of its fp32 graph."""
    groups = [[i for i, other in enumerate(weights.layers) if other is layer] for layer in weights.layers]
    every = list(range(len(groups)))
    shared = max(map(len, groups)) > 1
    found: dict[tuple[int, ...], LayerEqualisation] = {}
    hidden: dict[tuple[int, ...], Equalisation] = {}

    def input_of(group: Sequence[int], *parts: str) -> _Input:
        """What enters these parts of some layers, which read one tensor each."""
        uses = [[f"layer.{i}.{part}" for part in parts] for i in group]
        channels = [statistics[observers.inputs[names[0]]] for names in uses]
        matrices = {id(observers.weights[name]): observers.weights[name] for names in uses for name in names}
        total = sum(one.total for one in channels) / sum(one.count for one in channels)
        return _Input(
            np.min([one.low for one in channels], 0),
            np.max([one.high for one in channels], 0),
            np.asarray(total, np.float32),
            np.concatenate([one.rows for one in channels])[:: len(channels)],
            np.concatenate(list(matrices.values()), 1),
        )

    for group in groups:
        readers, key = tuple(every if shared else group), tuple(group)
        if readers not in hidden:
            hidden[readers] = _best(input_of(readers, "attention.key", "attention.query", "attention.value"))
        if key not in found:
            inner, splits = _best_inner(input_of(group, "outer"))
            found[key] = LayerEqualisation(
                hidden[readers],
                _best(input_of(group, "attention.out")),
                _best(input_of(group, "inner")),
                inner,
                splits,
            )
    return [found[tuple(group)] for group in groups]


class _Input(NamedTuple):
    """One input, or those of shared layers together, and the weights [in, out] that read it."""

    low: Array
    high: Array
    mean: Array
    rows: Array
    weights: Array


def _best(read: _Input) -> Equalisation:
    """Shift by the mean, and the scales with the least error."""
    reach = np.maximum(read.high - read.mean, read.mean - read.low)
    centred = read.rows - read.mean
    ones = np.ones(len(read.weights), np.int64)
    scales = [_scale(reach, read.weights, exponent) for exponent in _EXPONENTS]
    return Equalisation(read.mean, min(scales, key=lambda scale: _error(centred, read.weights, scale, ones)))


def _best_inner(read: _Input) -> tuple[Equalisation, NDArray[np.int64]]:
    """Scales and splits of an FFN's neurons; none where they gain little."""
    reach = np.maximum(read.high, -read.low)
    unscaled, unsplit = np.ones_like(reach), np.ones(len(reach), np.int64)
    extra = max(1, round(len(reach) * _EXTRA_NEURONS))
    scales = [_scale(reach, read.weights, exponent) for exponent in _EXPONENTS]
    candidates = [(scale, count_splits(scale, read.weights, extra)) for scale in scales]
    errors = [_error(read.rows, read.weights, *one) for one in candidates]
    scale, splits = candidates[int(np.argmin(errors))]
    if _error(read.rows, read.weights, unscaled, unsplit) <= _MIN_GAIN * min(errors):
        scale, splits = unscaled, unsplit
    return Equalisation(np.zeros_like(scale), scale), splits


def _scale(reach: Array, weights: Array, exponent: float) -> Array:
    """[in], with a geometric mean of 1."""
    largest = np.maximum(np.abs(weights).max(1), _LEAST)
    scale = np.maximum(reach, _LEAST) ** exponent / largest ** (1 - exponent)
    return np.asarray(scale / np.exp(np.log(scale).mean()), np.float32)


def count_splits(scale: Array, weights: Array, extra: int) -> NDArray[np.int64]:
    """Into how many neurons [in] each is split, ``extra`` more in all.

    They go one by one to whichever has the largest scaled weights [in, out] then.
    """
    largest = scale * np.abs(weights).max(1)
    splits = np.ones(len(scale), np.int64)
    for _ in range(extra):
        splits[np.argmax(largest / splits)] += 1
    return splits


def _error(values: Array, weights: Array, scale: Array, splits: NDArray[np.int64]) -> float:
    """Squared error of int8 against ``values @ weights``."""
    scaled, absorbed = values / scale, scale[:, None] * weights
    params = QuantParams(range_of(scaled), weight_scales(absorbed, splits), splits)
    int8 = params.input_range.fake_quantise(scaled) @ (params.round_to_nearest(absorbed) * params.scales)
    return float(np.square(int8 - values @ weights).sum())
