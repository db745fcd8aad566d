"""``attar evaluate``: loads the models of a run and hands them to ``evaluate`` as callables.

The only module of this package that loads models.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from attar.artifact import load_artifact
from attar.bench.original import run_as_original
from attar.errors import DataError
from attar.evaluation.baselines import Majority, WindowedLinear
from attar.evaluation.report import Candidate, evaluate
from attar.evaluation.settings import EvaluateSettings
from attar.models.checkpoint import load_checkpoint, predict_logits
from attar.records.prepared_folder import load_split
from attar.scoring.predictor import Predictor, softmax
from attar.task import Example, Task

__all__ = ["artifact_candidate", "checkpoint_candidate", "evaluate_models"]


def evaluate_models(
    settings: EvaluateSettings,
    data: Path,
    models: Mapping[str, Path],
    out: Path,
    linear: WindowedLinear | None = None,
) -> None:
    """Score every model of a run on the test split and write the report.

    Args:
        settings: Of the recipe.
        data: A folder written by ``attar prepare``; the baselines are fitted on it.
        models: Folders by role: teacher, student, finetuned (checkpoints), artifact.
        out: Gets report.json and report.html.
        linear: The linear baseline, where it has been fitted on this data already.
    """
    task = settings.task
    train, dev, test = (load_split(data, name) for name in ("train", "dev", "test"))
    candidates = []
    for role, description in (
        ("teacher", "the fine-tuned encoder, torch fp32, padded, batch 8"),
        ("student", "the distilled student, torch fp32, length buckets"),
        ("finetuned", "the same student trained on the labels alone"),
    ):
        if role in models:
            candidates.append(
                checkpoint_candidate(role, models[role], description, task, as_original=role == "teacher")
            )
    if "artifact" in models:
        candidates.append(artifact_candidate("student_int8", models["artifact"], task))
    linear = linear or WindowedLinear(task, train, dev)
    window = f"{linear.window_chars} characters" if linear.window_chars else "the clause"
    description = f"TF-IDF of characters, {window} around the term, and a balanced linear model"
    candidates.append(Candidate("tfidf", linear, linear.size_bytes, linear, description))
    majority = Majority(task, train)
    candidates.append(Candidate("majority", majority, None, None, "always the commonest label"))
    evaluate(candidates, test, task, settings.evaluate, title=settings.title, out=out, seed=settings.seed)


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
    predict = Predictor(artifact, deduplicate=False).predict_probs
    size, precision = artifact.model_bytes, artifact.precision
    description = f"the artifact: ONNX Runtime, {precision}"
    return Candidate(name, predict, size, predict, description, precision)
