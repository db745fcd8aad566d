"""The int8 form of a checkpoint: equalised, calibrated, rounded, and tuned where that is not enough.

``post_training_quantize`` takes half a minute for a small student. ``train_quantization_aware`` lets the
checkpoint's weights learn the rounding; shifts and grids stay what they are.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np
import onnx
from numpy.typing import NDArray

from attar.export.calibration import Channels, activation_ranges, channel_statistics, layer_errors, observe
from attar.export.equalisation import LayerShifts, Shift, equalise
from attar.export.equalisation_scales import choose_shifts
from attar.export.gptq import round_weights
from attar.export.graph import build_graph
from attar.export.observers import Calibration, Observers
from attar.export.quant_params import ActivationRange, LayerPrecision, QuantParams, weight_steps
from attar.export.weights import (
    ClassifierWeights,
    linear_layers,
    linear_modules,
    query_factor,
    read_weights,
)
from attar.models.checkpoint import Checkpoint
from attar.recipe.load import DistillRecipe
from attar.scoring.session import OnnxModel
from attar.task import Example
from attar.text.buckets import sorted_batches

if TYPE_CHECKING:
    from torch import nn

    from attar.export.qat import RoundedLinear

__all__ = ["QuantizedModel", "TuningData", "post_training_quantize", "train_quantization_aware"]

Array = NDArray[np.float32]

_BATCH = 16
_NEARLY_ALL = 99  # percent; beyond it lie confident examples, whose larger logits move further


@dataclass(frozen=True, slots=True, eq=False)
class QuantizedModel:
    """An int8 classifier.

    Attributes:
        weights: Equalised.
        shifts: What they were equalised with, layer by layer.
        grids: Of every linear layer but the head's, by its name.
        calibration: What all of it was chosen on.
        tie_margin: How near the best two logits are where a second look is due.
    """

    weights: ClassifierWeights
    shifts: Sequence[LayerShifts]
    grids: Mapping[str, QuantParams]
    calibration: Calibration
    tie_margin: float = 0.0

    def graph(self) -> onnx.ModelProto:
        """The int8 graph."""
        return build_graph(self.weights, self.calibration.spec, self.grids, self.tie_margin)

    def with_tie_margin(self) -> QuantizedModel:
        """The form with a margin that nearly all changes of the first look against the second stay below."""
        encodings, pad, spec = self.calibration
        model = OnnxModel(self.graph().SerializeToString(), pad=pad, spec=spec)
        moved = []
        for rows in sorted_batches([len(e.ids) for e in encodings], _BATCH):
            batch = [encodings[i] for i in rows]
            quick, fine = (_gaps(model.run_pass(batch, fine=look)) for look in (False, True))
            moved.append(np.abs(quick - fine))
        return replace(self, tie_margin=float(np.percentile(np.concatenate(moved), _NEARLY_ALL)))

    def with_precision(self, layers: Mapping[str, LayerPrecision]) -> QuantizedModel:
        """The form with some layers computed otherwise; its margin stays what it was."""
        changed = {name: replace(self.grids[name], precision=chosen) for name, chosen in layers.items()}
        return replace(self, grids={**self.grids, **changed})

    @property
    def precision(self) -> Literal["int8", "mixed"]:
        """Of the whole: int8 where every layer is w8a8."""
        return "int8" if all(grid.precision == "w8a8" for grid in self.grids.values()) else "mixed"

    def errors(self) -> dict[str, float]:
        """Each linear layer's relative error, given exact inputs."""
        plain = build_graph(self.weights, self.calibration.spec)
        return layer_errors(Observers(plain, self.calibration), self.grids)


def post_training_quantize(weights: ClassifierWeights, calibration: Calibration) -> QuantizedModel:
    """Quantise a classifier as it is.

    Args:
        weights: As read from the checkpoint.
        calibration: Real encodings, some hundred.
    """
    plain = Observers(build_graph(weights, calibration.spec), calibration)
    seen = channel_statistics(plain)
    shifts = choose_shifts(plain, seen, weights)
    equal = equalise(weights, shifts)
    taps = Observers(build_graph(equal, calibration.spec), calibration)
    observed = observe(taps, _equalised_extremes(taps, plain, seen, shifts))
    ranges = activation_ranges(observed, taps.inputs)
    users: dict[int, list[ActivationRange]] = {}
    for layer, found in ranges.items():
        users.setdefault(id(taps.weights[layer]), []).append(found)
    grids = {}
    for layer, matrix in taps.weights.items():
        lows, highs = zip(*users[id(matrix)], strict=True)  # shared layers share the grid
        copies = _copies(shifts, layer, len(matrix))
        grids[layer] = QuantParams(
            ActivationRange(min(lows), max(highs)), weight_steps(matrix, copies), copies
        )
    return QuantizedModel(equal, shifts, round_weights(taps, grids, observed), calibration).with_tie_margin()


def _equalised_extremes(
    taps: Observers, plain: Observers, seen: Mapping[str, Channels], shifts: Sequence[LayerShifts]
) -> dict[str, tuple[float, float]]:
    """Extremes of the equalised graph's tensors, from those of the graph as it was."""
    found = {}
    for layer, tensor in taps.inputs.items():
        was = seen[plain.inputs[layer]]
        centre, width = _reads(shifts, layer, len(was.low))
        low, high = (was.low - centre) / width, (was.high - centre) / width
        found[tensor] = (float(low.min()), float(high.max()))
    return found


def _gaps(logits: Array) -> Array:
    """[B] the best logit less the second best."""
    best = np.sort(logits, 1)
    return best[:, -1] - best[:, -2]


class TuningData(NamedTuple):
    """What a form is tuned on.

    Attributes:
        train: Examples to learn from.
        dev: Examples to report on.
        settings: Epochs, rate, precision.
        folder: Gets the training's state, so that a killed one goes on.
    """

    train: Sequence[Example]
    dev: Sequence[Example]
    settings: DistillRecipe
    folder: Path


def train_quantization_aware(
    form: QuantizedModel, checkpoint: Checkpoint, data: TuningData
) -> QuantizedModel:
    """Train a copy of the checkpoint's weights for a form's grids; the checkpoint stays what it is."""
    from attar.export.qat import learn_rounded

    student = replace(checkpoint, model=copy.deepcopy(checkpoint.model))
    learn_rounded(student, checkpoint, list(_rounded_layers(form, student)), *data)
    weights = equalise(read_weights(student.model), form.shifts)
    tables: dict[int, NDArray[np.int32]] = {}
    grids = {}
    for name, linear in linear_layers(weights).items():
        grid = replace(form.grids[name], table=None)
        if id(linear) not in tables:
            tables[id(linear)] = grid.codes(linear.weight)
        grids[name] = replace(grid, table=tables[id(linear)])
    return replace(form, weights=weights, grids=grids).with_tie_margin()


def _rounded_layers(form: QuantizedModel, student: Checkpoint) -> Iterator[tuple[nn.Linear, RoundedLinear]]:
    """The student's linear layers and how they are rounded; they start from the form's codes."""
    import torch

    from attar.export.qat import RoundedLinear

    done = set()
    for name, module in linear_modules(student.model).items():
        if id(module) in done:
            continue
        done.add(id(module))
        grid = form.grids[name]
        centre, width = _reads(form.shifts, name, module.in_features)
        steps = grid.steps / _writes(form.shifts, name, student)
        step, zero = grid.range.scale_and_zero()
        parts = (centre, width, np.float32(step), np.float32(zero), steps, grid.reach.astype(np.float32))
        with torch.no_grad():
            assert grid.table is not None, "a chosen form has its codes"
            table = grid.table * steps / width[:, None]
            start = torch.from_numpy(np.ascontiguousarray(table.T, np.float32))
            module.bias.add_((module.weight - start) @ torch.from_numpy(centre))
            module.weight.copy_(start)
        yield module, RoundedLinear(*(torch.tensor(part) for part in parts))


def _copies(shifts: Sequence[LayerShifts], name: str, width: int) -> NDArray[np.int64]:
    """[in] how often each input of a linear layer stands there."""
    if name.endswith(".outer"):
        return shifts[int(name.split(".")[1])].copies
    return np.ones(width, np.int64)


def _reads(shifts: Sequence[LayerShifts], name: str, width: int) -> Shift:
    """How a linear layer's input is written in the equalised classifier."""
    place, _, part = name.partition(".")[2].partition(".")
    match part:
        case "attention.query" | "attention.key" | "attention.value":
            return shifts[int(place)].hidden
        case "attention.out":
            return shifts[int(place)].context
        case "inner":
            return shifts[int(place)].attended
        case "outer":
            return shifts[int(place)].inner
        case _:
            return Shift(np.zeros(width, np.float32), np.ones(width, np.float32))


def _writes(shifts: Sequence[LayerShifts], name: str, student: Checkpoint) -> Array | np.float32:
    """What the equalised classifier multiplies a linear layer's output by."""
    place, _, part = name.partition(".")[2].partition(".")
    match part:
        case "attention.query":
            return query_factor(student.model.config)
        case "attention.value":
            return np.reciprocal(shifts[int(place)].context.width)
        case _ if name == "embeddings.projection":
            return np.reciprocal(shifts[0].hidden.width)
        case _:
            return np.float32(1)
