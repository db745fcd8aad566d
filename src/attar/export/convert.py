"""``attar convert``: an int8 artifact of an older attar becomes one that is exact on every processor.

Its weights use all of int8 and saturate on kernels without VNNI. Weights as uint8, 128 higher, with 128
as their zero point are the same numbers, and the kernels for uint8 weights do not saturate; they
take a fifth more time where there is no VNNI, and nearly twice where there is. An export from the
checkpoint needs neither.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper
from tokenizers import Tokenizer

from attar.artifact import Artifact, load_artifact, write_artifact
from attar.errors import ArtifactError
from attar.export.checks import make_checks
from attar.export.metadata import with_metadata
from attar.export.saturation import can_saturate
from attar.text.encoding import InputSpec, TextEncoder

__all__ = ["convert"]

_LOG = logging.getLogger(__name__)
_PRODUCT = "MatMulIntegerToFloat"
_ZERO_POINT = 5  # which of its inputs is that of the weights
_ZERO = "weight_zero"


def convert(old: Path, new: Path) -> Artifact:
    """Write ``new``, which answers as ``old`` does where nothing saturates.

    Raises:
        ArtifactError: ``old`` is no whole artifact or needs no conversion, or ``new`` is not empty.
    """
    artifact = load_artifact(old)
    if new.exists() and (not new.is_dir() or any(new.iterdir())):
        raise ArtifactError(f"{new} is there already; name a folder that is not")
    proto = onnx.load(artifact.model_path)
    changed = _to_uint8(proto)
    if not changed and artifact.files.keys() >= {"checks.json"}:
        raise ArtifactError(f"{old} is exact on every processor as it is; nothing to convert")
    encoder = TextEncoder(
        Tokenizer.from_file(str(artifact.tokenizer_path)), InputSpec.from_json(artifact.input)
    )
    notes = {**artifact.notes, "converted_from": artifact.version}
    written = replace(artifact, folder=new, notes=notes)
    tokenizer = artifact.tokenizer_path.read_text("utf-8")
    checks = make_checks(proto, None, encoder).to_json()
    model = with_metadata(proto, written, tokenizer).SerializeToString()
    _LOG.info("convert: %d matrices have uint8 weights now", changed)
    return write_artifact(written, model=model, tokenizer=tokenizer, checks=checks)


def _to_uint8(proto: onnx.ModelProto) -> int:
    """Change in place the int8 weights that could saturate; how many there were."""
    constants = {constant.name: constant for constant in proto.graph.initializer}
    products = [node for node in _nodes(proto.graph) if node.op_type == _PRODUCT]
    names = {node.input[1] for node in products}
    unsafe = {
        name
        for name in names
        if constants[name].data_type == onnx.TensorProto.INT8
        and can_saturate(numpy_helper.to_array(constants[name]))
    }
    for name in unsafe:
        weights = numpy_helper.to_array(constants[name]).astype(np.int16) + 128
        constants[name].CopyFrom(numpy_helper.from_array(weights.astype(np.uint8), name))
    for node in products:
        if node.input[1] in unsafe:
            inputs = [*node.input, *[""] * (_ZERO_POINT + 1 - len(node.input))]
            inputs[_ZERO_POINT] = _ZERO
            del node.input[:]
            node.input.extend(inputs)
    if unsafe:
        proto.graph.initializer.append(numpy_helper.from_array(np.array(128, np.uint8), _ZERO))
    onnx.checker.check_model(proto)
    return len(unsafe)


def _nodes(graph: onnx.GraphProto) -> Iterator[onnx.NodeProto]:
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.GRAPH:
                yield from _nodes(attribute.g)
