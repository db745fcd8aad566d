"""Rounding of weights to int8, each column as a whole: fifth step of ``attar export``.

Rounding every weight to its nearest step leaves the errors of a column to add up as they fall.
Here the inputs are rounded one after the other, and the error of each is made up for by those that
are not yet rounded, as far as the inputs seen at calibration allow (GPTQ, Frantar et al. 2022,
arXiv:2210.17323, section 3). The steps of the columns stay what they are, and so does the speed.
No code is taken that could saturate (``attar.export.saturation``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from attar.export.calibration import Observed
from attar.export.observers import Observers
from attar.export.quant_params import QuantParams
from attar.export.saturation import Bounds
from attar.progress import track

__all__ = ["InputProducts", "round_weights", "rounded_table"]

_DAMPING = 0.01  # of the mean diagonal: keeps channels that were hardly seen from taking all errors
_BLOCK = 64


class InputProducts:
    """What rounding has to know of the inputs X [rows, in] of a matrix.

    Args:
        squares: X^T X, [in, in].

    Attributes:
        order: [in] the channels, the loudest first: they have the most to choose.
        upper: [in, in] in that order, the triangle U with U^T U = (X^T X + damping)^-1.
    """

    def __init__(self, squares: NDArray[np.floating]) -> None:
        self.order = np.argsort(-np.diag(squares), kind="stable")
        self.upper = _upper_of_inverse(squares[np.ix_(self.order, self.order)].astype(np.float64))


def round_weights(
    taps: Observers, grids: Mapping[str, QuantParams], observed: Mapping[str, Observed]
) -> dict[str, QuantParams]:
    """Choose the codes of every linear layer's weights.

    Args:
        taps: Of the equalised fp32 graph.
        grids: By layer name.
        observed: What enters the layers, by tensor.

    Returns:
        The grids with their tables.
    """
    # Shared weights are rounded once, for the inputs of all their uses.
    users: dict[int, list[str]] = {}
    for layer in taps.inputs:
        users.setdefault(id(taps.weights[layer]), []).append(layer)
    products: dict[tuple[str, ...], InputProducts] = {}  # queries, keys and values read one tensor
    found: dict[str, QuantParams] = {}
    for shared in track(list(users.values()), "calibration: rounding weights", unit="matrices"):
        grid = grids[shared[0]]
        tensors = tuple(dict.fromkeys(taps.inputs[layer] for layer in shared))
        if tensors not in products:
            products[tensors] = InputProducts(
                np.sum([_rounded_squares(observed[tensor], grid) for tensor in tensors], 0)
            )
        table = rounded_table(taps.weights[shared[0]], products[tensors], grid)
        found |= {layer: replace(grids[layer], table=table) for layer in shared}
    return found


def _rounded_squares(seen: Observed, grid: QuantParams) -> NDArray[np.float32]:
    """X^T X of the inputs as uint8 holds them: rounding adds step^2 / 12 to each value's square."""
    step = grid.range.scale_and_zero()[0]
    return seen.squares + np.eye(len(seen.squares), dtype=np.float32) * (seen.count * step**2 / 12)


def rounded_table(
    weights: NDArray[np.float32], products: InputProducts, grid: QuantParams
) -> NDArray[np.int32]:
    """Codes [in, out] of a matrix for the inputs that ``products`` tells of.

    Args:
        weights: [in, out].
        products: Of its inputs.
        grid: Its steps and copies.
    """
    order, upper = products.order, products.upper
    bounds = Bounds(grid.places, weights.shape[1])
    left = (weights / grid.steps.astype(np.float64))[order]
    table = np.empty(weights.shape, np.int32)
    for begin in range(0, len(left), _BLOCK):
        end = min(begin + _BLOCK, len(left))
        errors = np.empty((end - begin, left.shape[1]))
        for row in range(begin, end):
            whole = table[order[row]] = bounds.rounded(order[row], left[row])
            error = errors[row - begin] = (left[row] - whole) / upper[row, row]
            left[row + 1 : end] -= np.outer(upper[row, row + 1 : end], error)
        left[end:] -= upper[begin:end, end:].T @ errors
    return table


def _upper_of_inverse(squares: NDArray[np.float64]) -> NDArray[np.floating]:
    """The upper triangle U with U^T U = (squares + damping)^-1."""
    damped = squares + np.eye(len(squares)) * max(_DAMPING * float(np.diag(squares).mean()), 1e-12)
    inverse = np.linalg.inv(damped)
    return np.linalg.cholesky((inverse + inverse.T) / 2).T
