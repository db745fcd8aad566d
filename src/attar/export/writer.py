"""Writes the nodes and constants of an ONNX graph, linear layers in the chosen precision.

``attar.export.graph`` decides which nodes a classifier has.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from attar.export.quant_params import ActivationRange, QuantParams, quantise_rows
from attar.export.saturation import can_saturate
from attar.export.weights import Activation, Linear, Norm
from attar.scoring.session import HIGH_PRECISION

__all__ = ["LINEAR_SUFFIX", "Writer"]

LINEAR_SUFFIX = ".input"
"""Ends the name of the product of a quantisable linear layer in an fp32 graph."""

_OPSET = 21
_IR_VERSION = 10
_MICROSOFT = "com.microsoft"
_Channels = NDArray[np.int64] | slice  # a channel map, or all of them as they are
_WIDER = 4  # the high-precision pass's range over the calibrated one: nothing is clipped there


def _logits(name: str, num_labels: int) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, ["B", num_labels])


class _Quantised(NamedTuple):  # names of a tensor in uint8, its scale and its zero point
    values: str
    scale: str
    zero_point: str


class _WeightNames(NamedTuple):  # of a linear layer's constants
    weight: str
    scale: str
    bias: str


@dataclass(slots=True)
class Writer:
    """Nodes and constants written so far.

    Attributes:
        params: Of every quantisable linear layer, by its name; None writes fp32.
        high_precision: Whether the high-precision pass is being written.
        count: Nodes written.
        nodes: Of the branch being written.
        constants: By name, shared by all branches.
        shared: Linear layers by identity, with the name of their first use.
        quantised: Tensors that are there in uint8 already.
    """

    params: Mapping[str, QuantParams] | None
    high_precision: bool = False
    count: int = 0
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    constants: dict[str, onnx.TensorProto] = field(default_factory=dict)
    shared: dict[int, tuple[Linear, str]] = field(default_factory=dict)
    quantised: dict[tuple[str, ActivationRange], _Quantised] = field(default_factory=dict)

    def node(
        self,
        kind: str,
        inputs: list[str],
        out: str = "",
        domain: str = "",
        **attributes: Any,  # noqa: ANN401 - ONNX attributes are of any kind
    ) -> str:
        """Add a node and return the name of its output."""
        self.count += 1
        out = out or f"t{self.count}"
        self.nodes.append(helper.make_node(kind, inputs, [out], domain=domain, **attributes))
        return out

    def constant(self, name: str, value: NDArray[np.generic] | np.generic) -> str:
        """Add a constant, once a name."""
        if name not in self.constants:
            self.constants[name] = numpy_helper.from_array(np.asarray(value), name)
        return name

    def norm(self, name: str, source: str, norm: Norm) -> str:
        """A layer norm over the last axis."""
        scale = self.constant(f"{name}.norm.scale", norm.scale)
        bias = self.constant(f"{name}.norm.bias", norm.bias)
        return self.node("LayerNormalization", [source, scale, bias], axis=-1, epsilon=norm.epsilon)

    def scaled(self, name: str, source: str, scale: NDArray[np.float32] | None) -> str:
        """A tensor times a scale of its last axis, if there is one."""
        return source if scale is None else self.node("Mul", [source, self.constant(name, scale)])

    def activation(self, kind: Activation, source: str) -> str:
        """An activation function of every value."""
        match kind:
            case "gelu":
                return self.node("Gelu", [source])
            case "gelu_tanh":
                return self.node("Gelu", [source], approximate="tanh")
            case "relu":
                return self.node("Relu", [source])
            case "tanh":
                return self.node("Tanh", [source])

    def word_embeddings(self, words: NDArray[np.float32]) -> str:
        """Word embeddings [B, T, E]; in int8 with one scale a token."""
        if self.params is None:
            return self.node("Gather", [self.constant("words", words), "input_ids"])
        values, scales = quantise_rows(words)
        rows = self.node("Gather", [self.constant("words", values), "input_ids"])
        row_scales = self.node("Gather", [self.constant("words.scale", scales), "input_ids"])
        return self.node("Mul", [self.node("Cast", [rows], to=TensorProto.FLOAT), row_scales])

    def channels_of(self, name: str) -> _Channels:
        """Original channel of each input of a linear layer in this graph."""
        return slice(None) if self.params is None else self.params[name].channel_map

    def linear(self, name: str, source: str, linear: Linear, outputs: _Channels = slice(None)) -> str:
        """A linear layer in the graph's precision.

        ``outputs`` says which of its outputs to compute, where the layer that reads them splits channels.
        """
        if self.params is None:
            out = self.fp32_linear(name, source, linear)
            self.nodes[-2].name = name + LINEAR_SUFFIX
            return out
        own = self.params[name]
        if own.precision == "fp32":  # with inputs and outputs split as in int8
            weights = self._weight_name(name, linear)
            shares = (linear.weight / own.splits[:, None].astype(np.float32))[own.channel_map][:, outputs]
            product = self.node("MatMul", [source, self.constant(f"{weights}.weight_fp32", shares)])
            return self.node("Add", [product, self.constant(f"{weights}.bias", linear.bias[outputs])])
        first, *rest = self._int8_weights(name, linear, own, outputs)
        if not (self.high_precision or own.precision.endswith("a16")):
            values = self._quantised(name, source, own.input_range)
            parts = []
        else:
            values, residual = self._quantised_twice(name, source, own.input_range)
            parts = [self._product(residual, first._replace(bias=""))]
        # The product of the two residuals is beyond fp32's own accuracy.
        parts += [self._product(values, part) for part in rest]
        out = self._product(values, first)
        for part in parts:
            out = self.node("Add", [out, part])
        return out

    def fp32_linear(self, name: str, source: str, linear: Linear, out: str = "") -> str:
        """A linear layer in fp32."""
        weights = self._weight_name(name, linear)
        product = self.node("MatMul", [source, self.constant(f"{weights}.weight", linear.weight)])
        return self.node("Add", [product, self.constant(f"{weights}.bias", linear.bias)], out)

    def take_branch(self, out: str, num_labels: int) -> onnx.GraphProto:
        """The nodes written since the last branch, as a graph of its own; the constants stay shared."""
        nodes, self.nodes, self.quantised = self.nodes, [], {}
        return helper.make_graph(nodes, out, [], [_logits(out, num_labels)])

    def finish(self, names: list[str], num_labels: int) -> onnx.ModelProto:
        """The whole model, with these inputs."""
        inputs = [helper.make_tensor_value_info(name, TensorProto.INT64, ["B", "T"]) for name in names]
        opsets = [helper.make_opsetid("", _OPSET)]
        if self.params is not None:
            inputs.append(helper.make_tensor_value_info(HIGH_PRECISION, TensorProto.BOOL, []))
            opsets.append(helper.make_opsetid(_MICROSOFT, 1))
        outputs, constants = [_logits("logits", num_labels)], list(self.constants.values())
        graph = helper.make_graph(self.nodes, "classifier", inputs, outputs, constants)
        return helper.make_model(graph, opset_imports=opsets, ir_version=_IR_VERSION, producer_name="attar")

    def _weight_name(self, name: str, linear: Linear) -> str:
        """Name of a linear layer's constants: that of its first use, for layers that share weights."""
        return self.shared.setdefault(id(linear), (linear, name))[1]

    def _int8_weights(
        self, name: str, linear: Linear, params: QuantParams, outputs: _Channels
    ) -> list[_WeightNames]:
        """A layer's weights in one or two int8 constants; the first brings the bias."""
        weights = self._weight_name(name, linear)
        names = [_WeightNames(f"{weights}.weight", f"{weights}.scale", f"{weights}.bias")]
        if params.precision.startswith("w16"):
            names.append(_WeightNames(f"{weights}.weight_rest", f"{weights}.scale_rest", ""))
        if not {part.weight for part in names} <= self.constants.keys():
            for found, part in zip(params.int8_weights(linear.weight), names, strict=True):
                assert not can_saturate(found.values), name
                self.constant(part.weight, found.values[:, outputs])
                self.constant(part.scale, found.scales[outputs])
        self.constant(f"{weights}.bias", linear.bias[outputs])
        return names

    def _product(self, values: _Quantised, by: _WeightNames) -> str:
        """uint8 values times int8 weights, in fp32, plus the bias if it has a name."""
        inputs = [values.values, by.weight, values.scale, by.scale, values.zero_point, "", by.bias]
        return self.node("MatMulIntegerToFloat", inputs[: 7 if by.bias else 5], domain=_MICROSOFT)

    def _quantised(self, name: str, source: str, wanted: ActivationRange) -> _Quantised:
        """A tensor in uint8, quantised once for all that read it."""
        if (source, wanted) not in self.quantised:
            scale, zero_point = wanted.scale_and_zero_point()
            names = self.constant(f"{name}.step", scale), self.constant(f"{name}.zero", zero_point)
            values = self.node("QuantizeLinear", [source, *names])
            self.quantised[source, wanted] = _Quantised(values, *names)
        return self.quantised[source, wanted]

    def _quantised_twice(
        self, name: str, source: str, wanted: ActivationRange
    ) -> tuple[_Quantised, _Quantised]:
        """A tensor as the sum of two uint8 tensors: one over a wide range, and its residual."""
        low, high = wanted
        wide = ActivationRange(_WIDER * low, _WIDER * high)
        coarse = self._quantised(f"{name}.wide", source, wide)
        zero_point = self.node("Cast", [coarse.zero_point], to=TensorProto.FLOAT)
        whole = self.node("Sub", [self.node("Cast", [coarse.values], to=TensorProto.FLOAT), zero_point])
        residual = self.node("Sub", [source, self.node("Mul", [whole, coarse.scale])])
        half = float(wide.scale_and_zero_point()[0]) / 2
        return coarse, self._quantised(f"{name}.rest", residual, ActivationRange(-half, half))
