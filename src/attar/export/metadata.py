"""What a model file says of itself, so that it can be told from another without its folder."""

from __future__ import annotations

import hashlib
import json

import onnx

from attar.artifact import Artifact

__all__ = ["with_metadata"]


def with_metadata(proto: onnx.ModelProto, artifact: Artifact, tokenizer: str) -> onnx.ModelProto:
    """A copy of a graph with ``metadata_props``, all of them strings.

    ``attar.version``, ``attar.task``, ``attar.labels`` (JSON, in the order of the logits),
    ``attar.input`` (JSON), ``attar.precision``, ``attar.temperature``, ``attar.tokenizer_sha256`` of
    tokenizer.json and ``attar.graph_sha256`` of the graph itself, weights included.
    """

    def text(value: object) -> str:
        return json.dumps(value, ensure_ascii=False, sort_keys=True)

    described = onnx.ModelProto()
    described.CopyFrom(proto)
    properties = {entry.key: entry.value for entry in proto.metadata_props} | {
        "attar.version": artifact.versions.get("attar", ""),
        "attar.task": artifact.task.name,
        "attar.labels": text(list(artifact.task.labels)),
        "attar.input": text(dict(artifact.input)),
        "attar.precision": artifact.precision,
        "attar.temperature": repr(float(artifact.temperature)),
        "attar.tokenizer_sha256": hashlib.sha256(tokenizer.encode()).hexdigest(),
        "attar.graph_sha256": hashlib.sha256(proto.graph.SerializeToString(deterministic=True)).hexdigest(),
    }
    onnx.helper.set_model_props(described, properties)
    return described
