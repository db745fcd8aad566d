"""A side that is an artifact: it scores the questions that the other sides, or the gold labels, ask."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from attar.artifact import load_artifact
from attar.compare.join import Annotation
from attar.ready import artifact_folder
from attar.scoring.predictor import Predictor
from attar.task import Example, Task
from attar.text.repair import occurrences

__all__ = ["is_artifact", "predictions"]


def is_artifact(path: Path) -> bool:
    """Whether a path is an artifact's folder, or a ready model's name."""
    return (artifact_folder(path) / "attar.json").is_file()


def predictions(folder: Path, asked: Iterable[Annotation], workers: int | None = None) -> list[Annotation]:
    """What an artifact says of questions, each once.

    A question without offsets is asked of the term's first place in its text; one whose term does not stand
    there is left out.

    Args:
        folder: The artifact.
        asked: Annotations whose texts and terms are taken; their labels are not looked at.
        workers: Threads that compute.

    Raises:
        ArtifactError: It is no whole artifact.
        DataError: A text cannot be scored.
    """
    predictor = Predictor(load_artifact(folder), workers)
    questions = {(one.text, one.term, one.start, one.end): one for one in asked}
    known = [(one, example) for one in questions.values() if (example := _example(one, predictor.task))]
    if not known:
        return []
    probs = predictor.predict_probs([example for _, example in known])
    predictor.close()
    labels, found = predictor.task.labels, []
    for (one, _), row in zip(known, probs, strict=True):
        rounded = {label: round(float(prob), 6) for label, prob in zip(labels, row, strict=True)}
        best = labels[int(row.argmax())]
        said = replace(one, label=best, prob=rounded[best], probs=rounded, gold=None, given=None)
        found.append(replace(said, own={}, votes={}))
    return found


def _example(one: Annotation, task: Task) -> Example | None:
    if not task.has_term:
        return Example(one.text, 0, 0, second=one.term)
    place = (one.start, one.end)
    if one.start is None or one.end is None:
        place = next(iter(occurrences(one.text, one.term)), (None, None)) if one.term else (None, None)
    start, end = place
    if start is None or end is None or not 0 <= start < end <= len(one.text):
        return None
    return Example(one.text, start, end)
