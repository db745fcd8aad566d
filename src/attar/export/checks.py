"""The inputs that an artifact proves itself with: made of its vocabulary, never of anybody's reviews.

Token ids are drawn at random. Of many such inputs those are kept that drive the inputs of the linear
layers furthest, up and down, so that what goes wrong at the ends of the calibrated ranges shows.

On another processor the integer products are the same, but fp32's last bits differ, and now and then
move a value across a rounding of int8. How far logits go then depends on the model. So they are
computed again with the last bit of every norm's constants changed at random. The tolerance of the largest
difference is five times the largest of these; that of the median five times their upper quartile: a
value that crosses a rounding moves few inputs, products that saturate move most of them.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

from attar.export.observers import Calibration, Observers
from attar.export.parity import batched_logits
from attar.scoring.self_check import Checks, Tolerance
from attar.scoring.session import OnnxModel
from attar.text.encoding import Encoding, TextEncoder

__all__ = ["make_checks", "random_encodings"]

_NUM = 64
_DRAWN = 512
_SHORT = 12  # tokens at most of the first few, which are computed whenever an artifact is first used
_NUM_SHORT = 4
_SEED = 0
_TIMES = 5
_LEAST_TOLERANCE = 1e-3
_PERTURBED = 2  # models with other last bits
_LAST_BITS = 2.0**-23


def make_checks(proto: onnx.ModelProto, fp32: onnx.ModelProto | None, encoder: TextEncoder) -> Checks:
    """Choose an artifact's inputs and compute what it gives for them.

    Args:
        proto: The artifact's graph.
        fp32: The same classifier in fp32, which shows what enters its linear layers; without it the
            inputs are spread over all lengths.
        encoder: Its tokenizer and the form of its input.
    """
    drawn = random_encodings(encoder, _DRAWN)
    model, *others = (
        OnnxModel(graph.SerializeToString(), pad=encoder.pad, spec=encoder.spec)
        for graph in (proto, *(_other_last_bits(proto, seed) for seed in range(_PERTURBED)))
    )
    passes, moved = [], np.zeros(0, np.float32)
    for fine in (False, True)[: 1 + model.has_high_precision_pass]:
        passes.append(logits := _logits(model, drawn, fine=fine))
        for other in others:
            moved = np.append(moved, np.abs(logits - _logits(other, drawn, fine=fine)).max(1))
    tolerance = Tolerance(
        largest=max(_TIMES * float(moved.max()), _LEAST_TOLERANCE),
        median=max(_TIMES * float(np.percentile(moved, 75)), _LEAST_TOLERANCE / 10),
    )
    if fp32 is None:
        kept = np.linspace(0, len(drawn) - 1, _NUM).astype(int).tolist()
    else:
        kept = _telling(Observers(fp32, Calibration(drawn, encoder.pad, encoder.spec)), drawn)
    return Checks([drawn[i] for i in kept], [logits[kept] for logits in passes], tolerance)


def random_encodings(encoder: TextEncoder, count: int) -> list[Encoding]:
    """Inputs of random tokens and all lengths; ``_NUM_SHORT`` short ones come first."""
    rng = np.random.default_rng(_SEED)
    tokens = np.array(sorted({*encoder.tokenizer.get_vocab().values()} - encoder.fixed))
    longest = encoder.spec.max_tokens
    made = []
    for number in range(count):
        room = min(longest, _SHORT) if number < count // 8 else int(rng.integers(8, longest + 1))
        shares = np.maximum(1, rng.multinomial(max(room - 6, 3), [1 / encoder.num_parts] * encoder.num_parts))
        made.append(encoder.assemble([rng.choice(tokens, share).tolist() for share in shares]))
    return sorted(made, key=lambda one: len(one.ids))


def _other_last_bits(proto: onnx.ModelProto, seed: int) -> onnx.ModelProto:
    """A copy of a graph whose norms differ in their last bits."""
    rng, changed = np.random.default_rng(seed), onnx.ModelProto()
    changed.CopyFrom(proto)
    for constant in changed.graph.initializer:
        values = numpy_helper.to_array(constant)
        if values.dtype == np.float32 and ".norm." in constant.name:
            noise = 1 + _LAST_BITS * rng.uniform(-1, 1, values.shape).astype(np.float32)
            constant.CopyFrom(numpy_helper.from_array((values * noise).astype(np.float32), constant.name))
    return changed


def _logits(model: OnnxModel, encodings: Sequence[Encoding], *, fine: bool) -> NDArray[np.float32]:
    return batched_logits(lambda batch: model.run_pass(batch, fine=fine), encodings)


def _telling(taps: Observers, encodings: Sequence[Encoding]) -> list[int]:
    """Which inputs drive some linear layer furthest, and the first few; short ones first."""
    extremes: dict[str, list[tuple[float, float]]] = {}
    rows: list[int] = []
    for batch, found in taps.extremes("checks: ranges reached"):
        rows += batch
        for tensor, values in found.items():
            extremes.setdefault(tensor, []).extend(values)
    ends = [np.array(values).T for values in extremes.values()]
    orders = [order for low, high in ends for order in (np.argsort(low), np.argsort(-high))]
    chosen = dict.fromkeys(range(min(_NUM_SHORT, len(encodings))))
    for place in np.stack(orders, 1).ravel():  # the furthest of every tensor, then the second ...
        if len(chosen) == _NUM:
            break
        chosen.setdefault(rows[place])
    return sorted(chosen)
