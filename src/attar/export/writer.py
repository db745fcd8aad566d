"""The nodes and constants of an ONNX graph as they are written, linear layers in the chosen precision.

``attar.export.graph`` says what is written; here is how.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from attar.export.quant_params import ActivationRange, QuantParams, symmetric_int8
from attar.export.saturation import can_saturate
from attar.export.weights import Activation, Linear, Norm
from attar.scoring.session import FINE

__all__ = ["INPUT_SUFFIX", "Writer"]

INPUT_SUFFIX = ".input"
"""Ends the name of the node that a quantisable linear layer of an fp32 graph reads its input with."""

_OPSET = 21
_IR_VERSION = 10
_MICROSOFT = "com.microsoft"
_Places = NDArray[np.int64] | slice
_WIDER = 4  # the second look's range over the calibrated one: nothing is clipped there


def _logits(name: str, num_labels: int) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, ["B", num_labels])


class _Quantised(NamedTuple):
    """Names of a tensor's uint8 form."""

    codes: str
    step: str
    zero: str


class _Int8Weights(NamedTuple):
    """Names of a linear layer's constants."""

    weight: str
    scale: str
    bias: str


@dataclass(slots=True)
class Writer:
    """Nodes and constants as they are written; a linear layer in the chosen precision."""

    grids: Mapping[str, QuantParams] | None
    fine: bool = False
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

    def times(self, name: str, source: str, factors: NDArray[np.float32] | None) -> str:
        """A tensor times factors of its last axis, if there are any."""
        return source if factors is None else self.node("Mul", [source, self.constant(name, factors)])

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

    def word_rows(self, words: NDArray[np.float32]) -> str:
        """Rows of the word table [B, T, E]; in int8 with one scale a token."""
        if self.grids is None:
            return self.node("Gather", [self.constant("words", words), "input_ids"])
        table, scale = symmetric_int8(words)
        rows = self.node("Gather", [self.constant("words", table), "input_ids"])
        scales = self.node("Gather", [self.constant("words.scale", scale), "input_ids"])
        return self.node("Mul", [self.node("Cast", [rows], to=TensorProto.FLOAT), scales])

    def linear(self, name: str, source: str, linear: Linear, copied: QuantParams | None = None) -> str:
        """A linear layer in the graph's precision; ``copied`` says how often each output stands there."""
        if self.grids is None:
            out = self.plain_linear(name, source, linear)
            self.nodes[-2].name = name + INPUT_SUFFIX
            return out
        grid = self.grids[name]
        places = slice(None) if copied is None else copied.places
        if grid.precision == "fp32":
            return self._placed_linear(name, source, linear, grid, places)
        first, *rest = self._int8_weights(name, linear, grid, places)
        if not (self.fine or grid.precision.endswith("a16")):
            values = self._quantised(name, source, grid.range)
            parts = []
        else:
            values, fraction = self._quantised_twice(name, source, grid.range)
            parts = [self._product(fraction, first._replace(bias=""))]
        # What the fraction of the input and the rest of the weights give is beyond fp32's own accuracy.
        parts += [self._product(values, part) for part in rest]
        out = self._product(values, first)
        for part in parts:
            out = self.node("Add", [out, part])
        return out

    def plain_linear(self, name: str, source: str, linear: Linear, out: str = "") -> str:
        """A linear layer in fp32."""
        weights = self._weight_name(name, linear)
        product = self.node("MatMul", [source, self.constant(f"{weights}.weight", linear.weight)])
        return self.node("Add", [product, self.constant(f"{weights}.bias", linear.bias)], out)

    def _placed_linear(
        self, name: str, source: str, linear: Linear, grid: QuantParams, places: _Places
    ) -> str:
        """A linear layer in fp32 whose inputs and outputs stand at as many places as int8's would."""
        weights = self._weight_name(name, linear)
        shares = (linear.weight / grid.copies[:, None].astype(np.float32))[grid.places][:, places]
        product = self.node("MatMul", [source, self.constant(f"{weights}.weight_fp32", shares)])
        return self.node("Add", [product, self.constant(f"{weights}.bias", linear.bias[places])])

    def take_branch(self, out: str, num_labels: int) -> onnx.GraphProto:
        """The nodes written since the last branch, as one of its own; the constants stay shared."""
        nodes, self.nodes, self.quantised = self.nodes, [], {}
        return helper.make_graph(nodes, out, [], [_logits(out, num_labels)])

    def finish(self, names: list[str], num_labels: int) -> onnx.ModelProto:
        """The whole model, with these inputs."""
        inputs = [helper.make_tensor_value_info(name, TensorProto.INT64, ["B", "T"]) for name in names]
        opsets = [helper.make_opsetid("", _OPSET)]
        if self.grids is not None:
            inputs.append(helper.make_tensor_value_info(FINE, TensorProto.BOOL, []))
            opsets.append(helper.make_opsetid(_MICROSOFT, 1))
        outputs, constants = [_logits("logits", num_labels)], list(self.constants.values())
        graph = helper.make_graph(self.nodes, "classifier", inputs, outputs, constants)
        return helper.make_model(graph, opset_imports=opsets, ir_version=_IR_VERSION, producer_name="attar")

    def _weight_name(self, name: str, linear: Linear) -> str:
        """Name of a linear layer's constants: that of its first use, for layers that share weights."""
        return self.shared.setdefault(id(linear), (linear, name))[1]

    def _int8_weights(
        self, name: str, linear: Linear, grid: QuantParams, places: _Places
    ) -> list[_Int8Weights]:
        """The parts of a layer's weights; the first brings the bias."""
        weights = self._weight_name(name, linear)
        names = [_Int8Weights(f"{weights}.weight", f"{weights}.scale", f"{weights}.bias")]
        if grid.precision.startswith("w16"):
            names.append(_Int8Weights(f"{weights}.weight_rest", f"{weights}.scale_rest", ""))
        if not {part.weight for part in names} <= self.constants.keys():
            for found, part in zip(grid.weight_parts(linear.weight), names, strict=True):
                assert not can_saturate(found.codes), name
                self.constant(part.weight, found.codes[:, places])
                self.constant(part.scale, found.steps[places])
        self.constant(f"{weights}.bias", linear.bias[places])
        return names

    def _product(self, values: _Quantised, by: _Int8Weights) -> str:
        """uint8 values times int8 weights, in fp32, plus the bias if it has a name."""
        inputs = [values.codes, by.weight, values.step, by.scale, values.zero, "", by.bias]
        return self.node("MatMulIntegerToFloat", inputs[: 7 if by.bias else 5], domain=_MICROSOFT)

    def _quantised(self, name: str, source: str, wanted: ActivationRange) -> _Quantised:
        """uint8 form of a tensor, made once for all that read it."""
        if (source, wanted) not in self.quantised:
            value, zero_point = wanted.scale_and_zero()
            step, zero = self.constant(f"{name}.step", value), self.constant(f"{name}.zero", zero_point)
            codes = self.node("QuantizeLinear", [source, step, zero])
            self.quantised[source, wanted] = _Quantised(codes, step, zero)
        return self.quantised[source, wanted]

    def _quantised_twice(
        self, name: str, source: str, wanted: ActivationRange
    ) -> tuple[_Quantised, _Quantised]:
        """A tensor as the sum of two uint8 forms: a wide, coarse one, and one of what that leaves over."""
        low, high = wanted
        wide = ActivationRange(_WIDER * low, _WIDER * high)
        coarse = self._quantised(f"{name}.wide", source, wide)
        zero = self.node("Cast", [coarse.zero], to=TensorProto.FLOAT)
        whole = self.node("Sub", [self.node("Cast", [coarse.codes], to=TensorProto.FLOAT), zero])
        rest = self.node("Sub", [source, self.node("Mul", [whole, coarse.step])])
        half = float(wide.scale_and_zero()[0]) / 2
        return coarse, self._quantised(f"{name}.rest", rest, ActivationRange(-half, half))
