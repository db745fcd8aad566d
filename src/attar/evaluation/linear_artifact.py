"""The tuned linear model as an artifact: what ``attar run`` leaves in ``RUN/linear``.

Fitting needs scikit-learn, scoring only NumPy: the arrays are written out, and no pickle is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from attar.artifact import Artifact, write_files
from attar.evaluation.baselines import WindowedLinear
from attar.evaluation.calibration import expected_calibration_error, fit_temperature
from attar.metrics import scores
from attar.scoring.linear import LinearScorer
from attar.scoring.scorer import softmax
from attar.scoring.verify import make_linear_checks
from attar.system_info import package_versions
from attar.task import Example, Task

__all__ = ["write_linear"]

_PACKAGES = ("attar", "numpy", "scikit-learn")


def write_linear(
    linear: WindowedLinear, task: Task, dev: Sequence[Example], out: Path, notes: Mapping[str, Any]
) -> Artifact:
    """Write a fitted linear model's artifact, whole or not at all.

    Args:
        linear: What was fitted.
        task: Names the labels.
        dev: Labelled examples: scores and temperature are measured on them.
        out: The artifact's folder.
        notes: Provenance.
    """
    model = linear.to_model()
    scorer = LinearScorer(model, 1.0)
    gold = np.array([task.index_of(example) for example in dev], np.int64)
    logits = scorer.logits(dev)
    temperature = fit_temperature(logits, gold)
    found = scores(task, gold, logits)
    tuned = {"window_chars": linear.window_chars, "strength": linear.strength, "ngrams": len(model.ngrams)}
    artifact = Artifact(
        folder=out,
        task=task,
        input={"style": task.style, "window_chars": linear.window_chars},
        precision="fp32",
        kind="linear",
        temperature=temperature,
        scores={"examples": len(gold), "accuracy": found.accuracy, "macro_f1": found.macro_f1},
        calibration={
            "error_before": expected_calibration_error(gold, softmax(logits, 1.0)),
            "error_after": expected_calibration_error(gold, softmax(logits, temperature)),
        },
        notes={**notes, "role": "linear", **tuned},
        versions=package_versions(_PACKAGES),
    )
    return write_files(artifact, model.to_files(), make_linear_checks(scorer).to_json())
