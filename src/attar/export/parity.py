"""Parity: whether an exported model agrees with its checkpoint.

fp32 must agree to 1e-4 in the probs, int8 must pass the recipe's gates, and each example's logits must
be the same bytes alone, shuffled and padded.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from attar.errors import GateError, ParityError
from attar.metrics import scores
from attar.progress import track
from attar.recipe.load import ExportRecipe
from attar.scoring.predictor import softmax
from attar.scoring.session import OnnxModel
from attar.task import Example, Task
from attar.text.buckets import sorted_batches
from attar.text.encoding import Encoding
from attar.threads import map_in_threads

__all__ = [
    "ReferenceLogits",
    "batched_logits",
    "check_fp32",
    "check_int8",
    "check_invariance",
    "compare_int8",
    "failed_gates",
    "labelled_rows",
    "macro_f1_loss",
]

_BATCH = 16
_FP32_TOLERANCE = 1e-4
_INVARIANT = 64  # examples whose logits are computed alone, shuffled and padded


class ReferenceLogits(NamedTuple):
    """The checkpoint's logits [N, C] of the examples that an export is verified on.

    The first ``num_dev`` examples are of dev, the others of train; they may have no labels.
    """

    task: Task
    examples: Sequence[Example]
    logits: NDArray[np.float32]
    num_dev: int


def batched_logits(
    logits: Callable[[Sequence[Encoding]], NDArray[np.float32]],
    encodings: Sequence[Encoding],
    description: str = "logits",
) -> NDArray[np.float32]:
    """Logits [N, C] of an exported model (``OnnxModel.logits``), in the encodings' order; N > 0.

    ``logits`` is called by several threads.
    """
    order = list(sorted_batches([len(e.ids) for e in encodings], _BATCH))
    found = map_in_threads(lambda rows: logits([encodings[i] for i in rows]), order)
    parts = list(track(found, description, len(order), unit="batches"))
    return np.concatenate(parts)[np.argsort([i for rows in order for i in rows])]


def check_fp32(reference: ReferenceLogits, logits: NDArray[np.float32]) -> dict[str, Any]:
    """Compare the fp32 graph's logits of the first examples, [n, C], with the checkpoint's.

    Labels must be equal, except where the checkpoint itself is undecided within the tolerance.

    Raises:
        ParityError: They differ by more than rounding.
    """
    before, after = softmax(reference.logits[: len(logits)], 1.0), softmax(logits, 1.0)
    difference = float(np.abs(before - after).max())
    if not difference <= _FP32_TOLERANCE:
        flips = int((before.argmax(1) != after.argmax(1)).sum())
        raise ParityError(
            f"fp32 export: probs differ from the checkpoint's by up to {difference:.2g} "
            f"(allowed {_FP32_TOLERANCE:g}), {flips} of {len(before)} labels changed; "
            "this is a bug in the export: please report it with the encoder's config.json"
        )
    return {"fp32_max_prob_difference": difference}


def compare_int8(reference: ReferenceLogits, logits: NDArray[np.float32]) -> dict[str, Any]:
    """Compare the int8 graph's logits [N, C] with the checkpoint's.

    Returns:
        ``examples``, ``int8_flips`` (the share of labels that changed), ``int8_mean_prob_difference``,
        ``int8_max_prob_difference`` and, of the labelled ones, ``checkpoint_macro_f1`` and
        ``int8_macro_f1``; the same of dev alone under ``dev``, which was not trained on and so has
        more low-margin rows.
    """
    whole, dev = (
        _compared(reference.task, reference.examples[part], reference.logits[part], logits[part])
        for part in (slice(None), slice(reference.num_dev))
    )
    return whole | {"dev": dev}


def _compared(
    task: Task, examples: Sequence[Example], before: NDArray[np.float32], after: NDArray[np.float32]
) -> dict[str, Any]:
    exact, int8 = softmax(before, 1.0), softmax(after, 1.0)
    difference = np.abs(exact - int8)
    figures: dict[str, Any] = {
        "examples": len(exact),
        "int8_flips": float((exact.argmax(1) != int8.argmax(1)).mean()),
        "int8_mean_prob_difference": float(difference.mean()),
        "int8_max_prob_difference": float(difference.max()),
    }
    labelled, gold = labelled_rows(task, examples)
    if labelled:
        figures["checkpoint_macro_f1"] = scores(task, gold, before[labelled]).macro_f1
        figures["int8_macro_f1"] = scores(task, gold, after[labelled]).macro_f1
    return figures


def labelled_rows(task: Task, examples: Sequence[Example]) -> tuple[list[int], NDArray[np.int64]]:
    """Rows of the examples that have labels, and the indices of those labels."""
    rows = [i for i, example in enumerate(examples) if example.label is not None]
    return rows, np.array([task.index_of(examples[i]) for i in rows], np.int64)


def macro_f1_loss(figures: Mapping[str, Any]) -> float:
    """The checkpoint's macro-F1 less int8's, of the figures of ``compare_int8``; 0 without labels."""
    return float(figures.get("checkpoint_macro_f1", 0.0) - figures.get("int8_macro_f1", 0.0))


def failed_gates(figures: Mapping[str, Any], recipe: ExportRecipe) -> list[str]:
    """A phrase for each gate of the recipe that the figures of ``compare_int8`` fail."""
    failed = []
    if not figures["int8_flips"] <= recipe.max_flips:
        failed.append(f"flips {figures['int8_flips']:.2%} (max_flips {recipe.max_flips:.2%})")
    if macro_f1_loss(figures) > recipe.max_f1_loss:
        failed.append(
            f"macro-F1 {figures['checkpoint_macro_f1']:.4f} -> {figures['int8_macro_f1']:.4f} "
            f"(max_f1_loss {recipe.max_f1_loss:.2%})"
        )
    return failed


def check_int8(
    figures: Mapping[str, Any], recipe: ExportRecipe, layer_errors: Callable[[], Mapping[str, float]]
) -> None:
    """Refuse an int8 graph that fails a gate, naming its layers with the largest errors.

    Raises:
        GateError: More flips or a greater loss than the recipe allows.
    """
    failed = failed_gates(figures, recipe)
    if failed:
        worst = sorted(layer_errors().items(), key=lambda item: -item[1])[:3]
        named = ", ".join(f"{name} {error:.1%}" for name, error in worst)
        raise GateError(
            f"int8 export, on {figures['examples']} examples: {'; '.join(failed)}. Largest relative errors: "
            f"{named}. Set export.precision = 'auto', or raise the gate"
        )


def check_invariance(model: OnnxModel, encodings: Sequence[Encoding], max_tokens: int) -> dict[str, Any]:
    """Check that an example's logits do not depend on the rest of its batch, to the last bit.

    Raises:
        ParityError: Alone, in a shuffled batch and padded to ``max_tokens`` an example has not the
            same bytes.
    """
    chosen = list(encodings[:_INVARIANT])
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
                f"{changed} of {len(chosen)} examples have other logits {name} than alone (by up to "
                f"{np.abs(logits - alone).max():.2g}): ONNX Runtime is not exact on this processor; "
                "try another version of onnxruntime"
            )
    return {"invariant_examples": len(chosen)}
