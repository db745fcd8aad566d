"""Observers: what enters each linear layer of an fp32 graph on calibration data.

Equalisation (``attar.export.equalisation``), ranges (``attar.export.calibration``) and quantised weights
(``attar.export.gptq``) are all chosen from these values.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import onnx
import onnxruntime as ort
from numpy.typing import NDArray
from onnx import numpy_helper

from attar.export.graph import linear_nodes
from attar.progress import track
from attar.text.buckets import sorted_batches
from attar.text.encoding import Encoding, InputSpec, model_inputs
from attar.threads import map_in_threads

__all__ = ["Calibration", "Observers"]

_BATCH = 16


class Calibration(NamedTuple):
    """Calibration data: a few hundred encodings, at least one, the padding token's id, the graph's input."""

    encodings: Sequence[Encoding]
    pad: int
    spec: InputSpec


class Observers:
    """An fp32 graph whose outputs are the inputs of its linear layers.

    Args:
        proto: From ``attar.export.graph.build_graph``, fp32.
        calibration: What it runs on.
        batch_size: Encodings a batch.

    Attributes:
        inputs: Name of the tensor that enters a linear layer, by the layer's name.
        weights: [in, out] of each linear layer, by its name; shared ones are one object.
    """

    def __init__(self, proto: onnx.ModelProto, calibration: Calibration, batch_size: int = _BATCH) -> None:
        nodes = linear_nodes(proto)
        self.inputs = {layer: node.input[0] for layer, node in nodes.items()}
        constants = {constant.name: constant for constant in proto.graph.initializer}
        used = {layer: node.input[1] for layer, node in nodes.items()}
        matrices = {name: numpy_helper.to_array(constants[name]) for name in set(used.values())}
        self.weights: dict[str, NDArray[np.float32]] = {layer: matrices[name] for layer, name in used.items()}
        self._tensors = sorted(set(self.inputs.values()))
        self._calibration, self._batch_size = calibration, batch_size
        observed = onnx.ModelProto()
        observed.CopyFrom(proto)
        observed.graph.output.extend(onnx.ValueInfoProto(name=name) for name in self._tensors)
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        options.log_severity_level = 3
        self._session = ort.InferenceSession(
            observed.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )

    @property
    def num_batches(self) -> int:
        """How many batches ``values`` computes."""
        return -(-len(self._calibration.encodings) // self._batch_size)

    def values(self, description: str) -> Iterator[tuple[str, NDArray[np.float32]]]:
        """Each tensor's rows [rows, in] at real tokens, batch by batch, the longest first."""
        for _, real, found in self._batches(description):
            for tensor, values in found.items():
                # [B, T, D] before the last layer's queries, [B, 2, D] and [B, D] after.
                yield tensor, values[real[:, : values.shape[1]]] if values.ndim == 3 else values

    def extremes(self, description: str) -> Iterator[tuple[list[int], dict[str, list[tuple[float, float]]]]]:
        """Of each batch its rows and, by tensor, each row's smallest and largest value at real tokens."""
        for rows, real, found in self._batches(description):
            yield rows, {tensor: _extremes(values, real) for tensor, values in found.items()}

    def _batches(self, description: str) -> Iterator[tuple[list[int], NDArray[np.bool_], dict[str, Any]]]:
        encodings, pad, spec = self._calibration

        def computed(rows: list[int]) -> tuple[list[int], NDArray[np.bool_], dict[str, Any]]:
            inputs = model_inputs([encodings[i] for i in rows], pad, spec)
            found = self._session.run(self._tensors, inputs)
            return rows, inputs["attention_mask"].astype(bool), dict(zip(self._tensors, found, strict=True))

        batches = sorted_batches([len(e.ids) for e in encodings], self._batch_size)
        found = map_in_threads(computed, batches)
        yield from track(found, description, self.num_batches, unit="batches")


def _extremes(values: NDArray[np.float32], real: NDArray[np.bool_]) -> list[tuple[float, float]]:
    rows = list(values)
    if values.ndim == 3:
        rows = [row[own[: len(row)]] for row, own in zip(values, real, strict=True)]
    return [(float(row.min()), float(row.max())) for row in rows]
