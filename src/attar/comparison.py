"""The models of one run side by side: each made a callable and handed to ``evaluation``."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from attar.artifact import load_artifact
from attar.evaluation.baselines import Majority, WindowedLinear
from attar.evaluation.benchmark import Side, interleaved
from attar.evaluation.report import Candidate, evaluate
from attar.models.checkpoint import Checkpoint, batch_to, load_checkpoint, predict_logits
from attar.recipe import Recipe
from attar.records.prepared import load_split
from attar.scoring.predictor import Predictor, softmax
from attar.task import Example

__all__ = ["as_the_seed_runs_it", "bench", "compare"]


def compare(recipe: Recipe, data: Path, models: Mapping[str, Path], out: Path) -> None:
    """Score every model of a run on the test split and write the report.

    Args:
        recipe: Task, input and the report's settings.
        data: A folder written by ``attar prepare``; the baselines are fitted on it.
        models: Folders by role: teacher, student, finetuned (checkpoints), artifact.
        out: Gets report.json and report.html.
    """
    task = recipe.resolved_task()
    train, dev, test = (load_split(data, name) for name in ("train", "dev", "test"))
    candidates = []
    for role, description in (
        ("teacher", "the fine-tuned encoder, torch fp32, padded, batch 8"),
        ("student", "the distilled student, torch fp32, length buckets"),
        ("finetuned", "the same student trained on the labels alone"),
    ):
        if role in models:
            candidates.append(_checkpoint_candidate(role, models[role], description))
    if "artifact" in models:
        candidates.append(_artifact_candidate(models["artifact"]))
    linear = WindowedLinear(task, train, dev)
    window = f"{linear.window_chars} characters" if linear.window_chars else "the clause"
    description = f"TF-IDF of characters, {window} around the term, and a balanced linear model"
    candidates.append(Candidate("tfidf", linear, linear.size_bytes, linear, description))
    majority = Majority(task, train)
    candidates.append(Candidate("majority", majority, None, None, "always the commonest label"))
    evaluate(candidates, test, task, recipe.evaluate, title=recipe.name, out=out, seed=recipe.seed)


def _checkpoint_candidate(role: str, folder: Path, description: str) -> Candidate:
    checkpoint = load_checkpoint(folder)

    def predict(examples: Sequence[Example]) -> NDArray[np.float32]:
        return softmax(predict_logits(checkpoint, examples), 1.0)

    timed = (lambda examples: as_the_seed_runs_it(checkpoint, examples)) if role == "teacher" else predict
    size = (folder / "model.safetensors").stat().st_size
    return Candidate(role, predict, size, timed, description)


def _artifact_candidate(folder: Path) -> Candidate:
    score = _scorer(folder)
    size = (folder / "model.onnx").stat().st_size
    return Candidate("student_int8", score, size, score, "the artifact: ONNX Runtime, int8")


def _scorer(folder: Path) -> Callable[[Sequence[Example]], NDArray[np.float32]]:
    """An artifact's probs; every example is computed, so that timing over repeated ones is fair."""
    return Predictor(load_artifact(folder), deduplicate=False).predict_probs


@torch.inference_mode()
def as_the_seed_runs_it(
    checkpoint: Checkpoint, examples: Sequence[Example], batch_size: int = 8
) -> NDArray[np.float32]:
    """Logits [N, C] as the original system computes them: torch fp32, all padded, batches of 8."""
    out = []
    for i in range(0, len(examples), batch_size):
        encodings = checkpoint.encoder.encode(examples[i : i + batch_size])
        inputs = batch_to(checkpoint, encodings, length=checkpoint.encoder.spec.max_tokens)
        out.append(checkpoint.model(**inputs).logits.numpy())
    return np.concatenate(out)


def bench(artifact: Path, against: Sequence[Path], data: Path, repeats: int) -> dict[str, dict[str, Any]]:
    """Time an artifact and other models in turns on a prepared folder's test split.

    Args:
        artifact: Timed first; the others are compared with it.
        against: Checkpoints (run as the seed runs one) or artifacts.
        data: A folder written by ``attar prepare``.
        repeats: Interleaved rounds.

    Returns:
        ``attar.evaluation.benchmark.Speed`` as a dict, by the folder's name.
    """
    examples = load_split(data, "test")
    sides: dict[str, Side] = {}
    for folder in (artifact, *against):
        name = folder.name if folder.name not in sides else str(folder)
        sides[name] = _side_of(folder)
    return {name: asdict(speed) for name, speed in interleaved(sides, examples, repeats).items()}


def _side_of(folder: Path) -> Side:
    if (folder / "model.safetensors").is_file():
        checkpoint = load_checkpoint(folder)
        return lambda examples: as_the_seed_runs_it(checkpoint, examples)
    return _scorer(folder)
