"""The ``export`` stage: a checkpoint becomes a verified artifact.

fp32 graph -> parity -> calibration of ranges -> int8 graph -> parity -> temperature -> artifact.
An int8 graph with fixed scales that fails its gate is tried again with a scale for each row. If that
fails too, the fp32 artifact is kept beside the place where the int8 one would be.
"""

from __future__ import annotations

import importlib.metadata
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from attar.artifact import Artifact, write_artifact
from attar.errors import DataError, ParityError
from attar.evaluation.calibration import expected_calibration_error, fit_temperature
from attar.evaluation.metrics import scores
from attar.export.calibrate import activation_ranges, layer_errors
from attar.export.graph import Quantisation, build_graph
from attar.export.parity import Answers, batched_logits, check_fp32, check_int8, check_invariance
from attar.models.checkpoint import Checkpoint, predict_logits
from attar.recipe import ExportRecipe
from attar.scoring.predictor import softmax
from attar.scoring.session import OnnxModel
from attar.task import Example, Task
from attar.text.encoding import Encoding, InputSpec

__all__ = ["export_checkpoint"]

_LOG = logging.getLogger(__name__)
_PACKAGES = ("attar", "torch", "transformers", "tokenizers", "onnx", "onnxruntime", "numpy")


def export_checkpoint(
    checkpoint: Checkpoint,
    examples: Sequence[Example],
    out: Path,
    recipe: ExportRecipe,
    notes: dict[str, Any],
) -> Path:
    """Write a checkpoint's int8 artifact, whole or not at all.

    Args:
        checkpoint: What was trained.
        examples: Held-out ones, labelled: ranges are taken from the first
            ``recipe.calibration_examples``, parity and temperature from the first
            ``recipe.parity_examples``.
        out: The artifact's folder.
        recipe: The gates.
        notes: What the artifact says of where it came from, beside the checkpoint's own notes.

    Returns:
        ``out``.

    Raises:
        ArtifactError: The architecture cannot be exported.
        DataError: No examples.
        ParityError: The export does not answer as the checkpoint does. If it is int8 that fails,
            ``<out>-fp32`` holds an artifact that does.
    """
    if not examples:
        raise DataError(f"export to {out}: no examples to verify on; expected the labelled dev split")
    subject = _Subject.of(checkpoint, examples[: recipe.parity_examples])
    _LOG.info("export: the fp32 graph against the checkpoint, %d examples", len(subject.encodings))
    plain = subject.graph(None)
    fp32 = subject.open(plain)
    fp32_logits = batched_logits(fp32, subject.encodings)
    passed = check_fp32(subject.answers, fp32_logits)
    calibrating = subject.encodings[: recipe.calibration_examples]
    ranges = activation_ranges(plain, calibrating, pad=subject.pad, spec=subject.spec)
    errors = partial(layer_errors, plain, ranges, calibrating, pad=subject.pad, spec=subject.spec)
    _LOG.info("export: the int8 graph against the checkpoint")
    try:
        try:
            quantised, int8_logits, parity = _quantised(subject, Quantisation(ranges), recipe, errors)
        except ParityError as error:
            _LOG.info("export: %s A scale for each row instead, a little slower.", error)
            quantised, int8_logits, parity = _quantised(subject, Quantisation({}), recipe, errors)
    except ParityError as error:
        beside = out.with_name(f"{out.name}-fp32")
        passed |= check_invariance(fp32, subject.encodings, subject.spec.max_tokens)
        _write(
            subject,
            plain,
            fp32_logits,
            Artifact(beside, *subject.identity, "fp32", parity=passed, notes=notes),
        )
        raise ParityError(f"{error} The fp32 artifact passed; it is in {beside}") from error
    parity = passed | parity
    _write(
        subject, quantised, int8_logits, Artifact(out, *subject.identity, "int8", parity=parity, notes=notes)
    )
    return out


def _quantised(
    subject: _Subject,
    form: Quantisation,
    recipe: ExportRecipe,
    errors: Callable[[], Mapping[str, float]],
) -> tuple[onnx.ModelProto, NDArray[np.float32], dict[str, Any]]:
    """One int8 form: its graph, its logits on the subject's examples, and the gates it passed."""
    graph = subject.graph(form)
    model = subject.open(graph)
    logits = batched_logits(model, subject.encodings)
    figures = {"fixed_scales": len(form.ranges)} | check_int8(subject.answers, logits, recipe, errors)
    return graph, logits, figures | check_invariance(model, subject.encodings, subject.spec.max_tokens)


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
    def of(cls, checkpoint: Checkpoint, examples: Sequence[Example]) -> _Subject:
        answers = Answers(checkpoint.task, examples, predict_logits(checkpoint, examples))
        return cls(checkpoint, checkpoint.encoder.encode(examples), answers)

    @property
    def pad(self) -> int:
        return self.checkpoint.encoder.pad

    @property
    def spec(self) -> InputSpec:
        return self.checkpoint.encoder.spec

    @property
    def identity(self) -> tuple[Task, dict[str, Any]]:
        return self.checkpoint.task, self.checkpoint.encoder.spec.to_json()

    def graph(self, quantisation: Quantisation | None) -> onnx.ModelProto:
        return build_graph(self.checkpoint.model, self.spec, quantisation)

    def open(self, proto: onnx.ModelProto) -> OnnxModel:
        return OnnxModel(proto.SerializeToString(), pad=self.pad, spec=self.spec)


def _write(
    subject: _Subject, proto: onnx.ModelProto, logits: NDArray[np.float32], artifact: Artifact
) -> None:
    """Write an artifact with its scores and temperature, both from the labelled examples."""
    task, examples = subject.answers.task, subject.answers.examples
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
    artifact = replace(artifact, notes=subject.checkpoint.notes | dict(artifact.notes), versions=_versions())
    write_artifact(
        artifact, model=proto.SerializeToString(), tokenizer=subject.checkpoint.encoder.tokenizer.to_str()
    )
    _LOG.info("export: wrote %s", artifact.folder)


def _versions() -> dict[str, str]:
    found = {}
    for name in _PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found
