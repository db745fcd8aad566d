"""``attar evaluate``: candidates, examples and a task in; report.json, report.html, answers.xlsx out.

A candidate is a name and a callable. All are scored on the same examples and the same bootstrap
draws, timed in one interleaved run, and compared with the reference (the teacher) and, pair by
pair, with the chosen one (the int8 student).
"""

from __future__ import annotations

import importlib.util
import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from attar.bench.timing import Side, Speed, interleaved, times_faster
from attar.compare.workbook import ANSWERS, write_answers
from attar.errors import DataError
from attar.evaluation.calibration import brier_score, expected_calibration_error, reliability
from attar.evaluation.intervals import Resampled, paired_difference, resample
from attar.evaluation.metrics import scores
from attar.evaluation.page import render_page, shown_model
from attar.io.files import atomic_write, write_json
from attar.metrics import accuracy_of, confusion_counts, macro_f1_present
from attar.progress import track
from attar.recipe.load import EvaluateRecipe
from attar.system_info import package_versions
from attar.task import Example, Task

__all__ = ["Candidate", "evaluate"]

_VERSIONED = ("attar", "numpy", "scikit-learn", "onnxruntime", "tokenizers", "torch", "transformers")
_GROUPED_BY = {"channels": "channel", "wordtypes": "wordtype"}

Probs = NDArray[np.float32]


@dataclass(frozen=True)
class Candidate:
    """One model of the report.

    Attributes:
        name: teacher, student, student_int8, finetuned, tfidf, majority, or any other.
        predict: Examples -> probs [N, C].
        size_bytes: Of what is deployed, or None where nothing is.
        timed: What is called to measure speed; None leaves the candidate out of that.
        description: One line for the reader.
    """

    name: str
    predict: Callable[[Sequence[Example]], Probs]
    size_bytes: int | None = None
    timed: Side | None = None
    description: str = ""


def evaluate(  # noqa: PLR0913 - one call is the whole stage
    candidates: Sequence[Candidate],
    examples: Sequence[Example],
    task: Task,
    recipe: EvaluateRecipe,
    *,
    title: str,
    out: Path,
    reference: str = "teacher",
    chosen: str = "student_int8",
    seed: int = 20,
) -> dict[str, Any]:
    """Measure candidates and write ``report.json`` and ``report.html`` into ``out``.

    Where openpyxl is installed, ``answers.xlsx`` has the chosen one's predictions beside the
    reference's. Nothing is written unless everything could be measured and drawn.

    Args:
        candidates: Any subset of the usual ones; what needs a missing one is null.
        examples: The labelled test set.
        task: Names the labels.
        recipe: Bootstrap draws, timed examples, rounds.
        title: Heads the page.
        out: A folder; it is created if missing.
        reference: Name of the candidate that agreement and ratios are against.
        chosen: Name of the candidate that would be deployed.
        seed: Of the bootstrap and of the choice of timed examples.

    Returns:
        The content of report.json.

    Raises:
        DataError: No candidates or examples, an example without a label, a repeated name, or
            probs of a wrong shape or not finite.
    """
    measured = _measure(candidates, examples, task, recipe, seed)
    models = {c.name: _candidate_figures(measured, c, reference) for c in candidates}
    system = {"python": platform.python_version(), "platform": platform.platform()}
    report = {
        **_head(title, task, examples, reference, chosen),
        "models": models,
        "agreement": _agreement(measured.predicted, chosen, reference),
        "ratios": _ratios(models, measured.speeds, chosen, reference),
        "paired_differences": _differences(measured.resampled, chosen),
        "answers": ANSWERS if importlib.util.find_spec("openpyxl") else None,
        "bootstrap": recipe.bootstrap,
        "seed": seed,
        "versions": system | package_versions(_VERSIONED),
    }
    page = render_page(report, examples, measured.probs)
    with atomic_write(out / "report.html") as draft:
        draft.write_text(page, "utf-8")
        if report["answers"]:
            shown = shown_model(report)
            names = [shown, reference] if reference in models and reference != shown else [shown]
            write_answers(out / ANSWERS, examples, task, {name: measured.probs[name] for name in names})
        write_json(out / "report.json", report)
    return report


@dataclass(frozen=True)
class _Measured:
    """All raw measurements; the dicts are by candidate."""

    task: Task
    examples: Sequence[Example]
    gold: NDArray[np.int64]
    probs: dict[str, Probs]
    predicted: dict[str, NDArray[np.int64]]
    resampled: dict[str, Resampled]
    speeds: dict[str, Speed]


def _measure(
    candidates: Sequence[Candidate],
    examples: Sequence[Example],
    task: Task,
    recipe: EvaluateRecipe,
    seed: int,
) -> _Measured:
    gold = _gold(candidates, examples, task)
    probs = {
        c.name: _predict(c, examples, task)
        for c in track(candidates, "predicting the test split", unit="models")
    }
    predicted = {name: each.argmax(1) for name, each in probs.items()}
    resampled = resample(
        gold,
        predicted,
        [example.text for example in examples],
        num_labels=len(task.labels),
        repeats=recipe.bootstrap,
        seed=seed,
    )
    speeds = _speeds(candidates, examples, recipe, seed)
    return _Measured(task, examples, gold, probs, predicted, resampled, speeds)


def _candidate_figures(measured: _Measured, candidate: Candidate, reference: str) -> dict[str, Any]:
    """A candidate's part of report.json."""
    name = candidate.name
    return {
        "description": candidate.description,
        **_quality_figures(measured, name),
        "size_bytes": candidate.size_bytes,
        **_speed_figures(measured.speeds.get(name)),
        "agreement": _agreement(measured.predicted, name, reference),
        **{section: _by_group(measured, name, key) for section, key in _GROUPED_BY.items()},
    }


def _head(title: str, task: Task, examples: Sequence[Example], reference: str, chosen: str) -> dict[str, Any]:
    return {
        "title": title,
        "task": task.name,
        "labels": list(task.labels),
        "num_test": len(examples),
        "num_reviews": len({example.text for example in examples}),
        "reference": reference,
        "chosen": chosen,
    }


def _gold(candidates: Sequence[Candidate], examples: Sequence[Example], task: Task) -> NDArray[np.int64]:
    names = [candidate.name for candidate in candidates]
    if not names or len(set(names)) != len(names):
        raise DataError(f"evaluate: expected one or more candidates with different names, got {names}")
    if not examples:
        raise DataError("evaluate: no test examples; prepare a test split that is not empty")
    for i, example in enumerate(examples):
        if example.label not in task.labels:
            raise DataError(
                f"evaluate: test example {i} has label {example.label!r}; "
                f"expected one of {', '.join(task.labels)}: evaluate labelled examples only"
            )
    return np.array([task.index_of(example) for example in examples], np.int64)


def _predict(candidate: Candidate, examples: Sequence[Example], task: Task) -> Probs:
    probs = np.asarray(candidate.predict(examples), np.float32)
    expected = (len(examples), len(task.labels))
    if probs.shape != expected or not np.isfinite(probs).all():
        raise DataError(
            f"evaluate: {candidate.name!r} gave probs of shape {list(probs.shape)}; "
            f"expected finite numbers of shape {list(expected)}"
        )
    return probs


def _speeds(
    candidates: Sequence[Candidate], examples: Sequence[Example], recipe: EvaluateRecipe, seed: int
) -> dict[str, Speed]:
    order = np.random.default_rng(seed).permutation(len(examples))[: recipe.speed_examples]
    sides = {c.name: c.timed for c in candidates if c.timed is not None}
    return interleaved(sides, [examples[i] for i in order], recipe.speed_repeats)


def _quality_figures(measured: _Measured, name: str) -> dict[str, Any]:
    task, gold, probs = measured.task, measured.gold, measured.probs[name]
    resampled = measured.resampled[name]
    result = scores(task, gold, probs)
    accuracy, macro_f1 = resampled.accuracy(), resampled.macro_f1()
    return {
        "accuracy": accuracy.value,
        "accuracy_low": accuracy.low,
        "accuracy_high": accuracy.high,
        "macro_f1": macro_f1.value,
        "macro_f1_low": macro_f1.low,
        "macro_f1_high": macro_f1.high,
        "ece": expected_calibration_error(gold, probs),
        "brier": brier_score(gold, probs),
        "labels": {label: asdict(figures) for label, figures in result.labels.items()},
        "confusion": result.confusion.tolist(),
        "reliability": [asdict(part) for part in reliability(gold, probs)],
    }


def _speed_figures(speed: Speed | None) -> dict[str, Any]:
    keys = ("examples_per_second", "latency_ms_p50", "latency_ms_p99")
    if speed is None:
        return {**dict.fromkeys(keys), "speed": None}
    return {**{key: getattr(speed, key) for key in keys}, "speed": asdict(speed)}


def _by_group(measured: _Measured, name: str, key: str) -> dict[str, dict[str, float | int]]:
    """Scores by a key of ``meta``; macro-F1 over the labels that occur in the group."""
    rows: dict[str, list[int]] = {}
    for i, example in enumerate(measured.examples):
        if group := example.meta.get(key):
            rows.setdefault(str(group), []).append(i)
    gold, predicted = measured.gold, measured.predicted[name]
    result: dict[str, dict[str, float | int]] = {}
    for group in sorted(rows, key=lambda group: (-len(rows[group]), group)):
        inside = rows[group]
        counts = confusion_counts(gold[inside], predicted[inside], len(measured.task.labels))
        result[group] = {
            "num_test": len(inside),
            "accuracy": float(accuracy_of(counts)),
            "macro_f1": macro_f1_present(counts),
        }
    return result


def _agreement(predicted: Mapping[str, NDArray[np.int64]], name: str, reference: str) -> float | None:
    """Share of examples that both predict the same label for."""
    if name not in predicted or reference not in predicted:
        return None
    return float((predicted[name] == predicted[reference]).mean())


def _ratios(
    models: Mapping[str, Mapping[str, Any]], speeds: Mapping[str, Speed], chosen: str, reference: str
) -> dict[str, float | None]:
    sizes = [models[name]["size_bytes"] if name in models else None for name in (reference, chosen)]
    smaller = sizes[0] / sizes[1] if sizes[0] and sizes[1] else None
    both_timed = chosen in speeds and reference in speeds
    faster = times_faster(speeds[chosen], speeds[reference]) if both_timed else None
    return {"smaller": smaller, "faster": faster}


def _differences(resampled: Mapping[str, Resampled], chosen: str) -> dict[str, dict[str, float]]:
    """Macro-F1 of the chosen one minus every other's, by the other's name."""
    if chosen not in resampled:
        return {}
    return {
        name: asdict(paired_difference(resampled[chosen], other))
        for name, other in resampled.items()
        if name != chosen
    }
