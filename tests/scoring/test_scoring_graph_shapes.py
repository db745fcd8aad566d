"""Shapes against those that ONNX Runtime computes."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import helper, numpy_helper

from attar.scoring.graph_shapes import OPS, check_shapes
from attar.scoring.onnx_file import parse_model

X = np.zeros((1, 5, 6), np.float32)
FLOAT = onnx.TensorProto.FLOAT
# (operation, other inputs, attributes): each reads x [1, 5, 6] first.
CASES = [
    ("Abs", [], {}),
    ("Cast", [], {"to": onnx.TensorProto.INT64}),
    ("Gelu", [], {}),
    ("Relu", [], {}),
    ("Tanh", [], {}),
    ("Softmax", [], {"axis": -1}),
    ("Add", [np.zeros((4, 1, 6), np.float32)], {}),
    ("Div", [np.ones(6, np.float32)], {}),
    ("Max", [np.float32(1)], {}),
    ("Mul", [np.zeros((5, 1), np.float32)], {}),
    ("Sub", [np.zeros((2, 5, 6), np.float32)], {}),
    ("MatMul", [np.zeros((6, 7), np.float32)], {}),
    ("Gather", [np.int64(0)], {"axis": 1}),
    ("LayerNormalization", [np.ones(6, np.float32), np.ones(6, np.float32)], {"axis": -1}),
    ("QuantizeLinear", [np.float32(1), np.uint8(128)], {}),
    ("ReduceMax", [np.array([-1])], {"keepdims": 1}),
    ("Reshape", [np.array([0, 0, 2, 3])], {}),
    ("Reshape", [np.array([0, -1])], {}),
    ("Slice", [np.array([0]), np.array([2]), np.array([1])], {}),
    ("Slice", [np.array([0]), np.array([99]), np.array([1])], {}),
    ("Transpose", [], {"perm": [2, 0, 1]}),
    ("Unsqueeze", [np.array([1, 2])], {}),
]


def _model(op, others, attributes):
    names = [f"c{i}" for i in range(len(others))]
    node = helper.make_node(op, ["x", *names], ["y"], **attributes)
    constants = [numpy_helper.from_array(np.asarray(v), n) for v, n in zip(others, names, strict=True)]
    inputs = [helper.make_tensor_value_info("x", FLOAT, [1, 5, 6])]
    kind = {"Cast": onnx.TensorProto.INT64, "QuantizeLinear": onnx.TensorProto.UINT8}.get(op, FLOAT)
    graph = helper.make_graph(
        [node], "g", inputs, [helper.make_tensor_value_info("y", kind, None)], constants
    )
    opsets = [helper.make_opsetid("", 21)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=10).SerializeToString()


@pytest.mark.parametrize(("op", "others", "attributes"), CASES)
def test_the_shape_is_that_of_onnx_runtime(op, others, attributes):
    content = _model(op, others, attributes)
    graph = parse_model(content).graph
    session = ort.InferenceSession(content, providers=["CPUExecutionProvider"])
    (wanted,) = session.run(["y"], {"x": X})
    assert check_shapes(graph, {"x": X.shape}, graph.constants, 5) == {"y": wanted.shape}


def test_every_operation_is_compared():
    in_whole_graphs = {"Shape", "MatMulIntegerToFloat"}  # see test_scoring_trust
    assert {op for _, op in OPS} == {op for op, *_ in CASES} | in_whole_graphs


@pytest.mark.parametrize(
    ("op", "others", "attributes"),
    [
        ("Add", [np.zeros(7, np.float32)], {}),
        ("MatMul", [np.zeros((7, 6), np.float32)], {}),
        ("Gather", [np.int64(5)], {"axis": 1}),
        ("Reshape", [np.array([0, 7])], {}),
        ("Transpose", [], {"perm": [0, 0, 1]}),
        ("Transpose", [], {}),
        ("LayerNormalization", [np.ones(5, np.float32)], {}),
        ("Add", [np.zeros((1 << 20, 1, 1), np.int8), np.int8(1)], {}),
    ],
)
def test_what_does_not_fit_is_named(op, others, attributes):
    graph = parse_model(_model(op, others, attributes)).graph
    with pytest.raises(ValueError, match=f"{op} of x"):
        check_shapes(graph, {"x": X.shape}, graph.constants, 5)


def test_what_grows_is_named():
    graph = parse_model(_model("Add", [np.zeros((1 << 20, 1, 1), np.int8)], {})).graph
    with pytest.raises(ValueError, match=r"shape \[1048576, 5, 600\]: more than"):
        check_shapes(graph, {"x": (1, 5, 600)}, graph.constants, 5)
