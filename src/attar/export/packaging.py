"""From a graph to an artifact's folder: self-check inputs, metadata of the model file, versions."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping

import onnx

from attar.artifact import Artifact, write_artifact
from attar.export.checks import make_checks
from attar.text.encoding import TextEncoder

__all__ = ["package"]


def package(
    artifact: Artifact, proto: onnx.ModelProto, fp32: onnx.ModelProto | None, encoder: TextEncoder
) -> Artifact:
    """Write an artifact's folder, whole or not at all; ``make_checks`` explains ``fp32``.

    Returns:
        The artifact with the hashes of its files.
    """
    tokenizer = encoder.tokenizer.to_str()
    checks = make_checks(proto, fp32, encoder).to_json()
    model = _with_metadata(proto, artifact, tokenizer).SerializeToString()
    return write_artifact(artifact, model=model, tokenizer=tokenizer, checks=checks)


def _with_metadata(proto: onnx.ModelProto, artifact: Artifact, tokenizer: str) -> onnx.ModelProto:
    """A copy of a graph that can be told from another without its folder, by ``metadata_props``.

    All are strings: ``attar.version``, ``attar.task``, ``attar.labels`` (JSON, in the order of the
    logits), ``attar.input`` (JSON), ``attar.precision``, ``attar.temperature``,
    ``attar.tokenizer_sha256`` of tokenizer.json and ``attar.graph_sha256`` of the graph itself, weights
    included.
    """
    described = onnx.ModelProto()
    described.CopyFrom(proto)
    properties: Mapping[str, str] = {entry.key: entry.value for entry in proto.metadata_props} | {
        "attar.version": artifact.versions.get("attar", ""),
        "attar.task": artifact.task.name,
        "attar.labels": _json(list(artifact.task.labels)),
        "attar.input": _json(dict(artifact.input)),
        "attar.precision": artifact.precision,
        "attar.temperature": repr(float(artifact.temperature)),
        "attar.tokenizer_sha256": hashlib.sha256(tokenizer.encode()).hexdigest(),
        "attar.graph_sha256": hashlib.sha256(proto.graph.SerializeToString(deterministic=True)).hexdigest(),
    }
    onnx.helper.set_model_props(described, properties)
    return described


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, sort_keys=True)
