"""Calibration: the range of values that enters each linear layer.

Third step of ``attar export``: the fp32 graph runs on real encodings with those tensors as extra
outputs. A range is not that of the extremes, which a single outlier sets, but the one whose uint8
grid has the smallest mean squared error over all values seen, clipping included. A layer for which
even that is too coarse gets none, and so a scale for each row.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import onnx
import onnxruntime as ort
from numpy.typing import NDArray
from onnx import numpy_helper

from attar.export.graph import ActivationRange, linear_inputs, symmetric_int8
from attar.text.buckets import sorted_batches
from attar.text.encoding import Encoding, InputSpec, model_inputs

__all__ = ["activation_ranges", "best_range", "layer_errors"]

_BATCH = 16
_BINS = 2048
_COARSE = 0.02  # relative error of a layer's output; a scale for each row is at about 0.01
_SHRINKS = np.linspace(0.2, 1.0, 81)


def activation_ranges(
    proto: onnx.ModelProto, encodings: Sequence[Encoding], *, pad: int, spec: InputSpec
) -> dict[str, ActivationRange]:
    """Choose the input range of every linear layer of an fp32 graph.

    The encodings run twice, in small batches: once for the extremes, once for histograms between
    them, so memory does not grow with their number.

    Args:
        proto: From ``attar.export.graph.build_graph``, fp32.
        encodings: A few hundred real ones; at least one.
        pad: Id of the padding token.
        spec: The form of the input.

    Returns:
        A range by layer name, for the layers that one fixed scale serves.
    """
    taps = linear_inputs(proto)
    tensors = sorted(set(taps.values()))
    session = _session_with_outputs(proto, tensors)

    def seen() -> Iterator[tuple[str, NDArray[np.float32]]]:
        return _values(session, tensors, encodings, pad=pad, spec=spec)

    extremes: dict[str, tuple[float, float]] = {}
    for tensor, values in seen():
        low, high = extremes.get(tensor, (0.0, 0.0))
        extremes[tensor] = (min(low, float(values.min())), max(high, float(values.max())))
    counts = {tensor: np.zeros(_BINS, np.int64) for tensor in tensors}
    for tensor, values in seen():
        counts[tensor] += _histogram(values, *extremes[tensor])
    ranges = {tensor: best_range(counts[tensor], *extremes[tensor]) for tensor in tensors}
    fixed = {layer: ranges[tensor] for layer, tensor in taps.items()}
    errors = layer_errors(proto, fixed, encodings, pad=pad, spec=spec)
    return {layer: found for layer, found in fixed.items() if errors[layer] <= _COARSE}


def _histogram(values: NDArray[np.float32], low: float, high: float) -> NDArray[np.int64]:
    """Counts of ``_BINS`` equal bins over [low, high], which holds all values."""
    per_unit = np.float32(_BINS / max(high - low, 1e-30))
    bins = ((values - np.float32(low)) * per_unit).astype(np.int32)
    return np.bincount(np.clip(bins, 0, _BINS - 1).ravel(), minlength=_BINS)


def layer_errors(
    proto: onnx.ModelProto,
    ranges: Mapping[str, ActivationRange],
    encodings: Sequence[Encoding],
    *,
    pad: int,
    spec: InputSpec,
) -> dict[str, float]:
    """Relative error that int8 alone adds to each linear layer's output, given exact inputs.

    Args:
        proto: The fp32 graph.
        ranges: Of the layers with a fixed scale; the others take one for each row.
        encodings: The longest few of them are used.
        pad: Id of the padding token.
        spec: The form of the input.

    Returns:
        ||int8 - fp32|| / ||fp32|| by layer name, without the bias.
    """
    taps = linear_inputs(proto)
    constants = {constant.name: constant for constant in proto.graph.initializer}
    weights = {
        node.name.removesuffix(".input"): numpy_helper.to_array(constants[node.input[1]])
        for node in proto.graph.node
        if node.op_type == "MatMul" and node.input[1] in constants
    }
    tensors = sorted(set(taps.values()))
    session = _session_with_outputs(proto, tensors)
    longest = sorted(encodings, key=lambda encoding: -len(encoding.ids))[:_BATCH]
    inputs = dict(_values(session, tensors, longest, pad=pad, spec=spec))
    errors = {}
    for layer, tensor in taps.items():
        values, matrix = inputs[tensor], weights[layer]
        if layer in ranges:
            step, zero = ranges[layer].scale_and_zero()
            grid = (np.clip(np.rint(values / step) + zero, 0, 255) - zero) * step
        else:
            rows, steps = symmetric_int8(values, axis=1)
            grid = rows * steps
        table, steps = symmetric_int8(matrix, axis=0)
        exact = values @ matrix
        errors[layer] = float(np.linalg.norm(grid @ (table * steps) - exact) / np.linalg.norm(exact))
    return errors


def best_range(counts: NDArray[np.int64], low: float, high: float) -> ActivationRange:
    """The range within [low, high] with the smallest squared error of its uint8 grid.

    Rounding costs step^2 / 12 a value, clipping the squared distance to the edge. Both edges are
    searched, one after the other, from the widest.

    Args:
        counts: Histogram with equal bins over [low, high].
        low: At most 0.
        high: At least 0.
    """
    if low == high:
        return ActivationRange(low, high)
    width = (high - low) / len(counts)
    centres = low + width * (np.arange(len(counts)) + 0.5)

    def cost(bottom: float, top: float) -> float:
        beyond = np.maximum(centres - top, 0) + np.maximum(bottom - centres, 0)
        rounding = ((top - bottom) / 255) ** 2 / 12
        return float((counts * beyond**2).sum() + rounding * counts.sum())

    for _ in range(2):
        high = float(min(_SHRINKS * high, key=lambda top: cost(low, top)))
        low = float(min(_SHRINKS * low, key=lambda bottom: cost(bottom, high)))
    return ActivationRange(low, high)


def _session_with_outputs(proto: onnx.ModelProto, tensors: Sequence[str]) -> ort.InferenceSession:
    tapped = onnx.ModelProto()
    tapped.CopyFrom(proto)
    tapped.graph.output.extend(onnx.ValueInfoProto(name=name) for name in tensors)
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    return ort.InferenceSession(tapped.SerializeToString(), options, providers=["CPUExecutionProvider"])


def _values(
    session: ort.InferenceSession,
    tensors: Sequence[str],
    encodings: Sequence[Encoding],
    *,
    pad: int,
    spec: InputSpec,
) -> Iterator[tuple[str, NDArray[np.float32]]]:
    """Each tensor's rows [rows, D] at real tokens, batch by batch."""
    for rows in sorted_batches([len(e.ids) for e in encodings], _BATCH):
        inputs = model_inputs([encodings[i] for i in rows], pad, spec)
        real = inputs["attention_mask"].astype(bool)
        for tensor, values in zip(tensors, session.run(list(tensors), inputs), strict=True):
            # [B, T, D] before the last layer's queries, [B, 2, D] and [B, D] after.
            yield tensor, values[real[:, : values.shape[1]]] if values.ndim == 3 else values
