"""Mixed precision: where plain int8 is not enough, some matrices get 16 bits, or fp32.

Each matrix of a classifier may have 16-bit weights (a sum of two int8 tensors) or 16-bit inputs (a sum of
two uint8 tensors). How much each of these upgrades alone lowers the error of the logits, in both passes,
is measured and divided by the products that it costs; the candidates then take the best upgrade, the
best two, four, and so on. After all of them come fp32 for the half of the matrices that matter most,
and for all matrices. Whole fp32, where the word embeddings are fp32 too, is the caller's.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from attar.export.parity import batched_logits
from attar.export.quant_params import LayerPrecision
from attar.export.quantisation import QuantizedModel
from attar.export.weights import group_shared, linear_layers
from attar.progress import track
from attar.text.encoding import Encoding

__all__ = ["mixed_precision_candidates", "relative_cost"]

_MEASURED = 128  # encodings that the upgrades are ranked on

_PRODUCTS: dict[LayerPrecision, int] = {"w8a8": 1, "w16a8": 2, "w8a16": 2, "w16a16": 3, "fp32": 4}
"""Cost of a matrix in int8 products; fp32's is that of four where there is VNNI, of two elsewhere."""

_PRECISIONS: dict[frozenset[str], LayerPrecision] = {
    frozenset({"weights"}): "w16a8",
    frozenset({"inputs"}): "w8a16",
    frozenset({"weights", "inputs"}): "w16a16",
}


class _Upgrade(NamedTuple):
    """16 bits for one matrix's weights or inputs; ``layers`` are its uses."""

    layers: tuple[str, ...]
    part: Literal["weights", "inputs"]
    gain: float
    """The share of each pass's mean squared error of the logits that it removes, per product that it adds."""


def mixed_precision_candidates(
    model: QuantizedModel, exact: NDArray[np.float32], encodings: Sequence[Encoding]
) -> Iterator[tuple[str, QuantizedModel]]:
    """Named models that are each closer to the checkpoint than the one before, and slower.

    They start from a model whose layers are all w8a8; ``exact`` are the checkpoint's logits [N, C] of
    the encodings.
    """
    upgrades = _ranked_upgrades(model, exact[:_MEASURED], encodings[:_MEASURED])
    count, taken = 1, 0
    while taken < len(upgrades):
        taken = min(count, len(upgrades))
        chosen = _precisions(upgrades[:taken])
        yield f"16-bit parts: {taken} of {len(upgrades)}", model.with_precision(chosen).with_margin()
        count *= 2
    matrices = list(dict.fromkeys(upgrade.layers for upgrade in upgrades))
    finest = _precisions(upgrades)
    for number in (len(matrices) // 2, len(matrices)):
        fp32: dict[str, LayerPrecision] = {name: "fp32" for uses in matrices[:number] for name in uses}
        made = model.with_precision(finest | fp32).with_margin()
        yield f"fp32 matrices: {number} of {len(matrices)}", made


def relative_cost(model: QuantizedModel) -> float:
    """Products of all matrices for one token, relative to plain int8's."""
    sizes = {name: linear.weight.size for name, linear in linear_layers(model.weights).items()}
    products = sum(size * _PRODUCTS[model.params[name].precision] for name, size in sizes.items())
    return products / sum(sizes.values())


def _precisions(upgrades: Sequence[_Upgrade]) -> dict[str, LayerPrecision]:
    parts: dict[str, set[str]] = {}
    for upgrade in upgrades:
        for name in upgrade.layers:
            parts.setdefault(name, set()).add(upgrade.part)
    return {name: _PRECISIONS[frozenset(found)] for name, found in parts.items()}


def _ranked_upgrades(
    model: QuantizedModel, exact: NDArray[np.float32], encodings: Sequence[Encoding]
) -> list[_Upgrade]:
    """Every possible upgrade, the one with the largest gain first."""
    matrices = linear_layers(model.weights)
    total = sum(linear.weight.size for linear in matrices.values())

    def errors(one: QuantizedModel) -> NDArray[np.float64]:
        # The first pass decides most labels; the other one low-margin rows, and with them most flips.
        session = one.session()
        passes = (partial(session.run_pass, high_precision=high) for high in (False, True))
        return np.array([np.square(batched_logits(run, encodings) - exact).mean() for run in passes])

    before, found = errors(model), []
    parts: list[Literal["weights", "inputs"]] = ["weights", "inputs"]
    upgrades = [(tuple(names), part) for names in group_shared(matrices) for part in parts]
    for names, part in track(upgrades, "precision: what each matrix costs", unit="measurements"):
        upgraded = model.with_precision({name: _PRECISIONS[frozenset({part})] for name in names})
        share = sum(matrices[name].weight.size for name in names) / total
        removed = (before - errors(upgraded)) / np.maximum(before, np.finfo(np.float32).tiny)
        found.append(_Upgrade(names, part, float(removed.sum()) / share))
    return sorted(found, key=lambda upgrade: -upgrade.gain)
