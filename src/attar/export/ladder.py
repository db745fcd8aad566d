"""Where plain int8 is not enough: finer arithmetic, layer by layer, where it buys most.

Each matrix of a classifier may have finer weights (two int8 parts) or finer inputs (two uint8 parts).
What each of them alone takes off the error of the logits is measured, in both passes, and divided by the
products that it costs; then the best one is taken, the best two, four, and so on, until the gates are passed.
After the last of these the rungs are fp32 for the half of the matrices that matter most, and for all.
Whole fp32, where the word table is fp32 too, is the caller's.
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
from attar.export.weights import linear_layers
from attar.progress import track
from attar.scoring.session import OnnxModel
from attar.text.encoding import Encoding

__all__ = ["Rung", "num_products", "rungs"]

_MEASURED = 128  # encodings that the order of the layers is measured on

_PRODUCTS: dict[LayerPrecision, int] = {"w8a8": 1, "w16a8": 2, "w8a16": 2, "w16a16": 3, "fp32": 4}
"""Work of a matrix in int8 products; fp32's is that of four where there is VNNI, of two elsewhere."""


class _Upgrade(NamedTuple):
    """One finer part of a matrix; ``layers`` are its uses."""

    layers: tuple[str, ...]
    part: Literal["weights", "inputs"]
    worth: float
    """What it takes off each pass' mean squared error of the logits, as shares of it, a product more."""


class Rung(NamedTuple):
    """One step of the ladder: what it is called, and the form."""

    name: str
    form: QuantizedModel


def rungs(form: QuantizedModel, exact: NDArray[np.float32], encodings: Sequence[Encoding]) -> Iterator[Rung]:
    """Finer forms, each closer to the checkpoint than the one before, and slower.

    Args:
        form: Where the ladder stands: every layer w8a8.
        exact: [N, C] logits of the checkpoint.
        encodings: N of them.
    """
    upgrades = _ranked(form, exact[:_MEASURED], encodings[:_MEASURED])
    count, taken = 1, 0
    while taken < len(upgrades):
        taken = min(count, len(upgrades))
        chosen = _together(upgrades[:taken])
        yield Rung(f"finer parts: {taken} of {len(upgrades)}", form.with_precision(chosen).with_tie_margin())
        count *= 2
    matrices = list(dict.fromkeys(upgrade.layers for upgrade in upgrades))
    finest = _together(upgrades)
    for number in (len(matrices) // 2, len(matrices)):
        fp32: dict[str, LayerPrecision] = {name: "fp32" for uses in matrices[:number] for name in uses}
        yield Rung(
            f"fp32 matrices: {number} of {len(matrices)}",
            form.with_precision(finest | fp32).with_tie_margin(),
        )


def num_products(form: QuantizedModel) -> float:
    """Work of a form's matrices, in that of plain int8; for each token, as if all were read."""
    sizes = {name: linear.weight.size for name, linear in linear_layers(form.weights).items()}
    work = sum(size * _PRODUCTS[form.grids[name].precision] for name, size in sizes.items())
    return work / sum(sizes.values())


def _together(upgrades: Sequence[_Upgrade]) -> dict[str, LayerPrecision]:
    parts: dict[str, set[str]] = {}
    for upgrade in upgrades:
        for name in upgrade.layers:
            parts.setdefault(name, set()).add(upgrade.part)
    return {name: _precision(found) for name, found in parts.items()}


def _precision(parts: set[str]) -> LayerPrecision:
    if len(parts) == 2:
        return "w16a16"
    return "w16a8" if "weights" in parts else "w8a16"


def _ranked(
    form: QuantizedModel, exact: NDArray[np.float32], encodings: Sequence[Encoding]
) -> list[_Upgrade]:
    """Every finer part that could be taken, the one that buys most first."""
    matrices = linear_layers(form.weights)
    uses: dict[int, list[str]] = {}
    for name, linear in matrices.items():
        uses.setdefault(id(linear), []).append(name)
    total = sum(linear.weight.size for linear in matrices.values())
    _, pad, spec = form.calibration

    def errors(one: QuantizedModel) -> NDArray[np.float64]:
        # The first pass answers most examples; the other one decides near ties, and with them most flips.
        model = OnnxModel(one.graph().SerializeToString(), pad=pad, spec=spec)
        passes = (partial(model.run_pass, fine=fine) for fine in (False, True))
        return np.array([np.square(batched_logits(run, encodings) - exact).mean() for run in passes])

    plain, found = errors(form), []
    parts: list[Literal["weights", "inputs"]] = ["weights", "inputs"]
    tries = [(tuple(names), part) for names in uses.values() for part in parts]
    for names, part in track(tries, "precision: what each matrix costs", unit="measurements"):
        finer = form.with_precision({name: _precision({part}) for name in names})
        share = sum(matrices[name].weight.size for name in names) / total
        gained = (plain - errors(finer)) / np.maximum(plain, np.finfo(np.float32).tiny)
        found.append(_Upgrade(names, part, float(gained.sum()) / share))
    return sorted(found, key=lambda upgrade: -upgrade.worth)
