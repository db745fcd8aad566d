"""The ONNX graph of a sequence classifier, written node by node.

Third step of ``attar export``: no tracing, so the graph holds what scoring needs and nothing
else. The last layer computes queries, FFN and pooler for the row that the head reads; the position table
ends at the longest input. fp32 and int8 differ in the linear layers and the word table only:

    fp32   MatMul, Add
    int8   QuantizeLinear (uint8, one calibrated scale) -> MatMulIntegerToFloat (int8 weights, one
           scale a column, bias fused)

One fixed scale has to serve a whole input; ``attar.export.equalise`` rewrites the classifier so that
it does. ONNX Runtime's dynamic quantisation is slower and takes the scale from the whole
batch, so that a review's answer would depend on its neighbours. Everything else (norms, softmax,
GELU, attention products, the head) stays fp32. All of it is exact under padding.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from attar.errors import ArtifactError
from attar.export.grids import ActivationRange, LayerGrid, symmetric_int8
from attar.export.weights import Activation, ClassifierWeights, LayerWeights, Linear, Norm
from attar.text.encoding import InputSpec

__all__ = ["build_graph", "linear_inputs", "linear_weights"]

_OPSET = 21
_IR_VERSION = 10
_MICROSOFT = "com.microsoft"
LOGITS, FINE_LOGITS = "logits", "fine_logits"
_MASKED = np.float32(-1e9)  # far below any score: its exp is an exact 0
_INPUT_SUFFIX = ".input"
_WIDER = 4  # the second look's range over the calibrated one: nothing is clipped there


def build_graph(
    weights: ClassifierWeights, spec: InputSpec, grids: Mapping[str, LayerGrid] | None = None
) -> onnx.ModelProto:
    """Write a classifier as ONNX.

    Args:
        weights: The classifier; for int8 an equalised one, as the grids were made for.
        spec: The input: its longest, in tokens; whether ``token_type_ids`` is an input (otherwise
            all tokens have type 0) and whether ``position_ids`` is (otherwise 0, 1, 2, ...).
        grids: Of every linear layer but the head's, by its name, for int8; None for fp32.

    Returns:
        A model with int64 inputs ``input_ids``, ``attention_mask`` and, if asked for,
        ``token_type_ids`` and ``position_ids`` [B, T], 2 <= T <= max_tokens, and the float32
        output ``logits`` [B, C].

    Raises:
        ArtifactError: Fewer positions or segments than asked for.
    """
    if spec.max_tokens > len(weights.positions):
        raise ArtifactError(
            f"max_tokens = {spec.max_tokens}, but the encoder has {len(weights.positions)} positions; "
            "lower encode.max_tokens"
        )
    if spec.token_types and len(weights.types) < 2:
        raise ArtifactError("the input has token_types, but the encoder knows one segment only")
    graph = _Graph(grids)
    outputs = [LOGITS] if grids is None else [LOGITS, FINE_LOGITS]
    for output in outputs:
        graph.fine = output == FINE_LOGITS
        last = _encoder(graph, weights, spec)
        # fp32: one row an example costs nothing, and what the head reads may vary little around large means.
        pooled = graph.activation(
            weights.pooler_activation, graph.plain_linear("head.pooler", last, weights.pooler)
        )
        graph.plain_linear("head.classifier", pooled, weights.classifier, out=output)
    proto = graph.finish(_input_names(spec), outputs, len(weights.classifier.bias))
    onnx.checker.check_model(proto)
    return proto


def _input_names(spec: InputSpec) -> list[str]:
    names = ["input_ids", "attention_mask"]
    if spec.token_types:
        names.append("token_type_ids")
    if spec.reads != "cls":
        names.append("position_ids")
    return names


def linear_inputs(proto: onnx.ModelProto) -> dict[str, str]:
    """Name of the tensor that enters each quantisable linear layer of an fp32 graph, by the layer's name."""
    return {
        node.name.removesuffix(_INPUT_SUFFIX): node.input[0]
        for node in proto.graph.node
        if node.op_type == "MatMul" and node.name.endswith(_INPUT_SUFFIX)
    }


def linear_weights(proto: onnx.ModelProto) -> dict[str, str]:
    """Name of the constant that holds each quantisable linear layer's weights, by the layer's name."""
    return {
        node.name.removesuffix(_INPUT_SUFFIX): node.input[1]
        for node in proto.graph.node
        if node.op_type == "MatMul" and node.name.endswith(_INPUT_SUFFIX)
    }


def _encoder(graph: _Graph, weights: ClassifierWeights, spec: InputSpec) -> str:
    hidden = _embeddings(graph, weights, spec)
    mask = graph.node("Cast", ["attention_mask"], to=TensorProto.FLOAT)
    mask = graph.node("Sub", [mask, graph.constant("one", np.float32(1))])
    mask = graph.node("Mul", [mask, graph.constant("masked", -_MASKED)])
    mask = graph.node("Unsqueeze", [mask, graph.constant("axes_1_2", np.array([1, 2]))])  # [B, 1, 1, T]
    for index, layer in enumerate(weights.layers[:-1]):
        hidden = _layer(graph, f"layer.{index}", layer, _Stream(hidden, mask, weights), first_only=False)
    name = f"layer.{len(weights.layers) - 1}"
    return _layer(graph, name, weights.layers[-1], _Stream(hidden, mask, weights), first_only=True)


def _embeddings(graph: _Graph, weights: ClassifierWeights, spec: InputSpec) -> str:
    words = graph.word_rows(weights.words)
    positions = weights.positions[: spec.max_tokens]
    if not spec.token_types:
        positions = positions + weights.types[0]
    table = graph.constant("positions", positions)
    if spec.reads == "cls":
        shape = graph.node("Shape", ["input_ids"], start=1, end=2)
        begin = graph.constant("first", np.array([0]))
        rows = graph.node("Slice", [table, begin, shape, begin])
    else:
        rows = graph.node("Gather", [table, "position_ids"])
    summed = graph.node("Add", [words, rows])
    if spec.token_types:
        types = graph.node("Gather", [graph.constant("types", weights.types), "token_type_ids"])
        summed = graph.node("Add", [summed, types])
    hidden = graph.norm("embeddings", summed, weights.embedding_norm)
    if weights.projection is not None:
        hidden = graph.linear("embeddings.projection", hidden, weights.projection)
    return hidden


class _Stream(NamedTuple):
    """What enters a layer: its input [B, T, D], the additive mask [B, 1, 1, T], the model."""

    hidden: str
    mask: str
    weights: ClassifierWeights


def _layer(graph: _Graph, name: str, layer: LayerWeights, stream: _Stream, *, first_only: bool) -> str:
    """One layer; with ``first_only`` its output is the row at index 0, [B, D]."""
    hidden = stream.hidden
    asking = hidden
    if first_only:
        # Two rows, not one: matrix products with a single row take another path in ONNX Runtime,
        # which rounds differently for different amounts of padding.
        asking = graph.node("Slice", [hidden, *(graph.constant(n, np.array([v])) for n, v in _FIRST_TWO)])
    context = _attention(graph, f"{name}.attention", layer, asking, stream)
    if first_only:
        head = graph.constant("index_0", np.int64(0))
        context = graph.node("Gather", [context, head], axis=1)
        hidden = graph.node("Gather", [hidden, head], axis=1)
    attended = graph.linear(f"{name}.attention.out", context, layer.attention_out)
    added = graph.times(f"{name}.attention.factors", hidden, layer.hidden_factors)
    hidden = graph.norm(f"{name}.attention", graph.node("Add", [attended, added]), layer.attention_norm)
    copied = graph.grids[f"{name}.outer"] if graph.grids is not None else None
    inner = graph.linear(f"{name}.inner", hidden, layer.inner, copied)
    inner = graph.activation(stream.weights.activation, inner)
    if layer.inner_factors is not None:
        places = slice(None) if copied is None else copied.places
        inner = graph.times(f"{name}.inner.factors", inner, layer.inner_factors[places])
    outer = graph.linear(f"{name}.outer", inner, layer.outer)
    added = graph.times(f"{name}.factors", hidden, layer.attended_factors)
    return graph.norm(f"{name}.out", graph.node("Add", [outer, added]), layer.out_norm)


_FIRST_TWO = (("first", 0), ("two", 2), ("axis_1", 1))


def _attention(graph: _Graph, name: str, layer: LayerWeights, asking: str, stream: _Stream) -> str:
    """Context [B, Q, D] of the rows ``asking`` [B, Q, D] over the whole input."""
    heads = stream.weights.heads
    width = len(layer.query.bias)
    split = graph.constant("by_head", np.array([0, 0, heads, width // heads]))

    def by_head(part: str, source: str, linear: Linear, order: list[int]) -> str:
        flat = graph.linear(f"{name}.{part}", source, linear)
        return graph.node("Transpose", [graph.node("Reshape", [flat, split])], perm=order)

    queries = by_head("query", asking, layer.query, [0, 2, 1, 3])
    keys = by_head("key", stream.hidden, layer.key, [0, 2, 3, 1])
    values = by_head("value", stream.hidden, layer.value, [0, 2, 1, 3])
    scores = graph.node("Add", [graph.node("MatMul", [queries, keys]), stream.mask])
    weighted = graph.node("MatMul", [graph.node("Softmax", [scores], axis=-1), values])
    merged = graph.node("Transpose", [weighted], perm=[0, 2, 1, 3])
    return graph.node("Reshape", [merged, graph.constant("merged", np.array([0, 0, width]))])


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
class _Graph:
    """Nodes and constants as they are written; a linear layer in the chosen precision."""

    grids: Mapping[str, LayerGrid] | None
    fine: bool = False
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
        out = out or f"t{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [out], domain=domain, **attributes))
        return out

    def constant(self, name: str, value: NDArray[np.generic] | np.generic) -> str:
        """Add a constant, once a name."""
        if name not in self.constants:
            self.constants[name] = numpy_helper.from_array(np.asarray(value), name)
        return name

    def norm(self, name: str, source: str, norm: Norm) -> str:
        scale = self.constant(f"{name}.norm.scale", norm.scale)
        bias = self.constant(f"{name}.norm.bias", norm.bias)
        return self.node("LayerNormalization", [source, scale, bias], axis=-1, epsilon=norm.epsilon)

    def times(self, name: str, source: str, factors: NDArray[np.float32] | None) -> str:
        """A tensor times factors of its last axis, if there are any."""
        return source if factors is None else self.node("Mul", [source, self.constant(name, factors)])

    def activation(self, kind: Activation, source: str) -> str:
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

    def linear(self, name: str, source: str, linear: Linear, copied: LayerGrid | None = None) -> str:
        """A linear layer in the graph's precision; ``copied`` says how often each output stands there."""
        if self.grids is None:
            out = self.plain_linear(name, source, linear)
            self.nodes[-2].name = name + _INPUT_SUFFIX
            return out
        grid = self.grids[name]
        constants = self._int8_weights(self._weight_name(name, linear), linear, grid, copied)
        if not self.fine:
            return self._product(self._quantised(name, source, grid.range), constants)
        coarse, rest = self._quantised_twice(name, source, grid.range)
        product = self._product(coarse, constants)
        return self.node("Add", [product, self._product(rest, constants._replace(bias=""))])

    def plain_linear(self, name: str, source: str, linear: Linear, out: str = "") -> str:
        """A linear layer in fp32."""
        weights = self._weight_name(name, linear)
        product = self.node("MatMul", [source, self.constant(f"{weights}.weight", linear.weight)])
        return self.node("Add", [product, self.constant(f"{weights}.bias", linear.bias)], out)

    def finish(self, names: list[str], outputs: list[str], num_labels: int) -> onnx.ModelProto:
        """The whole model, with these inputs."""
        graph = helper.make_graph(
            self.nodes,
            "classifier",
            [helper.make_tensor_value_info(name, TensorProto.INT64, ["B", "T"]) for name in names],
            [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["B", num_labels]) for name in outputs],
            list(self.constants.values()),
        )
        opsets = [helper.make_opsetid("", _OPSET)]
        if self.grids is not None:
            opsets.append(helper.make_opsetid(_MICROSOFT, 1))
        return helper.make_model(graph, opset_imports=opsets, ir_version=_IR_VERSION, producer_name="attar")

    def _weight_name(self, name: str, linear: Linear) -> str:
        """Name of a linear layer's constants: that of its first use, for layers that share weights."""
        return self.shared.setdefault(id(linear), (linear, name))[1]

    def _int8_weights(
        self, name: str, linear: Linear, grid: LayerGrid, copied: LayerGrid | None
    ) -> _Int8Weights:
        places = slice(None) if copied is None else copied.places
        return _Int8Weights(
            self.constant(f"{name}.weight", grid.spread(grid.codes(linear.weight))[:, places]),
            self.constant(f"{name}.scale", grid.steps[places]),
            self.constant(f"{name}.bias", linear.bias[places]),
        )

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
