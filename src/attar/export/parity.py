"""Parity: whether an exported model answers as its checkpoint does.

Fourth step of ``attar export``, and the gate: fp32 must agree to 1e-4, int8 within what the
recipe allows, and each example's answer must be the same bytes alone, shuffled and padded.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from attar.errors import ParityError
from attar.evaluation.metrics import scores
from attar.recipe import ExportRecipe
from attar.scoring.predictor import softmax
from attar.scoring.session import OnnxModel
from attar.task import Example, Task
from attar.text.buckets import sorted_batches
from attar.text.encoding import Encoding

__all__ = ["Answers", "batched_logits", "check_fp32", "check_int8", "check_invariance"]

_BATCH = 16
_FP32_TOLERANCE = 1e-4
_ALONE = 64


class Answers(NamedTuple):
    """The checkpoint's answers to what an export is verified on.

    Attributes:
        task: Names the labels.
        examples: N of them, labelled or not.
        logits: [N, C], from the checkpoint.
    """

    task: Task
    examples: Sequence[Example]
    logits: NDArray[np.float32]


def batched_logits(model: OnnxModel, encodings: Sequence[Encoding]) -> NDArray[np.float32]:
    """Logits [N, C] of an exported model, in the order of the encodings; N > 0."""
    order = sorted_batches([len(e.ids) for e in encodings], _BATCH)
    parts = [model.logits([encodings[i] for i in rows]) for rows in order]
    logits = np.concatenate(parts)
    return logits[np.argsort([i for rows in order for i in rows])]


def check_fp32(reference: Answers, logits: NDArray[np.float32]) -> dict[str, Any]:
    """Compare the fp32 graph's logits [N, C] with the checkpoint's.

    Labels must be equal, except where the checkpoint itself is undecided within the tolerance.

    Raises:
        ParityError: They differ by more than rounding.
    """
    before, after = softmax(reference.logits, 1.0), softmax(logits, 1.0)
    difference = float(np.abs(before - after).max())
    if not difference <= _FP32_TOLERANCE:
        flips = int((before.argmax(1) != after.argmax(1)).sum())
        raise ParityError(
            f"fp32 export: probs differ from the checkpoint's by up to {difference:.2g} "
            f"(allowed {_FP32_TOLERANCE:g}), {flips} of {len(before)} labels changed; "
            "this is a bug in the export: please report it with the encoder's config.json"
        )
    return {"fp32_max_prob_difference": difference}


def check_int8(
    reference: Answers,
    logits: NDArray[np.float32],
    recipe: ExportRecipe,
    layer_errors: Callable[[], Mapping[str, float]],
) -> dict[str, Any]:
    """Compare the int8 graph's logits [N, C] with the checkpoint's.

    Args:
        reference: The checkpoint's answers.
        logits: [N, C], from the int8 graph.
        recipe: ``max_flips`` and ``max_f1_loss``.
        layer_errors: Computes each linear layer's relative error; called only if a gate fails.

    Raises:
        ParityError: More flips or a greater loss than the recipe allows.
    """
    before, after = softmax(reference.logits, 1.0), softmax(logits, 1.0)
    flips = float((before.argmax(1) != after.argmax(1)).mean())
    figures: dict[str, Any] = {
        "examples": len(before),
        "int8_flips": flips,
        "int8_mean_prob_difference": float(np.abs(before - after).mean()),
    }
    failed = [] if flips <= recipe.max_flips else [f"flips {flips:.2%} (max_flips {recipe.max_flips:.2%})"]
    labelled = [i for i, example in enumerate(reference.examples) if example.label is not None]
    if labelled:
        gold = np.array([reference.task.index_of(reference.examples[i]) for i in labelled])
        was = scores(reference.task, gold, before[labelled]).macro_f1
        found = scores(reference.task, gold, after[labelled]).macro_f1
        figures |= {"checkpoint_macro_f1": was, "int8_macro_f1": found}
        if was - found > recipe.max_f1_loss:
            failed.append(f"macro-F1 {was:.4f} -> {found:.4f} (max_f1_loss {recipe.max_f1_loss:.2%})")
    if failed:
        worst = sorted(layer_errors().items(), key=lambda item: -item[1])[:3]
        named = ", ".join(f"{name} {error:.1%}" for name, error in worst)
        raise ParityError(
            f"int8 export, on {len(before)} examples: {'; '.join(failed)}. Largest relative errors: {named}."
        )
    return figures


def check_invariance(model: OnnxModel, encodings: Sequence[Encoding], max_tokens: int) -> dict[str, Any]:
    """Check that an answer does not depend on what it is computed with, to the last bit.

    Raises:
        ParityError: An example alone, in a shuffled batch or padded to ``max_tokens`` answers
            with other bytes.
    """
    chosen = list(encodings[:_ALONE])
    alone = np.concatenate([model.logits([encoding]) for encoding in chosen])
    order = np.random.default_rng(0).permutation(len(chosen))
    together = np.empty_like(alone)
    for begin in range(0, len(order), _BATCH):
        rows = order[begin : begin + _BATCH]
        together[rows] = model.logits([chosen[i] for i in rows])
    padded = np.concatenate([model.logits([encoding], max_tokens) for encoding in chosen])
    for name, logits in (("in a shuffled batch", together), (f"padded to {max_tokens} tokens", padded)):
        changed = int((logits.view(np.uint32) != alone.view(np.uint32)).any(1).sum())
        if changed:
            raise ParityError(
                f"{changed} of {len(chosen)} examples answer with other bytes {name} than alone (by up to "
                f"{np.abs(logits - alone).max():.2g}); ONNX Runtime is not exact on this processor"
            )
    return {"invariant_examples": len(chosen)}
