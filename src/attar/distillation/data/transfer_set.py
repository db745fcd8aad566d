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
from attar.distillation.data.own_rows import rows_without_label
from attar.distillation.data.unlabelled import transfer_examples, unlabelled_examples
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
from attar.recipe.load import UnlabelledRecipe
from attar.records.prepared_folder import load_split
from attar.records.split.near_duplicates import drop_near_duplicates
from attar.task import Example

__all__ = ["TransferSet", "select_rows", "transfer_set"]

_LOG = logging.getLogger(__name__)
_POWERS = {"none": 1.0, "sqrt": 0.5, "equal": 0.0}


class TransferSet(NamedTuple):
    """Examples without labels beside the training split, and the teachers with what they have computed."""

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
    asks_own = fit.unlabelled.own_rows and bool(fit.soft_weight) and (data / "rejected.jsonl").is_file()
    if not (fit.transfer or fit.unlabelled.sources or fit.augment.copies or asks_own):
        return TransferSet([], loaded)
    train, dev, test = (load_split(data, name) for name in ("train", "dev", "test"))
    cache, examples = out / CACHE_FOLDER, list[Example]()
    if fit.transfer:
        examples += transfer_examples(
            fit.transfer, settings.task, [*train, *dev, *test], settings.data, cache / "transfer"
        )
    found, counts = list[Example](), dict[str, int]()
    if fit.unlabelled.sources:
        found, counts = unlabelled_examples(settings, train, [*dev, *test], cache / "unlabelled")
    if asks_own:
        own = _own_rows(settings, data, train, [*dev, *test])
        counts |= {"own_rows": len(own)} if own else {}
        found = [*found, *own]
    if found:
        selected, facts, loaded = _select(settings, found, loaded, dev, cache)
        write_json(out / "unlabelled.json", {"counts": counts, **facts})
        examples += selected
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


def _own_rows(
    settings: StudentSettings, data: Path, train: Sequence[Example], held_out: Sequence[Example]
) -> list[Example]:
    """The rows of the run's own sources that have no label."""
    limit, seed = settings.fit.unlabelled.limit, settings.seed
    own = rows_without_label(
        data, settings.task, settings.data, train=train, held_out=held_out, limit=limit, seed=seed
    )
    if own:
        _LOG.info("%d rows of the sources have no label: the teachers answer them", len(own))
    return own


def _select(
    settings: StudentSettings,
    examples: Sequence[Example],
    teachers: Sequence[Teacher],
    dev: Sequence[Example],
    cache: Path,
) -> tuple[list[Example], dict[str, Any], list[Teacher]]:
    """The examples that the teachers are confident of, facts of them, the teachers with their logits."""
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
    by_label = {}
    for name, some in (("sure", confident), ("kept", rows)):
        counts = np.bincount(probs[some].argmax(1), minlength=num_labels).tolist()
        by_label[name] = dict(zip(task.labels, counts, strict=True))
    _LOG.info("unlabelled: %d of %d examples kept (%s)", len(rows), len(examples), by_label["kept"])
    cached = []
    for teacher in teachers:
        own = cached_logits(teacher, examples, num_labels, cache)
        cached.append(with_cached_logits(teacher, examples, {int(row): own[row] for row in rows}))
    facts = {"temperature": round(temperature, 4), "num_kept": len(rows), **by_label}
    return [examples[row] for row in rows], facts, cached


def select_rows(
    probs: NDArray[np.floating], settings: UnlabelledRecipe, seed: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows whose top prob is at least ``min_confidence``, balanced by the label that it is of.

    With n_c such rows of label c, N in all and S = min(limit, N), label c keeps at most
    S n_c^p / sum_k n_k^p of them (p = 1, 1/2, 0 for "none", "sqrt", "equal"), drawn by the seed.
    What a label cannot fill is not given to others: a rare label stays rare, without being swamped.

    Args:
        probs: [N, C]; their labels serve to balance alone.
        settings: ``min_confidence``, ``balance`` and ``limit``.
        seed: Another seed, other rows.

    Returns:
        The selected rows, ascending, and all rows that are confident enough.
    """
    labels = probs.argmax(1)
    confident = np.flatnonzero(probs.max(1) >= settings.min_confidence)
    counts = np.bincount(labels[confident], minlength=probs.shape[1])
    shares = np.where(counts > 0, counts.astype(np.float64) ** _POWERS[settings.balance], 0.0)
    size = min(settings.limit, len(confident))
    most = np.floor(size * shares / max(shares.sum(), 1.0) + 1e-9).astype(np.int64)
    order = np.random.default_rng(seed).permutation(confident)
    selected = [order[labels[order] == label][:count] for label, count in enumerate(most)]
    return np.sort(np.concatenate(selected)), confident
