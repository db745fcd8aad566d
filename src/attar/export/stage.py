"""The ``export`` stage: a checkpoint becomes a verified artifact.

fp32 graph -> parity -> int8 -> gates -> temperature -> artifact. Where int8 fails a gate, or costs more
than the recipe says, a copy of the checkpoint goes through quantisation-aware training; where that
fails too, ``attar.export.mixed_precision`` spends precision where it helps most; the last resort is fp32.
Everything is compared with the checkpoint itself, and nothing is written before it has passed.
"""

from __future__ import annotations

import hashlib
import logging
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from attar.artifact import Artifact
from attar.errors import DataError, GateError
from attar.evaluation.calibration import expected_calibration_error, fit_temperature
from attar.export.graph import build_graph
from attar.export.mixed_precision import mixed_precision_candidates, relative_cost
from attar.export.observers import Calibration
from attar.export.packaging import package
from attar.export.parity import (
    ReferenceLogits,
    batched_logits,
    check_fp32,
    check_int8,
    check_invariance,
    compare_int8,
    failed_gates,
    labelled_rows,
    macro_f1_loss,
)
from attar.export.quantisation import (
    QuantizedModel,
    post_training_quantize,
    qat_settings,
    train_quantization_aware,
)
from attar.export.weights import read_weights
from attar.io.stamps import STATE_FOLDER, drop_state
from attar.metrics import scores
from attar.models.checkpoint import Checkpoint, predict_logits
from attar.recipe.load import ExportRecipe
from attar.scoring.predictor import softmax
from attar.scoring.session import OnnxModel
from attar.system_info import package_versions
from attar.task import Example
from attar.text.encoding import Encoding

__all__ = ["export_checkpoint"]

_LOG = logging.getLogger(__name__)
_PACKAGES = ("attar", "torch", "transformers", "tokenizers", "onnx", "onnxruntime", "numpy")
_FP32_EXAMPLES = 512  # at least: a graph that computes anything else shows it in each of them
_FINGERPRINTED = 16  # examples whose logits identify a checkpoint
_TIMED = 128  # examples, when a mixed artifact's speed is compared with int8's
_ROUNDS = 3


def export_checkpoint(
    checkpoint: Checkpoint,
    dev: Sequence[Example],
    out: Path,
    recipe: ExportRecipe,
    notes: dict[str, Any],
    *,
    train: Sequence[Example] = (),
) -> Path:
    """Write a checkpoint's artifact, whole or not at all.

    Args:
        checkpoint: What was trained.
        dev: Held-out examples, labelled: parity is measured on them first, scores and temperature
            on them alone.
        out: The artifact's folder.
        recipe: The precision and the gates.
        notes: Provenance, added to the checkpoint's own notes.
        train: What it was trained on: int8 is calibrated and, if need be, trained on these, and parity
            measured on as many as ``recipe.parity_examples`` asks for beyond dev. Without them dev
            calibrates and there is no quantisation-aware training.

    Returns:
        ``out``.

    Raises:
        ArtifactError: The architecture cannot be exported.
        DataError: No examples.
        GateError: ``precision = "int8"`` and int8 fails a gate. Nothing is written then.
        ParityError: The graph does not agree with the checkpoint. Nothing is written then.
    """
    if not dev:
        raise DataError(f"export to {out}: no examples to verify on; expected the labelled dev split")
    export = _Export.of(checkpoint, dev, train, recipe)
    _LOG.info("export: the fp32 graph against the checkpoint, %d examples", len(export.first_encodings))
    spec = checkpoint.encoder.spec
    graph = build_graph(read_weights(checkpoint.model), spec)
    session = OnnxModel(graph.SerializeToString(), pad=checkpoint.encoder.pad, spec=spec)
    logits = batched_logits(session.logits, export.first_encodings, "parity: fp32")
    parity = check_fp32(export.reference, logits)
    state = out / STATE_FOLDER
    try:
        chosen = None if recipe.precision == "fp32" else _choose_quantised(export, state)
    except GateError:
        shutil.rmtree(state, ignore_errors=True)  # training is over: there is nothing to resume
        raise
    drop_state(out)
    artifact = Artifact(out, checkpoint.task, spec.to_json(), "fp32", notes=notes)
    if chosen is None:
        parity |= check_invariance(session, export.encodings, spec.max_tokens)
        _write(export, replace(artifact, parity=parity), logits, graph, graph)
        return out
    parity |= chosen.figures | check_invariance(chosen.session, export.encodings, spec.max_tokens)
    model = chosen.model
    artifact = replace(artifact, precision=model.precision, parity=parity)
    if model.precision == "mixed":
        layers = {name: own.precision for name, own in model.params.items()}
        artifact = replace(artifact, layers=layers, products=round(relative_cost(model), 3))
    _write(export, artifact, chosen.logits, model.graph(), build_graph(model.weights, spec))
    return out


@dataclass(frozen=True, slots=True)
class _Export:
    """The arguments of ``export_checkpoint``, and what the model is verified on."""

    checkpoint: Checkpoint
    dev: Sequence[Example]
    train: Sequence[Example]
    recipe: ExportRecipe
    reference: ReferenceLogits
    encodings: list[Encoding]

    @classmethod
    def of(
        cls, checkpoint: Checkpoint, dev: Sequence[Example], train: Sequence[Example], recipe: ExportRecipe
    ) -> _Export:
        examples = [*dev, *train][: recipe.parity_examples]
        logits = predict_logits(checkpoint, examples)
        reference = ReferenceLogits(checkpoint.task, examples, logits, min(len(dev), len(examples)))
        return cls(checkpoint, dev, train, recipe, reference, checkpoint.encoder.encode(examples))

    @property
    def first_encodings(self) -> list[Encoding]:
        """Those that the fp32 graph is verified on: of dev, and as many as show what it computes."""
        return self.encodings[: max(_FP32_EXAMPLES, self.reference.num_dev)]

    def measure(self, name: str, model: QuantizedModel, qat_epochs: float) -> _Measured:
        """Compute a quantised model's logits and compare them with the checkpoint's."""
        session = model.session()
        logits = batched_logits(session.run_pass, self.encodings, f"parity: {name}")
        first_pass = float((logits.argmax(1) != self.reference.logits.argmax(1)).mean())
        low = session.low_margin_rows(logits)
        if low:
            again = [self.encodings[i] for i in low]
            logits[low] = batched_logits(lambda batch: session.run_pass(batch, high_precision=True), again)
        figures = compare_int8(self.reference, logits) | {
            "first_pass_flips": first_pass,
            "second_looks": len(low) / len(logits),
            "tuned_epochs": qat_epochs,
        }
        _LOG.info(
            "export: %s: flips %.2f%% (first pass %.2f%%), macro-F1 loss %+.2f%%, %.2fx the products of int8",
            name, 100 * figures["int8_flips"], 100 * first_pass, 100 * macro_f1_loss(figures),
            relative_cost(model),
        )  # fmt: skip
        return _Measured(model, session, logits, figures, failed_gates(figures, self.recipe))


@dataclass(frozen=True, slots=True)
class _Measured:
    """A quantised model, its logits [N, C] and how they compare; a phrase for each gate that it fails."""

    model: QuantizedModel
    session: OnnxModel
    logits: NDArray[np.float32]
    figures: dict[str, Any]
    failed: list[str]


def _choose_quantised(export: _Export, state: Path) -> _Measured | None:
    """The cheapest quantised model that passes the gates; None where none does.

    Raises:
        GateError: Only int8 is allowed, and it does not pass.
    """
    recipe, encoder = export.recipe, export.checkpoint.encoder
    source = export.train or export.dev
    spread = source[:: max(1, len(source) // recipe.calibration_examples)][: recipe.calibration_examples]
    _LOG.info("export: int8, calibrated on %d examples", len(spread))
    calibration = Calibration(encoder.encode(spread), encoder.pad, encoder.spec)
    model = post_training_quantize(read_weights(export.checkpoint.model), calibration)
    int8 = best = export.measure("int8", model, 0)
    loss = macro_f1_loss(int8.figures)
    if not int8.failed and loss <= recipe.qat_above:
        return int8
    if recipe.qat_epochs and export.train:
        why = "; ".join(int8.failed) or f"macro-F1 loss {loss:.2%} (qat_above {recipe.qat_above:.2%})"
        _LOG.info("export: int8: %s; quantisation-aware training", why)
        trained = _train_quantised(export, model, state)
        best = min(int8, trained, key=_badness)
    if not best.failed:
        return best
    if recipe.precision == "int8":
        check_int8(best.figures, recipe, best.model.layer_errors)
    _LOG.info("export: int8 does not pass; trying mixed precision")
    candidates = mixed_precision_candidates(best.model, export.reference.logits, export.encodings)
    for name, candidate in candidates:
        found = export.measure(name, candidate, best.figures["tuned_epochs"])
        if not found.failed:
            _log_speed(export, found, int8)
            return found
    _LOG.info("export: no quantised model passes the gates (%s); fp32", "; ".join(best.failed))
    return None


def _badness(one: _Measured) -> tuple[bool, float, float]:
    return bool(one.failed), macro_f1_loss(one.figures), one.figures["int8_flips"]


def _train_quantised(export: _Export, model: QuantizedModel, state: Path) -> _Measured:
    """Quantisation-aware training of a copy of the checkpoint; a killed one resumes."""
    recipe = export.recipe
    settings = qat_settings(recipe)
    # The state of another checkpoint or of other settings must not be resumed.
    identity = predict_logits(export.checkpoint, export.train[:_FINGERPRINTED]).tobytes()
    key = hashlib.sha256(identity + settings.model_dump_json().encode()).hexdigest()[:12]
    trained = train_quantization_aware(
        model, export.checkpoint, export.train, export.dev, settings, state / key
    )
    return export.measure("int8 after quantisation-aware training", trained, recipe.qat_epochs)


def _log_speed(export: _Export, mixed: _Measured, int8: _Measured) -> None:
    """Say what mixed precision costs in time on this machine, both timed in turn."""
    encodings, ratios = export.encodings[:_TIMED], []
    for _ in range(_ROUNDS):
        seconds = []
        for one in (mixed, int8):
            begin = time.process_time()
            batched_logits(one.session.logits, encodings)
            seconds.append(time.process_time() - begin)
        ratios.append(seconds[0] / max(seconds[1], 1e-9))
    _LOG.info("export: mixed precision takes %.2fx the CPU time of int8 here", float(np.median(ratios)))


def _write(
    export: _Export,
    artifact: Artifact,
    logits: NDArray[np.float32],
    graph: onnx.ModelProto,
    fp32: onnx.ModelProto,
) -> None:
    """Write an artifact with its scores and temperature, both from the labelled examples of dev."""
    task = export.checkpoint.task
    labelled, gold = labelled_rows(task, export.reference.examples[: export.reference.num_dev])
    if labelled:
        logits = logits[labelled]
        temperature = fit_temperature(logits, gold)
        found = scores(task, gold, logits)
        artifact = replace(
            artifact,
            temperature=temperature,
            scores={"examples": len(gold), "accuracy": found.accuracy, "macro_f1": found.macro_f1},
            calibration={
                "error_before": expected_calibration_error(gold, softmax(logits, 1.0)),
                "error_after": expected_calibration_error(gold, softmax(logits, temperature)),
            },
        )
    opset = next(entry.version for entry in graph.opset_import if not entry.domain)
    versions = package_versions(_PACKAGES) | {"onnx_opset": str(opset)}
    notes = export.checkpoint.notes | dict(artifact.notes)
    package(replace(artifact, notes=notes, versions=versions), graph, fp32, export.checkpoint.encoder)
    _LOG.info("export: wrote %s", artifact.folder)
