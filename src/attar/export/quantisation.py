"""The int8 model of a checkpoint: by post-training quantisation, and by QAT where that is not enough.

``post_training_quantize`` (observers, equalisation, ranges, GPTQ) takes half a minute for a small student.
``train_quantization_aware`` trains the checkpoint's weights; equalisation, ranges and scales stay.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import onnx
from numpy.typing import NDArray

from attar.export.calibration import (
    ChannelStatistics,
    activation_ranges,
    channel_statistics,
    layer_errors,
    tensor_statistics,
)
from attar.export.equalisation import Equalisation, LayerEqualisation, choose_equalisation, equalise
from attar.export.gptq import quantise_weights
from attar.export.graph import build_graph
from attar.export.observers import Calibration, Observers
from attar.export.parity import batched_logits
from attar.export.quant_params import ActivationRange, LayerPrecision, QuantParams, weight_scales
from attar.export.weights import (
    ClassifierWeights,
    group_shared,
    linear_layers,
    linear_modules,
    query_factor,
    read_weights,
)
from attar.models.checkpoint import Checkpoint
from attar.recipe.load import DistillRecipe, ExportRecipe
from attar.scoring.session import OnnxModel, margins
from attar.task import Example

if TYPE_CHECKING:
    from torch import nn

    from attar.export.qat import FakeQuantLinear

__all__ = ["QuantizedModel", "post_training_quantize", "qat_settings", "train_quantization_aware"]

Array = NDArray[np.float32]

_MARGIN_PERCENTILE = 99  # beyond lie confident examples, whose larger logits change more


@dataclass(frozen=True, slots=True, eq=False)
class QuantizedModel:
    """A quantised classifier.

    Attributes:
        weights: Equalised, in fp32.
        equalisation: What they were equalised with, layer by layer.
        params: Of every linear layer but the head's, by its name.
        calibration: The data that all of it was chosen on.
        margin: Rows whose two largest logits are closer are computed in the high-precision pass.
    """

    weights: ClassifierWeights
    equalisation: Sequence[LayerEqualisation]
    params: Mapping[str, QuantParams]
    calibration: Calibration
    margin: float = 0.0

    def graph(self) -> onnx.ModelProto:
        """The int8 graph."""
        return build_graph(self.weights, self.calibration.spec, self.params, self.margin)

    def session(self) -> OnnxModel:
        """The int8 graph, opened."""
        _, pad, spec = self.calibration
        return OnnxModel(self.graph().SerializeToString(), pad=pad, spec=spec)

    def with_margin(self) -> QuantizedModel:
        """The same model with the margin below which nearly all differences of the two passes stay."""
        run_pass = self.session().run_pass
        passes = (partial(run_pass, high_precision=high) for high in (False, True))
        first, second = (margins(batched_logits(run, self.calibration.encodings)) for run in passes)
        return replace(self, margin=float(np.percentile(np.abs(first - second), _MARGIN_PERCENTILE)))

    def with_precision(self, layers: Mapping[str, LayerPrecision]) -> QuantizedModel:
        """The same model with other precisions of some layers; its margin stays what it was."""
        changed = {name: replace(self.params[name], precision=chosen) for name, chosen in layers.items()}
        return replace(self, params={**self.params, **changed})

    @property
    def precision(self) -> Literal["int8", "mixed"]:
        """Of the whole: int8 where every layer is w8a8."""
        return "int8" if all(own.precision == "w8a8" for own in self.params.values()) else "mixed"

    def layer_errors(self) -> dict[str, float]:
        """Each linear layer's relative error, given exact inputs."""
        fp32 = build_graph(self.weights, self.calibration.spec)
        return layer_errors(Observers(fp32, self.calibration), self.params)


def post_training_quantize(weights: ClassifierWeights, calibration: Calibration) -> QuantizedModel:
    """Quantise a classifier without training, on some hundred real encodings."""
    before = Observers(build_graph(weights, calibration.spec), calibration)
    channels = channel_statistics(before)
    equalisation = choose_equalisation(before, channels, weights)
    equalised = equalise(weights, equalisation)
    observers = Observers(build_graph(equalised, calibration.spec), calibration)
    extremes = _equalised_extremes(observers, before, channels, equalisation)
    statistics = tensor_statistics(observers, extremes)
    ranges = activation_ranges(statistics, observers.inputs)
    params = {}
    for layers in group_shared(observers.weights):  # which share their quantisation too
        matrix = observers.weights[layers[0]]
        lows, highs = zip(*(ranges[layer] for layer in layers), strict=True)
        shared = ActivationRange(min(lows), max(highs))
        for layer in layers:
            splits = np.ones(len(matrix), np.int64)
            if layer.endswith(".outer"):
                splits = equalisation[int(layer.split(".")[1])].splits
            params[layer] = QuantParams(shared, weight_scales(matrix, splits), splits)
    quantised = quantise_weights(observers, params, statistics)
    return QuantizedModel(equalised, equalisation, quantised, calibration).with_margin()


def _equalised_extremes(
    observers: Observers,
    before: Observers,
    channels: Mapping[str, ChannelStatistics],
    equalisation: Sequence[LayerEqualisation],
) -> dict[str, tuple[float, float]]:
    """Extremes of the equalised graph's tensors, from those of the graph before."""
    found = {}
    for layer, tensor in observers.inputs.items():
        was = channels[before.inputs[layer]]
        shift, scale = _input_equalisation(equalisation, layer, len(was.low))
        lowest, highest = ((was.low - shift) / scale).min(), ((was.high - shift) / scale).max()
        found[tensor] = (float(lowest), float(highest))
    return found


def qat_settings(recipe: ExportRecipe) -> DistillRecipe:
    """The training loop's settings for quantisation-aware training."""
    return DistillRecipe(
        epochs=recipe.qat_epochs,
        learning_rate=recipe.qat_learning_rate,
        weight_decay=0,
        keep="last",
        precision="fp32",
        head_init="random",
    )


def train_quantization_aware(
    model: QuantizedModel,
    checkpoint: Checkpoint,
    train: Sequence[Example],
    dev: Sequence[Example],
    settings: DistillRecipe,
    folder: Path,
) -> QuantizedModel:
    """Train a copy of the checkpoint's weights under a model's quantisation.

    The arguments are those of ``attar.export.qat.train_fake_quantised``.
    """
    from attar.export.qat import train_fake_quantised

    student = replace(checkpoint, model=copy.deepcopy(checkpoint.model))
    simulated = list(fake_quant_layers(model, student))
    train_fake_quantised(student, checkpoint, simulated, train, dev, settings, folder)
    weights = equalise(read_weights(student.model), model.equalisation)
    linears = linear_layers(weights)
    params: dict[str, QuantParams] = {}
    for layers in group_shared(linears):
        own = replace(model.params[layers[0]], quantised=None)
        quantised = own.quantise(linears[layers[0]].weight)
        params |= {name: replace(model.params[name], quantised=quantised) for name in layers}
    return replace(model, weights=weights, params=params).with_margin()


def fake_quant_layers(
    model: QuantizedModel, student: Checkpoint
) -> Iterator[tuple[nn.Linear, FakeQuantLinear]]:
    """A checkpoint's linear layers, each with its simulation; they start from the quantised weights."""
    import torch

    from attar.export.qat import FakeQuantLinear

    modules = linear_modules(student.model)
    for name, *_ in group_shared(modules):
        module, own = modules[name], model.params[name]
        shift, scale = _input_equalisation(model.equalisation, name, module.in_features)
        scales = own.scales / _output_factor(model.equalisation, name, student)
        input_scale, zero_point = own.input_range.scale_and_zero_point()
        with torch.no_grad():
            assert own.quantised is not None, "a quantised model has its weights"
            dequantised = own.quantised * scales / scale[:, None]
            start = torch.from_numpy(np.ascontiguousarray(dequantised.T, np.float32))
            module.bias.add_((module.weight - start) @ torch.from_numpy(shift))
            module.weight.copy_(start)
        inputs = shift, scale, np.float32(input_scale), np.float32(zero_point)
        parts = (*inputs, scales, own.limits.astype(np.float32))
        yield module, FakeQuantLinear(*(torch.tensor(part) for part in parts))


def _input_equalisation(equalisation: Sequence[LayerEqualisation], name: str, width: int) -> Equalisation:
    """How a linear layer's input is rewritten in the equalised classifier."""
    match name.split(".", 2):
        case _, index, "attention.query" | "attention.key" | "attention.value":
            return equalisation[int(index)].hidden
        case _, index, "attention.out":
            return equalisation[int(index)].context
        case _, index, "inner":
            return equalisation[int(index)].attended
        case _, index, "outer":
            return equalisation[int(index)].inner
    return Equalisation(np.zeros(width, np.float32), np.ones(width, np.float32))


def _output_factor(
    equalisation: Sequence[LayerEqualisation], name: str, student: Checkpoint
) -> Array | np.float32:
    """What the equalised classifier multiplies a linear layer's output by."""
    match name.split(".", 2):
        case _, _, "attention.query":
            return query_factor(student.model.config)
        case _, index, "attention.value":
            return np.reciprocal(equalisation[int(index)].context.scale)
        case ["embeddings", "projection"]:
            return np.reciprocal(equalisation[0].hidden.scale)
    return np.float32(1)
