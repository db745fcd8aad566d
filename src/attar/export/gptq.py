"""GPTQ: the weights of a linear layer are quantised together (Frantar et al. 2022, arXiv:2210.17323).

Rounding each weight to its nearest value lets the errors of an output add up as they fall. GPTQ
(section 3) quantises one input channel after another and corrects the channels that are still to come
for each error, as far as the calibration data allows. The scales stay as they are, and so does the
speed. No weight is chosen that could saturate (``attar.export.saturation``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from attar.export.calibration import TensorStatistics
from attar.export.observers import Observers
from attar.export.quant_params import QuantParams
from attar.export.saturation import PairBounds
from attar.export.weights import group_shared
from attar.progress import track

__all__ = ["InverseHessian", "gptq", "quantise_weights"]

_DAMPING = 0.01  # of the mean diagonal: keeps channels that were hardly seen from absorbing all errors
_BLOCK = 64


class InverseHessian:
    """What GPTQ needs of a layer's inputs X [rows, in].

    Args:
        gram: X^T X, [in, in]; the Hessian of the layer's squared error but for a factor.

    Attributes:
        order: [in] the channels, the largest first: they have the most to correct.
        upper: [in, in] in that order, the triangle U with U^T U = (X^T X + damping)^-1.
    """

    def __init__(self, gram: NDArray[np.floating]) -> None:
        self.order = np.argsort(-np.diag(gram), kind="stable")
        ordered = gram[np.ix_(self.order, self.order)].astype(np.float64)
        damping = max(_DAMPING * float(np.diag(ordered).mean()), 1e-12)
        inverse = np.linalg.inv(ordered + np.eye(len(ordered)) * damping)
        self.upper = np.linalg.cholesky((inverse + inverse.T) / 2).T


def quantise_weights(
    observers: Observers, params: Mapping[str, QuantParams], statistics: Mapping[str, TensorStatistics]
) -> dict[str, QuantParams]:
    """Add quantised weights to every linear layer's ``params``; ``statistics`` are by its input's tensor."""
    inverses: dict[tuple[str, ...], InverseHessian] = {}  # queries, keys and values read one tensor
    found: dict[str, QuantParams] = {}
    # Shared weights are quantised once, for the inputs of all their uses.
    for layers in track(group_shared(observers.weights), "calibration: GPTQ", unit="matrices"):
        own = params[layers[0]]
        tensors = tuple(dict.fromkeys(observers.inputs[layer] for layer in layers))
        if tensors not in inverses:
            grams = [_quantised_gram(statistics[tensor], own) for tensor in tensors]
            inverses[tensors] = InverseHessian(np.sum(grams, 0))
        quantised = gptq(observers.weights[layers[0]], inverses[tensors], own)
        found |= {layer: replace(params[layer], quantised=quantised) for layer in layers}
    return found


def _quantised_gram(seen: TensorStatistics, params: QuantParams) -> NDArray[np.float32]:
    """X^T X of the quantised inputs: rounding adds scale^2 / 12 to each value's square."""
    scale = params.input_range.scale_and_zero_point()[0]
    return seen.gram + np.eye(len(seen.gram), dtype=np.float32) * (seen.count * scale**2 / 12)


def gptq(weights: NDArray[np.float32], inverse: InverseHessian, params: QuantParams) -> NDArray[np.int32]:
    """Quantise one matrix [in, out], before splitting."""
    order, upper = inverse.order, inverse.upper
    bounds = PairBounds(params.channel_map, weights.shape[1])
    left = (weights / params.scales.astype(np.float64))[order]
    quantised = np.empty(weights.shape, np.int32)
    for begin in range(0, len(left), _BLOCK):
        end = min(begin + _BLOCK, len(left))
        errors = np.empty((end - begin, left.shape[1]))
        for row in range(begin, end):
            chosen = quantised[order[row]] = bounds.quantise(order[row], left[row])
            error = errors[row - begin] = (left[row] - chosen) / upper[row, row]
            left[row + 1 : end] -= np.outer(upper[row, row + 1 : end], error)
        left[end:] -= upper[begin:end, end:].T @ errors
    return quantised
