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
from attar.stage_cache import fingerprint
from attar.task import Task

__all__ = ["InService", "check_promoted", "judge_promotion"]

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


def judge_promotion(found: Mapping[str, Any], min_gain: float, *, is_refused: bool) -> dict[str, Any]:
    """Whether the new model should take the place of the one in service.

    It should if it surely gains more than ``min_gain``: if the whole paired 95 % interval lies above it.

    Args:
        found: ``num`` test examples compared, ``num_seen`` left out, and ``macro_f1``, the new model's minus
            the other's with its interval; None where nothing could be compared.
        min_gain: In macro-F1, as a fraction of 1; below 0 a model is promoted that surely loses less.
        is_refused: Whether the gate refuses the new model.

    Returns:
        ``decision``, "promote" or "keep", and ``said``: why, in one or two sentences.
    """
    gap, num = found["macro_f1"], found["num"]
    seen = found["num_seen"]
    left_out = (
        f" {seen:,} test examples are left out, because the model in service has trained on their reviews."
        if seen
        else ""
    )
    if gap is None or num < _FEWEST:
        said = f"{num:,} test examples can be compared, and {_FEWEST} are needed: keep the model in service."
        return {"decision": "keep", "said": said + left_out}
    by = f"{points(abs(gap['value']))} points of macro-F1 {interval(gap)}"
    wanted = f"; {points(min_gain)} are asked for" if min_gain else ""
    if is_refused:
        side = "above" if gap["value"] > 0 else "below"
        said = f"The gate refuses the new model, which is {by} {side} the one in service: keep that."
        return {"decision": "keep", "said": said + left_out}
    if gap["low"] > min_gain:
        if gap["low"] > 0:
            said = f"The new model beats the one in service by {by}: promote it."
        else:
            allowed = f"surely loses less than the {points(-min_gain)} points allowed"
            said = f"The new model {allowed} {interval(gap)} against the one in service: promote it."
        return {"decision": "promote", "said": said + left_out}
    if gap["high"] < 0:
        said = f"The new model loses to the one in service by {by}: keep that."
    else:
        side = "above" if gap["value"] > 0 else "below"
        unsure = f"with {num:,} examples that is not certain"
        said = f"The new model is {by} {side} the one in service{wanted}; {unsure}: keep that."
    return {"decision": "keep", "said": said + left_out}


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
