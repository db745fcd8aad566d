"""``attar convert``: makes an int8 artifact of an older attar exact on every processor.

Its weights use the full range of int8 and saturate on kernels without VNNI. Stored as uint8 with a zero
point of 128 they are the same numbers, and the kernels for uint8 weights do not saturate; they take a
fifth more time without VNNI, and nearly twice as much with it. A new export from the checkpoint is
exact and has no such cost.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper

from attar.artifact import CHECKS_FILE, Artifact, load_artifact
from attar.errors import ArtifactError
from attar.export.packaging import package
from attar.export.saturation import can_saturate
from attar.io.folders import check_out, check_writable
from attar.scoring.trust import check_model, load_tokenizer
from attar.text.encoding import InputSpec, TextEncoder

__all__ = ["convert"]

_LOG = logging.getLogger(__name__)
_PRODUCT = "MatMulIntegerToFloat"
_ZERO_POINT_INPUT = 5  # which of its inputs is the zero point of the weights
_ZERO_POINT = "weight_zero"


def convert(old: Path, new: Path) -> Artifact:
    """Write ``new``, which gives the logits that ``old`` gives where nothing saturates.

    Raises:
        ArtifactError: ``old`` is no whole artifact or needs no conversion, or ``new`` is not empty.
        RunError: ``new`` cannot be written, or is, holds or lies in ``old``.
    """
    new = check_out(new, [old])
    if new.exists() and any(new.iterdir()):
        raise ArtifactError(f"{new} is not empty; name a new folder")
    check_writable(new)
    artifact = load_artifact(old)
    encoder = TextEncoder(
        load_tokenizer(artifact, check_model(artifact)), InputSpec.from_json(artifact.input)
    )
    proto = onnx.load(artifact.model_path)
    changed = _to_uint8(proto)
    if not changed and CHECKS_FILE in artifact.files:
        raise ArtifactError(f"{old} is exact on every processor already; nothing to convert")
    notes = {**artifact.notes, "converted_from": artifact.version}
    _LOG.info("convert: %d matrices to uint8 weights", changed)
    return package(replace(artifact, folder=new, notes=notes), proto, None, encoder)


def _to_uint8(proto: onnx.ModelProto) -> int:
    """Convert in place the int8 weights that could saturate, and count them."""
    constants = {constant.name: constant for constant in proto.graph.initializer}
    products = [node for node in _nodes(proto.graph) if node.op_type == _PRODUCT]
    unsafe = set()
    for name in {node.input[1] for node in products}:
        weights = numpy_helper.to_array(constants[name])
        if weights.dtype == np.int8 and can_saturate(weights):
            unsafe.add(name)
            shifted = (weights.astype(np.int16) + 128).astype(np.uint8)
            constants[name].CopyFrom(numpy_helper.from_array(shifted, name))
    for node in products:
        if node.input[1] in unsafe:
            inputs = [*node.input, *[""] * (_ZERO_POINT_INPUT + 1 - len(node.input))]
            inputs[_ZERO_POINT_INPUT] = _ZERO_POINT
            del node.input[:]
            node.input.extend(inputs)
    if unsafe:
        proto.graph.initializer.append(numpy_helper.from_array(np.array(128, np.uint8), _ZERO_POINT))
    onnx.checker.check_model(proto)
    return len(unsafe)


def _nodes(graph: onnx.GraphProto) -> Iterator[onnx.NodeProto]:
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.GRAPH:
                yield from _nodes(attribute.g)
