"""The ``export`` stage: a checkpoint becomes a verified artifact.

fp32 graph -> parity -> int8 -> parity -> temperature -> artifact. Where int8 fails its gates, or costs
more than the recipe says, a copy of the checkpoint goes through quantisation-aware training; where
that fails too, ``attar.export.ladder`` spends precision where it buys most; the last resort is fp32.
Everything is compared with the checkpoint itself, and nothing is written before it has passed.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import logging
import shutil
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from attar.artifact import Artifact, write_artifact
from attar.errors import DataError
from attar.evaluation.calibration import expected_calibration_error, fit_temperature
from attar.evaluation.metrics import scores
from attar.export.checks import make_checks
from attar.export.graph import build_graph
from attar.export.ladder import num_products, rungs
from attar.export.metadata import with_metadata
from attar.export.observers import Calibration
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
from attar.export.quantisation import (
    QuantizedModel,
    TuningData,
    post_training_quantize,
    train_quantization_aware,
)
from attar.export.weights import read_weights
from attar.models.checkpoint import Checkpoint, predict_logits
from attar.recipe.load import DistillRecipe, ExportRecipe
from attar.scoring.predictor import softmax
from attar.scoring.session import OnnxModel
from attar.task import Example, Task
from attar.text.encoding import Encoding, InputSpec

__all__ = ["export_checkpoint"]

_LOG = logging.getLogger(__name__)
_PACKAGES = ("attar", "torch", "transformers", "tokenizers", "onnx", "onnxruntime", "numpy")
_BATCH = 16
_TIMED = 128  # examples, when a mixed artifact's speed is compared with int8's
_ROUNDS = 3
STATE_FOLDER = "state"
"""Holds quantisation-aware training while it runs; ``attar.stage_cache`` leaves it out of the outputs."""


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
        notes: What the artifact says of where it came from, beside the checkpoint's own notes.
        train: What it was trained on: int8 is calibrated and, if need be, trained on these, and parity
            measured on as many as ``recipe.parity_examples`` asks for beyond dev. Without them dev
            calibrates and there is no quantisation-aware training.

    Returns:
        ``out``.

    Raises:
        ArtifactError: The architecture cannot be exported.
        DataError: No examples.
        ParityError: The fp32 graph does not compute what the checkpoint computes. Nothing is written.
        GateError: ``precision = "int8"``, and int8 does not pass the gates. Nothing is written.
    """
    if not dev:
        raise DataError(f"export to {out}: no examples to verify on; expected the labelled dev split")
    subject = _Subject.of(checkpoint, dev, train, recipe)
    _LOG.info("export: the fp32 graph against the checkpoint, %d examples", len(subject.encodings))
    plain = build_graph(read_weights(checkpoint.model), subject.spec)
    fp32 = subject.open(plain)
    fp32_logits = batched_logits(fp32.logits, subject.encodings, "parity: fp32")
    passed = check_fp32(subject.answers, fp32_logits)
    found = None if recipe.precision == "fp32" else _int8(subject, (dev, train), recipe, out / STATE_FOLDER)
    shutil.rmtree(out / STATE_FOLDER, ignore_errors=True)
    if found is None:
        parity = passed | check_invariance(fp32, subject.encodings, subject.max_tokens)
        artifact = Artifact(out, *subject.identity, "fp32", parity=parity, notes=notes)
        _write(subject, plain, plain, fp32_logits, artifact)
        return out
    parity = passed | found.figures | check_invariance(found.model, subject.encodings, subject.max_tokens)
    form = found.form
    artifact = Artifact(out, *subject.identity, form.precision, parity=parity, notes=notes)
    if form.precision == "mixed":
        layers = {name: grid.precision for name, grid in form.grids.items()}
        artifact = replace(artifact, layers=layers, products=round(num_products(form), 3))
    _write(subject, form.graph(), build_graph(form.weights, subject.spec), found.logits, artifact)
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
    """A quantised form, opened, with its logits on the subject's examples and how they compare.

    ``figures`` says beside the comparison what share of the examples is computed twice, what share of
    labels the first pass alone would change, and for how many epochs the form was trained.
    """

    form: QuantizedModel
    model: OnnxModel
    logits: NDArray[np.float32]
    figures: dict[str, Any]

    @classmethod
    def of(cls, subject: _Subject, name: str, form: QuantizedModel, tuned_epochs: float) -> _Measured:
        model = subject.open(form.graph())
        logits = batched_logits(model.run_pass, subject.encodings, f"parity: {name}")
        labels = subject.answers.logits.argmax(1)
        first_pass = float((logits.argmax(1) != labels).mean())
        ties = model.low_margin_rows(logits)
        if ties:
            close = [subject.encodings[i] for i in ties]
            logits[ties] = batched_logits(lambda batch: model.run_pass(batch, fine=True), close)
        figures = compare_int8(subject.answers, logits)
        figures |= {"first_pass_flips": first_pass, "second_looks": len(ties) / len(logits)}
        figures["tuned_epochs"] = tuned_epochs
        found = cls(form, model, logits, figures)
        _LOG.info("export: %s: %s", name, found.said())
        return found

    def said(self) -> str:
        """The figures that the gates look at, in words."""
        flips, first = self.figures["int8_flips"], self.figures["first_pass_flips"]
        loss = macro_f1_loss(self.figures)
        return (
            f"flips {flips:.2%} (first pass {first:.2%}), macro-F1 loss {loss:+.2%}, "
            f"{num_products(self.form):.2f}x the products of int8"
        )


def _int8(
    subject: _Subject,
    splits: tuple[Sequence[Example], Sequence[Example]],
    recipe: ExportRecipe,
    state: Path,
) -> _Measured | None:
    """The cheapest form that passes the gates; None where none does.

    Raises:
        GateError: int8 alone was asked for and does not pass.
    """
    dev, train = splits
    checkpoint, source = subject.checkpoint, train or dev
    spread = source[:: max(1, len(source) // recipe.calibration_examples)][: recipe.calibration_examples]
    _LOG.info("export: int8, calibrated on %d examples", len(spread))
    encoder = checkpoint.encoder
    calibration = Calibration(encoder.encode(spread), encoder.pad, subject.spec)
    plain = _Measured.of(
        subject, "int8", post_training_quantize(read_weights(checkpoint.model), calibration), 0
    )
    failed, loss = failed_gates(plain.figures, recipe), macro_f1_loss(plain.figures)
    if not failed and loss <= recipe.qat_above:
        return plain
    best = plain
    if recipe.qat_epochs and train:
        why = "; ".join(failed) or f"macro-F1 loss {loss:.2%} (qat_above {recipe.qat_above:.2%})"
        _LOG.info("export: int8: %s; quantisation-aware training", why)
        best = _after_training(subject, plain, splits, recipe, state)
    if not failed_gates(best.figures, recipe):
        return best
    if recipe.precision == "int8":
        shutil.rmtree(state, ignore_errors=True)  # it ended: there is nothing to resume
        check_int8(best.figures, recipe, best.form.errors)
    for found in _finer(subject, best):
        if not failed_gates(found.figures, recipe):
            _log_speed(subject, found, plain)
            return found
    _LOG.info("export: no form passes the gates (%s); fp32", "; ".join(failed_gates(best.figures, recipe)))
    return None


def _after_training(
    subject: _Subject,
    plain: _Measured,
    splits: tuple[Sequence[Example], Sequence[Example]],
    recipe: ExportRecipe,
    state: Path,
) -> _Measured:
    """The better of a form and what quantisation-aware training makes of it."""
    dev, train = splits
    settings = DistillRecipe(
        epochs=recipe.qat_epochs,
        learning_rate=recipe.qat_learning_rate,
        weight_decay=0,
        keep="last",
        precision="fp32",
        head="random",
    )
    # A state of another checkpoint or other settings is no state of this training.
    identity = predict_logits(subject.checkpoint, train[:_BATCH]).tobytes()
    mark = hashlib.sha256(identity + settings.model_dump_json().encode()).hexdigest()[:12]
    data = TuningData(train, dev, settings, state / mark)
    form = train_quantization_aware(plain.form, subject.checkpoint, data)
    tuned = _Measured.of(subject, "int8 after quantisation-aware training", form, recipe.qat_epochs)

    def rank(one: _Measured) -> tuple[bool, float, float]:
        return bool(failed_gates(one.figures, recipe)), macro_f1_loss(one.figures), one.figures["int8_flips"]

    return min(plain, tuned, key=rank)


def _finer(subject: _Subject, base: _Measured) -> Iterator[_Measured]:
    _LOG.info("export: int8 does not pass; finer arithmetic where it buys most")
    epochs = base.figures["tuned_epochs"]
    for name, form in rungs(base.form, subject.answers.logits, subject.encodings):
        yield _Measured.of(subject, name, form, epochs)


def _log_speed(subject: _Subject, found: _Measured, plain: _Measured) -> None:
    """Say what the finer arithmetic costs in time on this machine, both measured in turn."""
    some = subject.encodings[:_TIMED]
    ratios = []
    for _ in range(_ROUNDS):
        seconds = []
        for one in (found, plain):
            begin = time.process_time()
            batched_logits(one.model.logits, some)
            seconds.append(time.process_time() - begin)
        ratios.append(seconds[0] / max(seconds[1], 1e-9))
    _LOG.info("export: mixed precision takes %.2fx the CPU time of int8 here", float(np.median(ratios)))


def _write(
    subject: _Subject,
    proto: onnx.ModelProto,
    fp32: onnx.ModelProto,
    logits: NDArray[np.float32],
    artifact: Artifact,
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
    encoder = subject.checkpoint.encoder
    tokenizer = encoder.tokenizer.to_str()
    checks = make_checks(proto, fp32, encoder).to_json()
    model = with_metadata(proto, artifact, tokenizer).SerializeToString()
    write_artifact(artifact, model=model, tokenizer=tokenizer, checks=checks)
    _LOG.info("export: wrote %s", artifact.folder)


def _versions() -> dict[str, str]:
    found = {}
    for name in _PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found
