"""The ONNX graph of a sequence classifier, written node by node.

No tracing, so the graph holds what scoring needs and nothing else. The last layer computes queries,
FFN and pooler for the row that the head reads; the position embeddings end at the longest input. fp32 and
int8 differ in the linear layers and the word embeddings only:

    fp32             MatMul, Add
    first pass       QuantizeLinear (uint8, one calibrated scale) -> MatMulIntegerToFloat (int8
                     weights, one scale an output, bias fused)
    high precision   the same twice over the same weights: the input in uint8 over a wide range, and
                     what that leaves over in uint8; the products are added

An int8 graph holds the two passes as the branches of an If; ``attar.scoring.session`` runs the second on
low-margin rows, a few examples in a hundred. One fixed scale has to serve the whole input;
``attar.export.equalisation`` rewrites the classifier so that it does. ONNX Runtime's dynamic quantisation
is slower and takes the scale from the whole batch, so that an example's logits would depend on the
rest of its batch. Everything else (norms, softmax, GELU, attention products, the head) stays fp32.
All of it is exact under padding.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import onnx
from onnx import TensorProto, helper

from attar.errors import ArtifactError
from attar.export.quant_params import QuantParams
from attar.export.weights import ClassifierWeights, LayerWeights, Linear
from attar.export.writer import LINEAR_SUFFIX, Writer
from attar.scoring.session import HIGH_PRECISION, MARGIN
from attar.text.encoding import InputSpec

__all__ = ["build_graph", "linear_nodes"]

_MASKED = np.float32(-1e9)  # far below any score: its exp is an exact 0


def build_graph(
    weights: ClassifierWeights,
    spec: InputSpec,
    params: Mapping[str, QuantParams] | None = None,
    margin: float = 0.0,
) -> onnx.ModelProto:
    """Write a classifier as ONNX.

    Args:
        weights: The classifier; for int8 the equalised one that ``params`` are for.
        spec: The input: its longest, in tokens; whether ``token_type_ids`` is an input (otherwise
            all tokens have type 0) and whether ``position_ids`` is (otherwise 0, 1, 2, ...).
        params: Of every linear layer but the head's, by its name, for int8; None for fp32.
        margin: Written into an int8 model: rows whose two largest logits are closer are due for the
            high-precision pass.

    Returns:
        A model with int64 inputs ``input_ids``, ``attention_mask`` and, if asked for,
        ``token_type_ids`` and ``position_ids`` [B, T], 2 <= T <= max_tokens, and the float32
        output ``logits`` [B, C]. An int8 model has a bool input ``fine`` [] as well, which asks for
        the high-precision pass.

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
    graph, num_labels = Writer(params), len(weights.classifier.bias)
    names = ["input_ids", "attention_mask"]
    names += ["token_type_ids"] if spec.token_types else []
    names += ["position_ids"] if spec.pooling != "cls" else []
    if params is None:
        _classifier(graph, weights, spec, "logits")
        proto = graph.finish(names, num_labels)
    else:
        branches = []
        for graph.high_precision, out in ((True, "fine_logits"), (False, "quick_logits")):
            _classifier(graph, weights, spec, out)
            branches.append(graph.take_branch(out, num_labels))
        graph.node("If", [HIGH_PRECISION], "logits", then_branch=branches[0], else_branch=branches[1])
        proto = graph.finish(names, num_labels)
        helper.set_model_props(proto, {MARGIN: repr(margin)})
    onnx.checker.check_model(proto)
    return proto


def _classifier(graph: Writer, weights: ClassifierWeights, spec: InputSpec, out: str) -> None:
    last = _encoder(graph, weights, spec)
    # fp32: one row an example costs nothing, and what the head reads may vary little around large means.
    pooled = graph.activation(
        weights.pooler_activation, graph.fp32_linear("head.pooler", last, weights.pooler)
    )
    graph.fp32_linear("head.classifier", pooled, weights.classifier, out=out)


def linear_nodes(proto: onnx.ModelProto) -> dict[str, onnx.NodeProto]:
    """The product (input, weights) of each quantisable linear layer of an fp32 graph, by the layer's name."""
    return {
        node.name.removesuffix(LINEAR_SUFFIX): node
        for node in proto.graph.node
        if node.op_type == "MatMul" and node.name.endswith(LINEAR_SUFFIX)
    }


def _encoder(graph: Writer, weights: ClassifierWeights, spec: InputSpec) -> str:
    hidden = _embeddings(graph, weights, spec)
    mask = graph.node("Cast", ["attention_mask"], to=TensorProto.FLOAT)
    mask = graph.node("Sub", [mask, graph.constant("one", np.float32(1))])
    mask = graph.node("Mul", [mask, graph.constant("masked", -_MASKED)])
    mask = graph.node("Unsqueeze", [mask, graph.constant("axes_1_2", np.array([1, 2]))])  # [B, 1, 1, T]
    for index, layer in enumerate(weights.layers):
        last = index + 1 == len(weights.layers)
        hidden = _layer(graph, f"layer.{index}", layer, _Stream(hidden, mask, weights), first_only=last)
    return hidden


def _embeddings(graph: Writer, weights: ClassifierWeights, spec: InputSpec) -> str:
    words = graph.word_embeddings(weights.words)
    positions = weights.positions[: spec.max_tokens]
    if not spec.token_types:
        positions = positions + weights.types[0]
    table = graph.constant("positions", positions)
    if spec.pooling == "cls":
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
    hidden: str  # what enters a layer, [B, T, D]
    mask: str  # [B, 1, 1, T], added to the scores
    weights: ClassifierWeights


def _layer(graph: Writer, name: str, layer: LayerWeights, stream: _Stream, *, first_only: bool) -> str:
    """One layer; with ``first_only`` its output is the row at index 0, [B, D]."""
    hidden = stream.hidden
    queried = hidden
    if first_only:
        # Two rows, not one: matrix products with a single row take another path in ONNX Runtime,
        # which rounds differently for different amounts of padding.
        queried = graph.node("Slice", [hidden, *(graph.constant(n, np.array([v])) for n, v in _FIRST_TWO)])
    context = _attention(graph, f"{name}.attention", layer, queried, stream)
    if first_only:
        head = graph.constant("index_0", np.int64(0))
        context = graph.node("Gather", [context, head], axis=1)
        hidden = graph.node("Gather", [hidden, head], axis=1)
    attended = graph.linear(f"{name}.attention.out", context, layer.attention_out)
    added = graph.scaled(f"{name}.attention.factors", hidden, layer.hidden_scale)
    hidden = graph.norm(f"{name}.attention", graph.node("Add", [attended, added]), layer.attention_norm)
    channels = graph.channels_of(f"{name}.outer")  # of which the activation's output holds the split ones
    inner = graph.linear(f"{name}.inner", hidden, layer.inner, channels)
    inner = graph.activation(stream.weights.activation, inner)
    if layer.inner_scale is not None:
        inner = graph.scaled(f"{name}.inner.factors", inner, layer.inner_scale[channels])
    outer = graph.linear(f"{name}.outer", inner, layer.outer)
    added = graph.scaled(f"{name}.factors", hidden, layer.attended_scale)
    return graph.norm(f"{name}.out", graph.node("Add", [outer, added]), layer.out_norm)


_FIRST_TWO = (("first", 0), ("two", 2), ("axis_1", 1))


def _attention(graph: Writer, name: str, layer: LayerWeights, queried: str, stream: _Stream) -> str:
    """Context [B, Q, D] of the rows ``queried`` [B, Q, D] over the whole input."""
    heads = stream.weights.heads
    width = len(layer.query.bias)
    split = graph.constant("by_head", np.array([0, 0, heads, width // heads]))

    def by_head(part: str, source: str, linear: Linear, order: list[int]) -> str:
        flat = graph.linear(f"{name}.{part}", source, linear)
        return graph.node("Transpose", [graph.node("Reshape", [flat, split])], perm=order)

    queries = by_head("query", queried, layer.query, [0, 2, 1, 3])
    keys = by_head("key", stream.hidden, layer.key, [0, 2, 3, 1])
    values = by_head("value", stream.hidden, layer.value, [0, 2, 1, 3])
    scores = graph.node("Add", [graph.node("MatMul", [queries, keys]), stream.mask])
    weighted = graph.node("MatMul", [graph.node("Softmax", [scores], axis=-1), values])
    merged = graph.node("Transpose", [weighted], perm=[0, 2, 1, 3])
    return graph.node("Reshape", [merged, graph.constant("merged", np.array([0, 0, width]))])
