"""``attar evaluate``: loads the models of a run and hands them to ``evaluate`` as callables.

The only module of this package that loads models.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from attar.artifact import load_artifact
from attar.bench.original import run_as_original
from attar.errors import DataError
from attar.evaluation.baselines import Majority, WindowedLinear
from attar.evaluation.names import IN_SERVICE_SAID, LINEAR
from attar.evaluation.report import IN_SERVICE, Against, Candidate, evaluate
from attar.evaluation.settings import EvaluateSettings
from attar.gate.in_service import InService
from attar.language.translator import N_
from attar.models.checkpoint import load_checkpoint, predict_logits
from attar.records.prepared_folder import load_split, read_rows
from attar.records.record import Record
from attar.scoring.predictor import Predictor, softmax
from attar.task import Example, Task

__all__ = ["artifact_candidate", "checkpoint_candidate", "evaluate_models"]

_ROLES = (
    ("teacher", N_("the fine-tuned encoder, torch fp32, padded, batch 8")),
    ("student", N_("the distilled student, torch fp32, length buckets")),
    ("finetuned", N_("the same student trained on the labels alone")),
)
_ARTIFACTS = {
    "linear": N_("the artifact: a linear model, NumPy"),
    "cascade": N_("the artifact: a cascade"),
    "int8": N_("the artifact: ONNX Runtime, int8"),
    "mixed": N_("the artifact: ONNX Runtime, mixed"),
    "fp32": N_("the artifact: ONNX Runtime, fp32"),
}


def evaluate_models(
    settings: EvaluateSettings,
    data: Path,
    models: Mapping[str, Path],
    out: Path,
    linear: Path | None = None,
    in_service: InService | None = None,
) -> None:
    """Score every model of a run on the test split and write the report.

    Args:
        settings: Of the recipe.
        data: A folder written by ``attar prepare``; the baselines are fitted on it.
        models: Folders by role: teacher, student, finetuned (checkpoints), artifact.
        out: Gets report.json and report.html.
        linear: The artifact of the linear baseline, where it has been fitted on this data already.
        in_service: The model in service, which the artifact is judged against.
    """
    task = settings.task
    train, dev, test = (load_split(data, name) for name in ("train", "dev", "test"))
    candidates = []
    for role, description in _ROLES:
        if role in models:
            candidates.append(
                checkpoint_candidate(role, models[role], description, task, as_original=role == "teacher")
            )
    if "artifact" in models:
        candidates.append(artifact_candidate("student_int8", models["artifact"], task))
    if linear is not None:
        candidates.append(_linear_candidate(linear, task))
    else:
        fitted = WindowedLinear(task, train, dev)
        description = LINEAR.format(window=_window(fitted.window_chars))
        candidates.append(Candidate("tfidf", fitted, fitted.size_bytes, fitted, description))
    if in_service is not None and "artifact" in models:
        old = artifact_candidate(IN_SERVICE, in_service.artifact, task)
        candidates.append(replace(old, description=IN_SERVICE_SAID.format(what=old.description)))
    majority = Majority(task, train)
    candidates.append(Candidate("majority", majority, None, None, N_("always the commonest label")))
    counts = Counter(example.label for example in train)
    evaluate(
        candidates,
        test,
        task,
        settings.evaluate,
        title=settings.title,
        out=out,
        seed=settings.seed,
        gate=settings.gate,
        train_labels={label: counts[label] for label in task.labels},
        against=None if in_service is None or "artifact" not in models else _against(in_service),
    )


def _against(in_service: InService) -> Against:
    """What the report says of the model in service, with the texts that it has trained on."""
    artifact = load_artifact(in_service.artifact)
    seen = {
        record.text
        for path in in_service.trained_on
        for record in read_rows(path)
        if isinstance(record, Record)
    }
    return Against(str(in_service.artifact), artifact.version, seen, in_service.min_gain)


def _window(chars: int | None) -> str:
    return f"{chars} characters" if chars else "the clause"


def _linear_candidate(folder: Path, task: Task) -> Candidate:
    """The linear baseline as it is deployed."""
    found = artifact_candidate("tfidf", folder, task)
    description = LINEAR.format(window=_window(load_artifact(folder).input["window_chars"]))
    return replace(found, description=description, precision=None)


def _check_labels(folder: Path, labels: Sequence[str], task: Task) -> None:
    """Refuse a model of other labels, or of the same in another order."""
    if tuple(labels) != tuple(task.labels):
        raise DataError(
            f"{folder} has the labels {', '.join(labels)}, but the data has {', '.join(task.labels)}, in "
            "that order; name data of its task"
        )


def checkpoint_candidate(
    name: str, folder: Path, description: str, task: Task, *, as_original: bool = False
) -> Candidate:
    """A checkpoint as a candidate, timed in length buckets or as the original system runs it.

    Raises:
        DataError: Its labels are not the task's.
    """
    checkpoint = load_checkpoint(folder)
    _check_labels(folder, checkpoint.task.labels, task)

    def predict(examples: Sequence[Example]) -> NDArray[np.float32]:
        return softmax(predict_logits(checkpoint, examples), 1.0)

    timed = (lambda examples: run_as_original(checkpoint, examples)) if as_original else predict
    return Candidate(name, predict, (folder / "model.safetensors").stat().st_size, timed, description)


def artifact_candidate(name: str, folder: Path, task: Task) -> Candidate:
    """An artifact as a candidate; see ``checkpoint_candidate``."""
    artifact = load_artifact(folder)
    _check_labels(folder, artifact.task.labels, task)
    # Repeated examples are computed again, so that timing is fair.
    predictor = Predictor(artifact, deduplicate=False)

    def uncalibrated(examples: Sequence[Example]) -> NDArray[np.float32]:
        return softmax(predictor.predict_logits(examples), 1.0)

    predict = predictor.predict_probs
    size, precision = artifact.model_bytes, artifact.precision
    description = _ARTIFACTS[artifact.kind if artifact.kind in _ARTIFACTS else str(precision)]
    found = Candidate(name, predict, size, predict, description, precision)
    if artifact.kind == "cascade":  # each of its members has a temperature of its own
        return found
    return replace(found, temperature=artifact.temperature, uncalibrated=uncalibrated)
