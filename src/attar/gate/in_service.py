"""The model in service, which a new one must beat: found, checked, and judged against it.

``attar run --against`` and ``attar evaluate --against`` score both artifacts on the same test split. Reviews
that the model in service has trained on would flatter it, so they are left out of the comparison. The verdict
is apart from the gate's: a model may pass the gate and still not be worth the change.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from attar.artifact import load_artifact
from attar.errors import DataError, GateError, RecipeError
from attar.gate.words import interval, points
from attar.io.files import file_hash
from attar.language.translator import ENGLISH, N_, Translator
from attar.ready import artifact_folder
from attar.stage_cache import fingerprint
from attar.task import Task

__all__ = ["DECISIONS", "InService", "check_promoted", "judge_promotion", "promotion_of"]

DECISIONS = {"promote": N_("promote"), "keep": N_("keep")}
"""What people read of each decision."""

_FEWEST = 30  # examples; fewer make a bootstrap too sure of itself


@dataclass(frozen=True, slots=True)
class InService:
    """A model in service.

    Attributes:
        artifact: Its folder.
        trained_on: The train.json and dev.json that it was made from, where its run folder has them.
        min_gain: Macro-F1 that a new model must surely gain over it; ``gate.min_gain_over_service``.
    """

    artifact: Path
    trained_on: tuple[Path, ...]
    min_gain: float = 0.0

    @classmethod
    def find(cls, named: Path, task: Task, min_gain: float, out: Path | None = None) -> InService:
        """The model that a user names by its artifact or by its run folder.

        Args:
            named: The folder.
            task: The new model's; both must have the same labels in the same order.
            min_gain: See ``InService``.
            out: The folder of the new run.

        Raises:
            RecipeError: There is no artifact, or it is the new run's own.
            ArtifactError: It is no whole artifact.
            DataError: It has other labels.
        """
        named = artifact_folder(named)
        artifact = named if (named / "attar.json").is_file() else named / "artifact"
        if not (artifact / "attar.json").is_file():
            raise RecipeError(
                f"--against {named}: no artifact there; name the folder of a run that has artifact/, or an "
                "artifact's own"
            )
        if out is not None and out.resolve() in (artifact.resolve(), *artifact.resolve().parents):
            raise RecipeError(
                f"--against {named}: this is the run that is to be made; name another folder with --out"
            )
        labels = load_artifact(artifact).task.labels
        if tuple(labels) != tuple(task.labels):
            raise DataError(
                f"--against {named}: its labels are {', '.join(labels)}, those of the new model "
                f"{', '.join(task.labels)}; only models of the same labels in the same order are compared"
            )
        data = artifact.parent / "data"
        files = (data / "train.json", data / "dev.json")
        return cls(artifact, tuple(file for file in files if file.is_file()), min_gain)

    def to_json(self) -> dict[str, Any]:
        """What a stamp holds of it."""
        return {
            "artifact": fingerprint(self.artifact),
            "trained_on": [file_hash(path) for path in self.trained_on],
            "min_gain": self.min_gain,
        }


def judge_promotion(
    found: Mapping[str, Any], min_gain: float, *, is_refused: bool, tr: Translator = ENGLISH
) -> dict[str, Any]:
    """Whether the new model should replace the other: if the whole paired interval lies above ``min_gain``.

    Args:
        found: ``num`` test examples compared, ``num_seen`` left out, and ``macro_f1``, the new model's minus
            the other's with its interval; None where nothing could be compared.
        min_gain: In macro-F1, as a fraction of 1; below 0 a model is promoted that surely loses less.
        is_refused: Whether the gate refuses the new model.
        tr: Of the language of ``said``.

    Returns:
        ``decision``, "promote" or "keep", and ``said``: why.
    """
    gap, num, seen = found["macro_f1"], found["num"], found["num_seen"]
    if gap is None or num < _FEWEST:
        text = N_("{num} test examples can be compared, and {fewest} are needed: keep the model in service.")
        return _decided("keep", tr(text, num=num, fewest=_FEWEST), seen, tr)
    is_above = gap["value"] > 0
    values = {
        "points": points(abs(gap["value"])), "interval": interval(gap), "num": num,
        "wanted": tr("; {points} are asked for", points=points(min_gain)) if min_gain else "",
        "allowed": points(-min_gain),
    }  # fmt: skip
    if is_refused:
        above = N_(
            "The gate refuses the new model, which is {points} points of macro-F1 {interval} above the one "
            "in service: keep that."
        )
        below = N_(
            "The gate refuses the new model, which is {points} points of macro-F1 {interval} below the one "
            "in service: keep that."
        )
        return _decided("keep", tr(above if is_above else below, **values), seen, tr)
    if gap["low"] > min_gain:
        beats = N_(
            "The new model beats the one in service by {points} points of macro-F1 {interval}: promote it."
        )
        loses_little = N_(
            "The new model surely loses less than the {allowed} points allowed {interval} against the one in "
            "service: promote it."
        )
        return _decided("promote", tr(beats if gap["low"] > 0 else loses_little, **values), seen, tr)
    if gap["high"] < 0:
        text = N_(
            "The new model loses to the one in service by {points} points of macro-F1 {interval}: keep that."
        )
    elif is_above:
        text = N_(
            "The new model is {points} points of macro-F1 {interval} above the one in service{wanted}; with "
            "{num} examples that is not certain: keep that."
        )
    else:
        text = N_(
            "The new model is {points} points of macro-F1 {interval} below the one in service{wanted}; with "
            "{num} examples that is not certain: keep that."
        )
    return _decided("keep", tr(text, **values), seen, tr)


def _decided(decision: str, said: str, num_seen: int, tr: Translator) -> dict[str, Any]:
    if num_seen:
        left_out = tr(
            "{num} test examples are left out, because the model in service has trained on their reviews.",
            num=num_seen,
        )
        said = tr("{sentence} {next}", sentence=said, next=left_out)
    return {"decision": decision, "said": said}


def promotion_of(report: Mapping[str, Any], tr: Translator) -> dict[str, Any]:
    """The ``against`` of a report.json with what it says in another language."""
    found: Mapping[str, Any] = report["against"]
    is_refused = report["verdict"]["status"] == "refuse"
    if tr.language == ENGLISH.language:
        return dict(found)
    return dict(found) | judge_promotion(found, found["min_gain"], is_refused=is_refused, tr=tr)


def check_promoted(found: Mapping[str, Any] | None, service: str, new: str) -> None:
    """Raise what ends a command whose model should not take the place of the one in service.

    Args:
        found: The ``against`` of report.json; None where nothing was compared.
        service: What the message calls the model in service.
        new: What it calls the new one.

    Raises:
        GateError: The decision is to keep the model in service; the exit code is 3.
    """
    if found is not None and found["decision"] == "keep":
        raise GateError(f"keep {service}: {found['said']} The new model is whole in {new}.")
