"""Answers about the training rows by students that did not see them: they choose decision thresholds.

A dev split with a dozen examples of a rare label cannot say how readily to give it; the training rows have
many more. So two students are trained on half of the reviews each and answer the other half (cross-fitting,
as in stacking: Wolpert 1992, Stacked generalization). They cost as much as the student itself.
"""

from __future__ import annotations

import io
import logging
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from attar.io.files import atomic_write
from attar.models.checkpoint import Checkpoint, predict_logits
from attar.stage_cache import is_first_process
from attar.task import Example

__all__ = ["cross_fitted_logits"]

_LOG = logging.getLogger(__name__)
_FOLDS = 2


def cross_fitted_logits(
    train: Sequence[Example], trained_on: Callable[[list[Example], Path], Checkpoint], out: Path
) -> NDArray[np.float32]:
    """Logits [N, C] of the training examples, each of a student that did not see its review.

    Args:
        train: The labelled training examples.
        trained_on: Trains a student on some of them, in a folder, and gives it back.
        out: A folder that gets the logits of each half, so that a resumed stage does not train for them
            again.
    """
    fold_of = {text: number % _FOLDS for number, text in enumerate(dict.fromkeys(e.text for e in train))}
    halves = []
    for fold in range(_FOLDS):
        path, folder = out / f"fold-{fold}.npy", out / f"fold-{fold}"
        asked = [example for example in train if fold_of[example.text] == fold]
        if not path.is_file():
            seen = [example for example in train if fold_of[example.text] != fold]
            _LOG.info("thresholds: a student of %d rows answers the other %d", len(seen), len(asked))
            logits = predict_logits(trained_on(seen, folder), asked, bf16=True)
            if is_first_process():
                _save(path, logits)
                shutil.rmtree(folder, ignore_errors=True)
        else:
            logits = np.load(path)
        halves.append(iter(logits))
    return np.stack([next(halves[fold_of[example.text]]) for example in train])


def _save(path: Path, logits: NDArray[np.float32]) -> None:
    buffer = io.BytesIO()
    np.save(buffer, logits)
    with atomic_write(path) as draft:
        draft.write_bytes(buffer.getvalue())
