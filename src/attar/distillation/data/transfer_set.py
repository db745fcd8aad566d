"""The transfer set: named pairs, terms found in reviews without labels, changed copies of examples.

Its labels, if any, are not used, so a student learns from the teachers alone there
(``attar.distillation.objective``); dev and test, and near-duplicates of them, are never in it.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from attar.distillation.cache import CACHE_FOLDER
from attar.distillation.data.augmentation import augmented_examples
from attar.distillation.data.selection import select_rows
from attar.distillation.data.transfer_sources import transfer_examples
from attar.distillation.data.unlabelled import unlabelled_examples
from attar.distillation.settings import StudentSettings
from attar.distillation.teachers import (
    Teacher,
    cached_logits,
    mean_logits,
    teacher_weights,
    with_cached_logits,
)
from attar.errors import DataError
from attar.evaluation.calibration import fit_temperature
from attar.io.files import write_json
from attar.records.prepared_folder import load_split
from attar.records.split.near_duplicates import drop_near_duplicates
from attar.task import Example

__all__ = ["TransferSet", "transfer_set"]

_LOG = logging.getLogger(__name__)


class TransferSet(NamedTuple):
    """Examples without labels, and the teachers for them.

    Attributes:
        examples: Beside the training split; [] where the recipe asks for none.
        teachers: The same teachers, with the logits that they have computed.
    """

    examples: list[Example]
    teachers: list[Teacher]


def transfer_set(
    settings: StudentSettings, data: Path, teachers: Sequence[Teacher], out: Path
) -> TransferSet:
    """What ``distill.transfer``, ``distill.unlabelled`` and ``distill.augment`` add, each pair once.

    Args:
        settings: Of the recipe.
        data: A folder written by ``attar prepare``.
        teachers: Predict all that is found in ``distill.unlabelled``.
        out: The student's folder: gets cached teacher outputs, what is fetched, and unlabelled.json,
            with the counts of what was found, dropped and kept.

    Raises:
        DataError: A source cannot be read, or nothing is left of one kind.
        RecipeError: ``distill.teacher_weights`` do not fit.
    """
    fit, loaded = settings.fit, list(teachers)
    if not (fit.transfer or fit.unlabelled.sources or fit.augment.copies):
        return TransferSet([], loaded)
    train, dev, test = (load_split(data, name) for name in ("train", "dev", "test"))
    cache, examples = out / CACHE_FOLDER, list[Example]()
    if fit.transfer:
        examples += transfer_examples(
            fit.transfer, settings.task, [*train, *dev, *test], settings.data, cache / "transfer"
        )
    if fit.unlabelled.sources:
        found = unlabelled_examples(settings, train, [*dev, *test], cache / "unlabelled")
        selected, loaded = _select(settings, found.examples, loaded, dev, cache)
        write_json(out / "unlabelled.json", {"counts": found.counts, **selected.facts})
        examples += selected.examples
    if fit.augment.copies:
        reach = settings.task.window_chars or settings.encode.max_tokens
        copies = augmented_examples(train, fit.augment, reach, settings.seed)
        copies = drop_near_duplicates(copies, [*dev, *test], settings.data.near_duplicate)
        _LOG.info("augment: %d copies of %d examples", len(copies), len(train))
        examples += copies
    first: dict[Any, Example] = {}
    for example in examples:
        first.setdefault(example.question, example)
    return TransferSet(list(first.values()), loaded)


class _Selection(NamedTuple):
    examples: list[Example]
    facts: dict[str, Any]


def _select(
    settings: StudentSettings,
    examples: Sequence[Example],
    teachers: Sequence[Teacher],
    dev: Sequence[Example],
    cache: Path,
) -> tuple[_Selection, list[Teacher]]:
    """The examples that the teachers are confident of, and the teachers with their cached logits."""
    task, fit = settings.task, settings.fit
    num_labels = len(task.labels)
    weights = teacher_weights(teachers, fit.teacher_weights, task, dev, cache)
    logits = mean_logits(teachers, weights, examples, num_labels, cache)
    gold = np.array([task.index_of(example) for example in dev])
    temperature = fit_temperature(mean_logits(teachers, weights, dev, num_labels, cache), gold)
    probs = torch.from_numpy(logits / np.float32(temperature)).softmax(1).numpy()
    rows, confident = select_rows(probs, fit.unlabelled, settings.seed)
    if not len(rows):
        raise DataError(
            f"distill.unlabelled: of {len(examples)} examples the teachers are confident of none "
            f"(min_confidence = {fit.unlabelled.min_confidence:g}); lower it, or name other sources"
        )
    by_label = {
        name: _by_label(probs, some, task.labels) for name, some in (("sure", confident), ("kept", rows))
    }
    _LOG.info("unlabelled: %d of %d examples kept (%s)", len(rows), len(examples), by_label["kept"])
    cached = [
        with_cached_logits(
            teacher, examples, _rows_of(cached_logits(teacher, examples, num_labels, cache), rows)
        )
        for teacher in teachers
    ]
    facts = {"temperature": round(temperature, 4), "num_kept": len(rows), **by_label}
    return _Selection([examples[row] for row in rows], facts), cached


def _by_label(probs: NDArray[np.floating], rows: NDArray[np.int64], labels: Sequence[str]) -> dict[str, int]:
    counts = np.bincount(probs[rows].argmax(1), minlength=len(labels)).tolist()
    return dict(zip(labels, counts, strict=True))


def _rows_of(logits: NDArray[np.float32], rows: NDArray[np.int64]) -> dict[int, NDArray[np.float32]]:
    return {int(row): logits[row] for row in rows}
