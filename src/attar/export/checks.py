"""Inputs for an artifact's self-check: random tokens of its vocabulary, never anybody's reviews.

Of many random inputs those are stored that drive the inputs of the linear layers to their extremes, so
that errors at the ends of the calibrated ranges show.

On another processor the integer products are the same, but fp32's last bits differ, and now and then
move a value across a rounding step of int8. How much that changes the logits depends on the model. So
they are computed again with the last bits of every norm's constants changed at random. The tolerance of
the largest difference is five times the largest of these changes; that of the median five times their
upper quartile: a value that crosses a rounding step affects few inputs, saturated products most.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
import onnx
from onnx import numpy_helper

from attar.export.observers import Calibration, Observers
from attar.export.parity import batched_logits
from attar.scoring.checks import Checks, Tolerance
from attar.scoring.session import OnnxModel
from attar.text.encoding import Encoding, TextEncoder

__all__ = ["make_checks", "random_encodings"]

_NUM_STORED = 64
_NUM_DRAWN = 512
_SHORT = 12  # most tokens of the first few, which are computed whenever an artifact is first used
_NUM_SHORT = 4
_SEED = 0
_TOLERANCE_FACTOR = 5
_LEAST_TOLERANCE = 1e-3
_NUM_PERTURBED = 4
_LAST_BITS = 2.0**-23


def make_checks(
    proto: onnx.ModelProto, fp32: onnx.ModelProto | None, encoder: TextEncoder
) -> Checks[Encoding]:
    """Choose an artifact's inputs and compute what it gives for them.

    ``fp32`` is the same classifier in fp32, which shows what enters its linear layers; without it the
    inputs are spread over all lengths.
    """
    drawn = random_encodings(encoder, _NUM_DRAWN)
    if fp32 is None:
        stored = np.linspace(0, len(drawn) - 1, _NUM_STORED).astype(int).tolist()
    else:
        stored = _extreme_rows(Observers(fp32, Calibration(drawn, encoder.pad, encoder.spec)), drawn)
    inputs = [drawn[i] for i in stored]
    model, *others = (
        OnnxModel(graph.SerializeToString(), pad=encoder.pad, spec=encoder.spec)
        for graph in (proto, *(_perturb_last_bits(proto, seed) for seed in range(_NUM_PERTURBED)))
    )
    passes, changes = [], np.zeros(0, np.float32)
    for high_precision in (False, True)[: 1 + model.has_high_precision_pass]:
        logits, *perturbed = (
            batched_logits(partial(one.run_pass, high_precision=high_precision), inputs)
            for one in (model, *others)
        )
        passes.append(logits)
        for other in perturbed:
            changes = np.append(changes, np.abs(logits - other).max(1))
    tolerance = Tolerance(
        largest=max(_TOLERANCE_FACTOR * float(changes.max()), _LEAST_TOLERANCE),
        median=max(_TOLERANCE_FACTOR * float(np.percentile(changes, 75)), _LEAST_TOLERANCE / 10),
    )
    return Checks(inputs, passes, tolerance)


def random_encodings(encoder: TextEncoder, count: int) -> list[Encoding]:
    """``count`` inputs of random tokens and all lengths, the shortest first."""
    rng = np.random.default_rng(_SEED)
    tokens = np.array(sorted({*encoder.tokenizer.get_vocab().values()} - encoder.special_ids))
    longest = encoder.spec.max_tokens
    made = []
    for number in range(count):
        room = min(longest, _SHORT) if number < count // 8 else int(rng.integers(8, longest + 1))
        shares = np.maximum(1, rng.multinomial(max(room - 6, 3), [1 / encoder.num_parts] * encoder.num_parts))
        made.append(encoder.assemble([rng.choice(tokens, share).tolist() for share in shares]))
    return sorted(made, key=lambda one: len(one.ids))


def _perturb_last_bits(proto: onnx.ModelProto, seed: int) -> onnx.ModelProto:
    """A copy of a graph whose norms' constants differ in their last bits."""
    rng, changed = np.random.default_rng(seed), onnx.ModelProto()
    changed.CopyFrom(proto)
    for constant in changed.graph.initializer:
        values = numpy_helper.to_array(constant)
        if values.dtype == np.float32 and ".norm." in constant.name:
            noise = 1 + _LAST_BITS * rng.uniform(-1, 1, values.shape).astype(np.float32)
            constant.CopyFrom(numpy_helper.from_array((values * noise).astype(np.float32), constant.name))
    return changed


def _extreme_rows(observers: Observers, encodings: Sequence[Encoding]) -> list[int]:
    """The first few rows, and those with the most extreme inputs of some linear layer; short ones first."""
    extremes: dict[str, list[tuple[float, float]]] = {}
    rows: list[int] = []
    for batch, found in observers.extremes("checks: extremes"):
        rows += batch
        for tensor, values in found.items():
            extremes.setdefault(tensor, []).extend(values)
    ends = [np.array(values).T for values in extremes.values()]
    orders = [order for low, high in ends for order in (np.argsort(low), np.argsort(-high))]
    chosen = dict.fromkeys(range(min(_NUM_SHORT, len(encodings))))
    for index in np.stack(orders, 1).ravel():  # the most extreme of every tensor, then the second ...
        if len(chosen) == _NUM_STORED:
            break
        chosen.setdefault(rows[index])
    return sorted(chosen)
