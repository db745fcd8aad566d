"""The walk over an ONNX file against the onnx package."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import numpy_helper

from attar.scoring.onnx_file import parse_model


@pytest.fixture(scope="module")
def content(artifact_folder):
    return (artifact_folder / "model.onnx").read_bytes()


def test_it_reads_what_onnx_reads(content):
    proto, found = onnx.load_from_string(content), parse_model(content)
    assert found.ir_version == proto.ir_version
    assert found.opsets == {one.domain: one.version for one in proto.opset_import}
    assert found.metadata == {one.key: one.value for one in proto.metadata_props}
    assert list(found.graph.inputs) == [one.name for one in proto.graph.input]
    for constant in proto.graph.initializer:
        ours, theirs = found.graph.constants[constant.name], numpy_helper.to_array(constant)
        assert ours.dims == theirs.shape
        assert bytes(ours.raw) == theirs.tobytes()
    (choice,) = found.graph.nodes
    for attribute in proto.graph.node[0].attribute:
        for ours, theirs in zip(choice.attributes[attribute.name].nodes, attribute.g.node, strict=True):
            assert (ours.op, ours.domain) == (theirs.op_type, theirs.domain)
            assert (ours.inputs, ours.outputs) == (tuple(theirs.input), tuple(theirs.output))
            for one in theirs.attribute:
                value = onnx.helper.get_attribute_value(one)
                if not isinstance(value, float):
                    assert ours.attributes[one.name] == value


def test_numbers_below_zero_and_packed_ones():
    node = onnx.helper.make_node("Transpose", ["a"], ["b"], perm=[2, 0, 1], axis=-1)
    graph = onnx.helper.make_graph([node], "g", [], [])
    (found,) = parse_model(onnx.helper.make_model(graph).SerializeToString()).graph.nodes
    assert found.attributes == {"perm": [2, 0, 1], "axis": -1}


@given(st.data())
def test_damage_is_a_value_error_or_harmless(content, data):
    at = data.draw(st.integers(0, min(len(content), 4_000) - 1))
    cut = data.draw(st.booleans())
    changed = (
        content[:at] if cut else content[:at] + bytes([data.draw(st.integers(0, 255))]) + content[at + 1 :]
    )
    try:
        parse_model(changed)
    except ValueError as error:
        assert str(error)


def test_a_part_that_is_there_twice_is_refused(content):
    graph = onnx.helper.make_graph([], "g", [], [])
    twice = content + onnx.helper.make_model(graph).SerializeToString()
    with pytest.raises(ValueError, match="twice"):
        parse_model(twice)


def test_a_shape_that_its_bytes_do_not_fill():
    constant = numpy_helper.from_array(np.zeros(3, np.float32), "w")
    constant.dims[:] = [1 << 40]
    graph = onnx.helper.make_graph([], "g", [], [], [constant])
    with pytest.raises(ValueError, match=r"'w' has shape .* do not fill"):
        parse_model(onnx.helper.make_model(graph).SerializeToString())
