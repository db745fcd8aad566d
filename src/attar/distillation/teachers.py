"""Teachers: any function from examples to logits, asked once.

The answers are kept in a folder under a key made of everything that they depend on (the examples,
the encoding, the teacher's weights, the order of the labels), in chunks written whole: an
interrupted pass goes on where it stopped, a damaged chunk is asked again, and the answers of
another teacher or other data are never taken for these.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from attar.files import content_hash, file_hash, read_json, whole_file
from attar.models.checkpoint import CHECKPOINT_FILES, Checkpoint, load_checkpoint, predict_logits
from attar.progress import progress_bar
from attar.task import Example

__all__ = ["Teacher", "cached_logits", "load_teacher"]

_LOG = logging.getLogger(__name__)
_CHUNK = 1024

Teacher = Callable[[Sequence[Example]], NDArray[np.float32]]


def load_teacher(folder: Path) -> tuple[Checkpoint, Teacher, str]:
    """A checkpoint as a teacher.

    Returns:
        The checkpoint, the function [N] examples -> [N, C] logits, and its identity: a hash of its
        weights, tokenizer, input form and labels.
    """
    checkpoint = load_checkpoint(folder)
    card = read_json(folder / "attar.json")
    identity = content_hash(
        {
            "files": [file_hash(folder / name) for name in CHECKPOINT_FILES[:3]],
            "input": card["input"],
            "task": card["task"],
        }
    )
    return checkpoint, lambda examples: predict_logits(checkpoint, examples, quick=True), identity


def cached_logits(
    teacher: Teacher, identity: str, examples: Sequence[Example], num_labels: int, folder: Path
) -> NDArray[np.float32]:
    """The teacher's logits [N, C] for the examples, from the folder where they are already there.

    Args:
        teacher: Asked for what is missing.
        identity: Hash of everything in the teacher that its answers depend on.
        examples: N examples.
        num_labels: C.
        folder: The cache; several teachers and sets of examples can share it.
    """
    out = np.zeros((len(examples), num_labels), np.float32)
    with progress_bar("teacher answers", len(examples)) as advance:
        for start in range(0, len(examples), _CHUNK):
            chunk = examples[start : start + _CHUNK]
            key = content_hash([identity, [(e.text, e.start, e.end) for e in chunk]])
            path = folder / f"logits-{key[:32]}.npy"
            answers = _read(path, (len(chunk), num_labels))
            if answers is None:
                answers = teacher(chunk)
                with whole_file(path) as draft, draft.open("wb") as stream:
                    np.save(stream, answers)
            out[start : start + len(chunk)] = answers
            advance(len(chunk))
    return out


def _read(path: Path, shape: tuple[int, int]) -> NDArray[np.float32] | None:
    if not path.is_file():
        return None
    try:
        answers = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError):
        answers = None
    if (
        answers is None
        or answers.shape != shape
        or answers.dtype != np.float32
        or not np.isfinite(answers).all()
    ):
        _LOG.warning("%s is damaged; the teacher is asked again", path)
        return None
    return np.asarray(answers, np.float32)
