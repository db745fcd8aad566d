"""``attar cascade``: two or three artifacts become one that asks the slower only where the faster is unsure.

Thresholds are chosen on dev (``attar.cascade.thresholds``); what the cascade does with the test split is
measured beside its members and stands in its card.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from attar.artifact import Artifact, check_not_refused, load_artifact, write_files
from attar.artifact_card import MEMBERS
from attar.bench.timing import interleaved
from attar.cascade.agreements import by_agreement
from attar.cascade.thresholds import Method, choose_thresholds
from attar.cascade.words import bound_in_words
from attar.errors import DataError
from attar.metrics import Scores, scores
from attar.ready import artifact_folder
from attar.records.prepared_folder import check_labels, load_split
from attar.scoring.cascade import CascadeScorer
from attar.scoring.predictor import Predictor
from attar.stage_cache import fingerprint, run_stage
from attar.system_info import package_versions, system_info
from attar.task import Example

__all__ = ["CascadeSettings", "make_cascade"]

_PACKAGES = ("attar", "numpy", "onnxruntime", "tokenizers")
_TIMED = 400  # test examples
_ROUNDS = 3
_SEED = 20


@dataclass(frozen=True, slots=True)
class CascadeSettings:
    """How sure a cascade must be.

    Attributes:
        agreement: Least share of rows that get the label of the last member.
        bound: By which dev must show that: in the mean over such splits, or for this one, with
            ``confidence``.
        confidence: See ``bound``.
        accept_refused: Take members that the gate refused, too.
    """

    agreement: float = 0.99
    bound: Method = "conformal"
    confidence: float = 0.95
    accept_refused: bool = False


def make_cascade(members: Sequence[Path], data: Path, out: Path, settings: CascadeSettings) -> Path:
    """Artifacts and a prepared folder -> the artifact of a cascade, in ``out``.

    Args:
        members: Two or three artifacts' folders, or ready models' names, the fastest first.
        data: A prepared folder of their task: dev chooses the thresholds, test is reported.
        out: The cascade's folder; a copy of each member lies in it.
        settings: How sure it must be.

    Raises:
        ArtifactError: One is no whole artifact.
        DataError: They are not of one task, one is a cascade itself, or dev is too small.
        GateError: The gate refused one of them.
        RecipeError: The data has other labels.
    """
    if not 2 <= len(members) <= len(MEMBERS):
        raise DataError(f"a cascade has two or three members, not {len(members)}")
    members = [artifact_folder(member) for member in members]
    loaded = [load_artifact(folder) for folder in members]
    _check_members(loaded, settings)
    check_labels(data, loaded[0].task.labels, str(members[0]))

    def again() -> dict[str, Any]:
        shares = {"agreement": settings.agreement, "bound": settings.bound, "confidence": settings.confidence}
        return {
            "data": fingerprint(data),
            "members": [_content(load_artifact(one)) for one in members],
            **shares,
        }

    work = partial(_write, loaded, data, settings)
    run_stage(out, "cascade", again(), work, paths_read=[data, *members], again=again)
    return out


def _content(artifact: Artifact) -> dict[str, str]:
    """The hashes of what is scored with; a model card's words do not count."""
    return {name: was for name, was in artifact.files.items() if name != "README.md"}


def _check_members(members: Sequence[Artifact], settings: CascadeSettings) -> None:
    first = members[0]
    for one in members:
        if one.kind == "cascade":
            raise DataError(f"{one.folder} is a cascade itself; name its members")
        if (one.task.labels, one.task.style) != (first.task.labels, first.task.style):
            raise DataError(
                f"{one.folder} has the labels {', '.join(one.task.labels)} and reads {one.task.style}, "
                f"{first.folder} has {', '.join(first.task.labels)} and reads {first.task.style}; expected "
                "artifacts of one task"
            )
        if not settings.accept_refused:
            check_not_refused(one)


def _write(members: Sequence[Artifact], data: Path, settings: CascadeSettings, draft: Path) -> None:
    dev, test = load_split(data, "dev"), load_split(data, "test")
    predictors, last = [Predictor(one, deduplicate=False) for one in members], members[-1]
    probs = [one.predict_probs(dev) for one in predictors]
    thresholds, bound = choose_thresholds(probs, settings.agreement, settings.confidence, settings.bound)
    copies = [_copy(one, draft / name) for name, one in zip(MEMBERS, members, strict=False)]
    figures = _measure(predictors, thresholds, test)
    measured = figures["cascade"]
    others = by_agreement(
        last.task,
        np.array([last.task.index_of(example) for example in dev], np.int64),
        probs,
        [figures[name]["examples_per_second"] for name, _ in zip(MEMBERS, members, strict=False)],
        settings.agreement,
        settings.confidence,
        settings.bound,
    )
    write_files(
        Artifact(
            folder=draft,
            task=last.task,
            input={"style": last.task.style},
            precision=last.precision,
            kind="cascade",
            cascade={
                "thresholds": thresholds,
                "bound": bound_in_words(bound, settings.agreement, settings.confidence),
                "figures": {
                    "agreement_asked": settings.agreement,
                    "confidence": settings.confidence,
                    **bound._asdict(),
                    "test": figures,
                    "dev_by_agreement": others,
                },
            },
            scores={
                "examples": len(test),
                "accuracy": measured["accuracy"],
                "macro_f1": measured["macro_f1"],
                "agreement_with_the_last": measured["agreement"],
                "passed_on": measured["passed_on"],
            },
            notes={
                "role": "cascade",
                "members": [f"{one.kind} {one.version} ({one.folder.name})" for one in members],
                "measured_on": system_info()["cpu"],
            },
            versions=package_versions(_PACKAGES),
            members=tuple(copies),
        ),
        {},
        None,
    )


def _copy(artifact: Artifact, folder: Path) -> Artifact:
    folder.mkdir(parents=True, exist_ok=True)
    for name in (*artifact.files, "attar.json"):
        shutil.copyfile(artifact.folder / name, folder / name)
    return load_artifact(folder)


def _measure(
    predictors: Sequence[Predictor], thresholds: Sequence[float], test: Sequence[Example]
) -> dict[str, dict[str, Any]]:
    """What each member, and the cascade of them, does with the test split, by name."""
    scorer = CascadeScorer([one.scorer for one in predictors], thresholds)
    task = predictors[-1].task
    gold = np.array([task.index_of(example) for example in test], np.int64)
    probs, by = scorer.probs_and_members(test)
    sides = {"cascade": scorer.probs} | {
        name: one.predict_probs for name, one in zip(MEMBERS, predictors, strict=False)
    }
    order = np.random.default_rng(_SEED).permutation(len(test))[:_TIMED]
    speeds = interleaved(sides, [test[i] for i in order], _ROUNDS)
    last = predictors[-1].predict_probs(test)
    found: dict[str, dict[str, Any]] = {}
    for name, side in sides.items():
        each = probs if name == "cascade" else side(test)
        found[name] = {
            **_quality(scores(task, gold, each)),
            "agreement": float((each.argmax(1) == last.argmax(1)).mean()),
            "examples_per_second": speeds[name].examples_per_second,
            "size_bytes": sum(one.artifact.model_bytes for one in predictors),
        }
    for name, one in zip(MEMBERS, predictors, strict=False):
        found[name]["size_bytes"] = one.artifact.model_bytes
    found["cascade"] |= {"passed_on": float((by > 0).mean()), "answered": _shares(by, len(predictors))}
    return found


def _quality(found: Scores) -> Mapping[str, float]:
    return {"accuracy": found.accuracy, "macro_f1": found.macro_f1}


def _shares(by: NDArray[np.int64], num_members: int) -> list[float]:
    """The share of rows that each member answers."""
    return [float((by == number).mean()) for number in range(num_members)]
