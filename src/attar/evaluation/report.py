"""``attar evaluate``: candidates, examples and a task in; report.json, report.html, answers.xlsx out.

A candidate is a name and a callable. All are scored on the same examples and the same bootstrap
draws, timed in one interleaved run, and compared with the reference (the teacher) and, pair by
pair, with the chosen one (the artifact of the student).
"""

from __future__ import annotations

import contextlib
import importlib.util
import platform
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from attar.bench.timing import Side, Speed, interleaved, times_faster
from attar.compare.workbook import write_answers
from attar.errors import DataError
from attar.evaluation.against import FLIPS, Flip, against_figures, flips, write_flips
from attar.evaluation.calibration import brier_score, expected_calibration_error, reliability
from attar.evaluation.names import ANSWERS, PAGES, shown_name
from attar.evaluation.page import render_pages, shown_model
from attar.gate.conditions import Gate
from attar.gate.in_service import judge_promotion
from attar.gate.verdict import judge
from attar.intervals import Resampled, paired_difference, resample
from attar.io.files import atomic_write, write_json
from attar.language.translator import translator
from attar.metrics import accuracy_of, confusion_counts, macro_f1_present, scores
from attar.progress import track
from attar.recipe.load import EvaluateRecipe
from attar.system_info import package_versions
from attar.task import Example, Task

__all__ = ["IN_SERVICE", "Against", "Candidate", "evaluate"]

IN_SERVICE = "in_service"
"""The name of the candidate that is in service."""

_VERSIONED = ("attar", "numpy", "scikit-learn", "onnxruntime", "tokenizers", "torch", "transformers")

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
        precision: Of an artifact: int8, mixed or fp32; a model named ``..._int8`` is shown as what it is.
        temperature: That its probs are calibrated with, or None.
        uncalibrated: Where there is a temperature: examples -> probs [N, C] without it.
    """

    name: str
    predict: Callable[[Sequence[Example]], Probs]
    size_bytes: int | None = None
    timed: Side | None = None
    description: str = ""
    precision: str | None = None
    temperature: float | None = None
    uncalibrated: Callable[[Sequence[Example]], Probs] | None = None


@dataclass(frozen=True, slots=True)
class Against:
    """The model in service, which is one of the candidates.

    Attributes:
        place: Its folder, as the user named it.
        version: Of its artifact.
        seen: Texts that it has trained on.
        min_gain: Macro-F1 that the chosen one must surely gain over it.
    """

    place: str
    version: str
    seen: Collection[str] = ()
    min_gain: float = 0.0


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
    gate: Gate | None = None,
    train_labels: Mapping[str, int] | None = None,
    against: Against | None = None,
) -> dict[str, Any]:
    """Measure candidates, judge the chosen one, and write ``report.json`` and its pages into ``out``.

    The page is written in each language. Where openpyxl is installed, ``answers.xlsx`` has the chosen one's
    predictions beside the reference's. Nothing is written unless everything could be measured and drawn.

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
        gate: What the chosen one is held to; None takes the defaults.
        train_labels: How many training examples have each label, where that is known.
        against: The candidate ``in_service``, which the chosen one is judged against; ``flips.csv`` lists
            what changes.

    Returns:
        The content of report.json.

    Raises:
        DataError: No candidates or examples, an example without a label, a repeated name, or
            probs of a wrong shape or not finite.
    """
    figures, probs = _measure(candidates, examples, task, recipe, reference, chosen, seed)
    report = {"title": title, **figures, "train_labels": None if train_labels is None else dict(train_labels)}
    report["verdict"] = judge(report, gate or Gate()).to_json()
    report["against"], changed = _against(report, examples, task, probs, chosen, against)
    pages = render_pages(report, gate or Gate(), examples, probs, changed)
    with contextlib.ExitStack() as drafts:
        for language, page in pages.items():
            drafts.enter_context(atomic_write(out / PAGES[language])).write_text(page, "utf-8")
        if report["answers"]:
            names = [shown_model(report)]
            names += [reference] if reference in probs and reference not in names else []
            shown = {shown_name(report, name): probs[name] for name in names}
            for language, name in ANSWERS.items():
                write_answers(out / name, examples, task, shown, translator(language))
        if against is not None:
            write_flips(out / FLIPS, changed, task)
        write_json(out / "report.json", report)
    return report


def _against(
    report: Mapping[str, Any],
    examples: Sequence[Example],
    task: Task,
    probs: Mapping[str, Probs],
    chosen: str,
    against: Against | None,
) -> tuple[dict[str, Any] | None, list[Flip]]:
    """What report.json says of the model in service, and what changes with the new one."""
    if against is None:
        return None, []
    both = probs[IN_SERVICE], probs[chosen]
    gold = np.array([task.index_of(example) for example in examples], np.int64)
    draws = {"repeats": report["bootstrap"], "seed": report["seed"]}
    figures = against_figures(examples, task, gold, both, seen=against.seen, **draws)
    is_refused = report["verdict"]["status"] == "refuse"
    verdict = judge_promotion(figures, against.min_gain, is_refused=is_refused)
    named = {"place": against.place, "version": against.version, "min_gain": against.min_gain}
    return named | verdict | figures | {"file": FLIPS}, flips(examples, task, both, against.seen)


def _measure(
    candidates: Sequence[Candidate],
    examples: Sequence[Example],
    task: Task,
    recipe: EvaluateRecipe,
    reference: str,
    chosen: str,
    seed: int,
) -> tuple[dict[str, Any], dict[str, Probs]]:
    """The content of report.json but its title, and the probs by candidate."""
    gold, reviews = _gold(candidates, examples, task), [example.text for example in examples]
    tracked = track(candidates, "predicting the test split", unit="models")
    probs = {c.name: _predict(c, examples, task) for c in tracked}
    predicted = {name: each.argmax(1) for name, each in probs.items()}
    resampled = resample(
        gold, predicted, reviews, num_labels=len(task.labels), repeats=recipe.bootstrap, seed=seed
    )
    order = np.random.default_rng(seed).permutation(len(examples))[: recipe.speed_examples]
    sides = {c.name: c.timed for c in candidates if c.timed is not None}
    speeds = interleaved(sides, [examples[i] for i in order], recipe.speed_repeats)
    models = {
        c.name: {
            "description": c.description,
            "precision": c.precision,
            **_quality_figures(task, gold, probs[c.name], resampled[c.name]),
            "uncalibrated": _uncalibrated(c, examples, task, gold),
            "size_bytes": c.size_bytes,
            **_speed_figures(speeds.get(c.name)),
            "agreement": _agreement(predicted, c.name, reference),
            "channels": _by_group(examples, gold, predicted[c.name], task, "channel"),
            "wordtypes": _by_group(examples, gold, predicted[c.name], task, "wordtype"),
        }
        for c in candidates
    }
    system = {"python": platform.python_version(), "platform": platform.platform()}
    report = {
        "task": task.name,
        "labels": list(task.labels),
        "num_test": len(examples),
        "num_reviews": len(set(reviews)),
        "reference": reference,
        "chosen": chosen,
        "models": models,
        "agreement": _agreement(predicted, chosen, reference),
        "ratios": _ratios(models, speeds, chosen, reference),
        "paired_differences": _differences(resampled, chosen),
        "answers": ANSWERS["en"] if importlib.util.find_spec("openpyxl") else None,
        "bootstrap": recipe.bootstrap,
        "seed": seed,
        "versions": system | package_versions(_VERSIONED),
    }
    return report, probs


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
    if probs.shape != expected:
        raise DataError(
            f"evaluate: {candidate.name!r} gave probs of shape {list(probs.shape)}; expected {list(expected)}"
        )
    if not np.isfinite(probs).all():
        raise DataError(
            f"evaluate: {candidate.name!r} gave probs that are not finite; expected finite numbers: its "
            "weights are damaged, or its training went astray"
        )
    return probs


def _quality_figures(
    task: Task, gold: NDArray[np.int64], probs: Probs, resampled: Resampled
) -> dict[str, Any]:
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


def _uncalibrated(
    candidate: Candidate, examples: Sequence[Example], task: Task, gold: NDArray[np.int64]
) -> dict[str, Any] | None:
    """How well the probs were calibrated before the temperature; None for a model without one."""
    if candidate.uncalibrated is None:
        return None
    probs = _predict(replace(candidate, predict=candidate.uncalibrated), examples, task)
    return {
        "temperature": candidate.temperature,
        "ece": expected_calibration_error(gold, probs),
        "brier": brier_score(gold, probs),
        "reliability": [asdict(part) for part in reliability(gold, probs)],
    }


def _speed_figures(speed: Speed | None) -> dict[str, Any]:
    keys = ("examples_per_second", "latency_ms_p50", "latency_ms_p99")
    if speed is None:
        return {**dict.fromkeys(keys), "speed": None}
    return {**{key: getattr(speed, key) for key in keys}, "speed": asdict(speed)}


def _by_group(
    examples: Sequence[Example], gold: NDArray[np.int64], predicted: NDArray[np.int64], task: Task, key: str
) -> dict[str, dict[str, float | int]]:
    """Scores by a key of ``meta``; macro-F1 over the labels that occur in the group."""
    rows: dict[str, list[int]] = {}
    for i, example in enumerate(examples):
        if group := example.meta.get(key):
            rows.setdefault(str(group), []).append(i)
    result: dict[str, dict[str, float | int]] = {}
    for group, inside in sorted(rows.items(), key=lambda item: (-len(item[1]), item[0])):
        counts = confusion_counts(gold[inside], predicted[inside], len(task.labels))
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
