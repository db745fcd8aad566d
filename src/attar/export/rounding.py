"""Rounding of weights to int8, each column as a whole: fifth step of ``attar export``.

Rounding every weight to its nearest step leaves the errors of a column to add up as they fall.
Here the inputs are rounded one after the other, and the error of each is made up for by those that
are not yet rounded, as far as the inputs seen at calibration allow (GPTQ, Frantar et al. 2022,
arXiv:2210.17323, section 3). The steps of the columns stay what they are, and so does the speed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from attar.export.grids import LayerGrid
from attar.export.taps import Taps

__all__ = ["round_weights", "rounded_table"]

_DAMPING = 0.01  # of the mean diagonal: keeps channels that were hardly seen from taking all errors
_BLOCK = 64


def round_weights(taps: Taps, grids: Mapping[str, LayerGrid]) -> dict[str, LayerGrid]:
    """Choose the codes of every linear layer's weights.

    Args:
        taps: Of the equalised fp32 graph.
        grids: By layer name.

    Returns:
        The grids with their tables.
    """
    layers = {tensor: layer for layer, tensor in taps.inputs.items()}
    squares: dict[str, NDArray[np.float32]] = {}
    for tensor, values in taps.values():
        rounded = grids[layers[tensor]].range.rounded(values)
        squares[tensor] = squares.get(tensor, np.float32(0)) + rounded.T @ rounded
    # Shared weights are rounded once, for the inputs of all their uses.
    users: dict[int, list[str]] = {}
    for layer in taps.inputs:
        users.setdefault(id(taps.weights[layer]), []).append(layer)
    found: dict[str, LayerGrid] = {}
    for shared in users.values():
        total = np.sum([squares[taps.inputs[layer]] for layer in shared], 0)
        table = rounded_table(taps.weights[shared[0]], total, grids[shared[0]])
        found |= {layer: replace(grids[layer], table=table) for layer in shared}
    return found


def rounded_table(
    weights: NDArray[np.float32], squares: NDArray[np.float32], grid: LayerGrid
) -> NDArray[np.int32]:
    """Codes [in, out] of a matrix for inputs X.

    Args:
        weights: [in, out].
        squares: X^T X, [in, in].
        grid: Its steps and reach.
    """
    order = np.argsort(-np.diag(squares), kind="stable")  # the loudest inputs have the most to choose
    left = (weights / grid.steps.astype(np.float64))[order]
    reach = grid.reach[order]
    upper = _upper_of_inverse(squares[np.ix_(order, order)].astype(np.float64))
    table = np.empty(weights.shape, np.int32)
    for begin in range(0, len(left), _BLOCK):
        end = min(begin + _BLOCK, len(left))
        errors = np.empty((end - begin, left.shape[1]))
        for row in range(begin, end):
            whole = np.clip(np.rint(left[row]), -reach[row], reach[row])
            table[order[row]] = whole
            error = errors[row - begin] = (left[row] - whole) / upper[row, row]
            left[row + 1 : end] -= np.outer(upper[row, row + 1 : end], error)
        left[end:] -= upper[begin:end, end:].T @ errors
    return table


def _upper_of_inverse(squares: NDArray[np.float64]) -> NDArray[np.floating]:
    """The upper triangle U with U^T U = (squares + damping)^-1."""
    damped = squares + np.eye(len(squares)) * max(_DAMPING * float(np.diag(squares).mean()), 1e-12)
    inverse = np.linalg.inv(damped)
    return np.linalg.cholesky((inverse + inverse.T) / 2).T
