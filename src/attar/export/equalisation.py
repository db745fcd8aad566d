"""Equalisation: the same classifier, written so that int8 rounds it less.

A linear layer's input has a few channels with large values or large means, and one uint8 grid over
all channels is too coarse for the others. So channel c is written as x_c = centre_c + width_c x'_c,
and x' is what the grid sees. Nothing is left to compute for it: whatever makes x makes x' instead
(the norm's scale and bias, the value's weights), whatever reads it takes width and centre into its
weights and bias, and what adds it multiplies by width once. In fp32 the answers are equal but for
rounding. After SmoothQuant (Xiao et al. 2023, arXiv:2211.10438, section 4) and Outlier
Suppression+ (Wei et al. 2023, arXiv:2304.09145, section 3.1).

No weight can scale the output of a GELU: its channels are multiplied where they leave it. A neuron
that is loud in one token and has large weights besides (at the [CLS] or [SEP] that attention rests
on) stands there several times and shares its weights among its copies, so that it does not decide
the step of every column (outlier channel splitting, Zhao et al. 2019, arXiv:1901.09504, section 3).
The int8 graph alone holds the copies.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from attar.export.weights import ClassifierWeights, LayerWeights, Linear, Norm

__all__ = ["LayerShifts", "Shift", "equalise"]

Array = NDArray[np.float32]


class Shift(NamedTuple):
    """How a linear layer's input x is written: x = centre + width * x', both [in]."""

    centre: Array
    width: Array


class LayerShifts(NamedTuple):
    """The shifts of one layer's inputs.

    Attributes:
        hidden: Queries, keys and values read it.
        context: The attention's output layer reads it.
        attended: The FFN's first layer reads it.
        inner: The FFN's second layer reads it; its centre is 0.
        copies: [F] how often each neuron stands in the FFN, at least once.
    """

    hidden: Shift
    context: Shift
    attended: Shift
    inner: Shift
    copies: NDArray[np.int64]


def equalise(weights: ClassifierWeights, shifts: Sequence[LayerShifts]) -> ClassifierWeights:
    """Rewrite a classifier; its answers stay the same but for rounding.

    Args:
        weights: As read from the model.
        shifts: Of each layer, first to last. Shared layers have equal ones, and where any layer is
            shared, ``hidden`` is the same for all.
    """
    shared = len({id(layer) for layer in weights.layers}) < len(weights.layers)
    made: dict[int, LayerWeights] = {}
    for index, (layer, own) in enumerate(zip(weights.layers, shifts, strict=True)):
        if id(layer) not in made:
            last = index + 1 == len(shifts)
            following = own.hidden if shared else None if last else shifts[index + 1].hidden
            made[id(layer)] = _layer(layer, own, following)
    first = shifts[0].hidden
    projection = weights.projection
    return replace(
        weights,
        embedding_norm=weights.embedding_norm if projection else _normed(weights.embedding_norm, first),
        projection=_writing(projection, first) if projection else None,
        layers=[made[id(layer)] for layer in weights.layers],
        pooler=_reading(weights.pooler, first) if shared else weights.pooler,
    )


def _layer(layer: LayerWeights, own: LayerShifts, following: Shift | None) -> LayerWeights:
    value = _writing(_reading(layer.value, own.hidden), own.context)
    return LayerWeights(
        query=_reading(layer.query, own.hidden),
        key=_reading(layer.key, own.hidden),
        value=value,
        attention_out=_adding(_reading(layer.attention_out, own.context), own.hidden),
        attention_norm=_normed(layer.attention_norm, own.attended),
        inner=_reading(layer.inner, own.attended),
        outer=_adding(_reading(layer.outer, own.inner), own.attended),
        out_norm=layer.out_norm if following is None else _normed(layer.out_norm, following),
        hidden_factors=own.hidden.width,
        attended_factors=own.attended.width,
        inner_factors=None if (own.inner.width == 1).all() else np.reciprocal(own.inner.width),
    )


def _reading(linear: Linear, shift: Shift) -> Linear:
    """A layer that reads x' instead of x."""
    return Linear(shift.width[:, None] * linear.weight, linear.bias + shift.centre @ linear.weight)


def _writing(linear: Linear, shift: Shift) -> Linear:
    """A layer that writes x' instead of x."""
    return Linear(linear.weight / shift.width, (linear.bias - shift.centre) / shift.width)


def _normed(norm: Norm, shift: Shift) -> Norm:
    """A norm that writes x' instead of x."""
    return Norm(norm.scale / shift.width, (norm.bias - shift.centre) / shift.width, norm.epsilon)


def _adding(linear: Linear, shift: Shift) -> Linear:
    """A layer to whose output width * x' is added where it was x."""
    return Linear(linear.weight, linear.bias + shift.centre)
