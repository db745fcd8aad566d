"""The ``export`` stage: a checkpoint becomes a verified artifact.

fp32 graph -> parity -> int8 form -> parity -> temperature -> artifact. An int8 form that fails its
gate, or costs more than the recipe says, is tuned: a copy of the checkpoint learns the rounding.
It is still compared with the checkpoint itself. If that fails too, the fp32 artifact is kept beside
the place where the int8 one would be.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import logging
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from attar.artifact import Artifact, write_artifact
from attar.errors import DataError, ParityError
from attar.evaluation.calibration import expected_calibration_error, fit_temperature
from attar.evaluation.metrics import scores
from attar.export.graph import build_graph
from attar.export.metadata import with_metadata
from attar.export.parity import (
    Answers,
    batched_logits,
    check_fp32,
    check_int8,
    check_invariance,
    compare_int8,
    failed_gates,
    macro_f1_loss,
)
from attar.export.quantise import Int8Form, TuningData, choose_form, tune_form
from attar.export.taps import Calibration
from attar.export.weights import read_weights
from attar.models.checkpoint import Checkpoint, predict_logits
from attar.recipe import DistillRecipe, ExportRecipe
from attar.scoring.predictor import softmax
from attar.scoring.session import OnnxModel
from attar.task import Example, Task
from attar.text.encoding import Encoding, InputSpec

__all__ = ["export_checkpoint"]

_LOG = logging.getLogger(__name__)
_PACKAGES = ("attar", "torch", "transformers", "tokenizers", "onnx", "onnxruntime", "numpy")
_BATCH = 16
_STATE = "state"  # what attar.run leaves out of a stage's outputs


def export_checkpoint(
    checkpoint: Checkpoint,
    dev: Sequence[Example],
    out: Path,
    recipe: ExportRecipe,
    notes: dict[str, Any],
    *,
    train: Sequence[Example] = (),
) -> Path:
    """Write a checkpoint's int8 artifact, whole or not at all.

    Args:
        checkpoint: What was trained.
        dev: Held-out examples, labelled: parity is measured on them first, scores and temperature
            on them alone.
        out: The artifact's folder.
        recipe: The gates.
        notes: What the artifact says of where it came from, beside the checkpoint's own notes.
        train: What it was trained on: int8 is calibrated and, if need be, tuned on these, and parity
            measured on as many as ``recipe.parity_examples`` asks for beyond dev. Without them dev
            calibrates and nothing is tuned.

    Returns:
        ``out``.

    Raises:
        ArtifactError: The architecture cannot be exported.
        DataError: No examples.
        ParityError: The export does not answer as the checkpoint does. If it is int8 that fails,
            ``<out>-fp32`` holds an artifact that does.
    """
    if not dev:
        raise DataError(f"export to {out}: no examples to verify on; expected the labelled dev split")
    subject = _Subject.of(checkpoint, dev, train, recipe)
    _LOG.info("export: the fp32 graph against the checkpoint, %d examples", len(subject.encodings))
    plain = build_graph(read_weights(checkpoint.model), subject.spec)
    fp32 = subject.open(plain)
    fp32_logits = batched_logits(fp32.logits, subject.encodings)
    passed = check_fp32(subject.answers, fp32_logits)
    try:
        found = _int8(subject, (dev, train), recipe, out / _STATE)
        check_int8(found.figures, recipe, found.form.errors)
        parity = passed | found.figures | check_invariance(found.model, subject.encodings, subject.max_tokens)
    except ParityError as error:
        beside = out.with_name(f"{out.name}-fp32")
        passed |= check_invariance(fp32, subject.encodings, subject.max_tokens)
        artifact = Artifact(beside, *subject.identity, "fp32", parity=passed, notes=notes)
        _write(subject, plain, fp32_logits, artifact)
        raise ParityError(f"{error} The fp32 artifact passed; it is in {beside}") from error
    artifact = Artifact(out, *subject.identity, "int8", parity=parity, notes=notes)
    _write(subject, found.form.graph(), found.logits, artifact)
    return out


@dataclass(frozen=True, slots=True)
class _Subject:
    """What is exported and what it is verified on.

    Attributes:
        checkpoint: The model and its input.
        encodings: Of the examples.
        answers: The checkpoint's.
    """

    checkpoint: Checkpoint
    encodings: list[Encoding]
    answers: Answers

    @classmethod
    def of(
        cls, checkpoint: Checkpoint, dev: Sequence[Example], train: Sequence[Example], recipe: ExportRecipe
    ) -> _Subject:
        examples = [*dev, *train][: recipe.parity_examples]
        logits = predict_logits(checkpoint, examples)
        answers = Answers(checkpoint.task, examples, logits, min(len(dev), len(examples)))
        return cls(checkpoint, checkpoint.encoder.encode(examples), answers)

    @property
    def spec(self) -> InputSpec:
        return self.checkpoint.encoder.spec

    @property
    def max_tokens(self) -> int:
        return self.spec.max_tokens

    @property
    def identity(self) -> tuple[Task, dict[str, Any]]:
        return self.checkpoint.task, self.spec.to_json()

    def open(self, proto: onnx.ModelProto) -> OnnxModel:
        return OnnxModel(proto.SerializeToString(), pad=self.checkpoint.encoder.pad, spec=self.spec)


@dataclass(frozen=True, slots=True)
class _Measured:
    """An int8 form, opened, with its logits on the subject's examples and how they compare.

    ``figures`` says beside the comparison what share of the examples is looked at twice, and for how many
    epochs the form was tuned.
    """

    form: Int8Form
    model: OnnxModel
    logits: NDArray[np.float32]
    figures: dict[str, Any]

    @classmethod
    def of(cls, subject: _Subject, form: Int8Form, tuned_epochs: float) -> _Measured:
        model = subject.open(form.graph())
        logits = batched_logits(model.logits, subject.encodings)
        twice = len(model.near_ties(batched_logits(model.look, subject.encodings))) / len(logits)
        figures = compare_int8(subject.answers, logits)
        figures |= {"second_looks": twice, "tuned_epochs": tuned_epochs}
        return cls(form, model, logits, figures)


def _int8(
    subject: _Subject,
    splits: tuple[Sequence[Example], Sequence[Example]],
    recipe: ExportRecipe,
    state: Path,
) -> _Measured:
    """The checkpoint in int8: as it is or, where that costs too much, tuned."""
    dev, train = splits
    checkpoint, source = subject.checkpoint, train or dev
    spread = source[:: max(1, len(source) // recipe.calibration_examples)][: recipe.calibration_examples]
    _LOG.info("export: int8, calibrated on %d examples", len(spread))
    encoder = checkpoint.encoder
    calibration = Calibration(encoder.encode(spread), encoder.pad, subject.spec)
    plain = _Measured.of(subject, choose_form(read_weights(checkpoint.model), calibration), 0)
    failed, loss = failed_gates(plain.figures, recipe), macro_f1_loss(plain.figures)
    if not recipe.qat_epochs or not train or (not failed and loss <= recipe.qat_above):
        return plain
    why = "; ".join(failed) or f"macro-F1 loss {loss:.2%} (qat_above {recipe.qat_above:.2%})"
    _LOG.info("export: int8: %s. It learns the rounding now.", why)
    settings = DistillRecipe(
        epochs=recipe.qat_epochs,
        learning_rate=recipe.qat_learning_rate,
        weight_decay=0,
        keep="last",
        precision="fp32",
        head="random",
    )
    # A state of another checkpoint or other settings is no state of this training.
    identity = predict_logits(checkpoint, train[:_BATCH]).tobytes() + settings.model_dump_json().encode()
    mark = hashlib.sha256(identity).hexdigest()[:12]
    data = TuningData(train, dev, settings, state / mark)
    tuned = _Measured.of(subject, tune_form(plain.form, checkpoint, data), recipe.qat_epochs)
    shutil.rmtree(state)

    def rank(one: _Measured) -> tuple[bool, float, float]:
        return bool(failed_gates(one.figures, recipe)), macro_f1_loss(one.figures), one.figures["int8_flips"]

    return min(plain, tuned, key=rank)


def _write(
    subject: _Subject, proto: onnx.ModelProto, logits: NDArray[np.float32], artifact: Artifact
) -> None:
    """Write an artifact with its scores and temperature, both from the labelled examples of dev."""
    task, examples = subject.answers.task, subject.answers.examples[: subject.answers.num_dev]
    labelled = [i for i, example in enumerate(examples) if example.label is not None]
    if labelled:
        gold = np.array([task.index_of(examples[i]) for i in labelled])
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
    opset = next(entry.version for entry in proto.opset_import if not entry.domain)
    versions = _versions() | {"onnx_opset": str(opset)}
    artifact = replace(artifact, notes=subject.checkpoint.notes | dict(artifact.notes), versions=versions)
    tokenizer = subject.checkpoint.encoder.tokenizer.to_str()
    model = with_metadata(proto, artifact, tokenizer).SerializeToString()
    write_artifact(artifact, model=model, tokenizer=tokenizer)
    _LOG.info("export: wrote %s", artifact.folder)


def _versions() -> dict[str, str]:
    found = {}
    for name in _PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found
