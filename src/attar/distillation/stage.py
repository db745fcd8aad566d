"""The ``distill`` stage: a student learns from its teachers or, for comparison, from labels alone."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from attar.distillation.cache import CACHE_FOLDER
from attar.distillation.cached_features import cached_features
from attar.distillation.data.transfer_set import transfer_set
from attar.distillation.folds import cross_fitted_logits
from attar.distillation.linear import linear_teacher
from attar.distillation.match_losses import MatchLosses
from attar.distillation.matches import check_names
from attar.distillation.objective import Distillation
from attar.distillation.pairing import find_matched
from attar.distillation.settings import LINEAR, StudentSettings, every_teacher
from attar.distillation.teacher_outputs import (
    CachedLogits,
    LogitProvider,
    OnlineLogits,
    OnlineTeacher,
    TeacherEnsemble,
)
from attar.distillation.teachers import (
    Teacher,
    cached_logits,
    load_teacher,
    mean_logits,
    teacher_weights,
    with_cached_logits,
)
from attar.errors import RecipeError
from attar.models.checkpoint import Checkpoint
from attar.models.encoders import Encoder, freeze_first, load_encoder
from attar.models.general import general_student
from attar.models.students import build_student, pretrained_student
from attar.recipe.load import DistillRecipe
from attar.records.prepared_folder import load_split
from attar.task import Example, Task
from attar.text.encoding import TextEncoder
from attar.text.vocabulary import texts_read
from attar.training.fit import DevScore
from attar.training.objectives import HardLabels
from attar.training.stage import LabelledLogits, fit_and_save, text_encoder

__all__ = ["distill", "finetune_student", "teach"]

_LOG = logging.getLogger(__name__)


def distill(settings: StudentSettings, data: Path, teachers: Sequence[Path | str], out: Path) -> Path:
    """Train the recipe's student; see ``teach``.

    Args:
        settings: Of the recipe.
        data: A folder written by ``attar prepare``.
        teachers: Checkpoints of the same task, or "linear"; ``distill.more_teachers`` follow them.
            The student takes the first checkpoint's tokenizer and, with ``start = "layers"``, its
            layers.
        out: Gets the student's checkpoint, metrics.jsonl, tensorboard/ and the cached teacher outputs.

    Raises:
        CheckpointError: A teacher is no whole checkpoint.
        DataError: Nothing is left of the sources of the transfer set.
        RecipeError: A teacher's labels are not the recipe's, or matches do not fit.
    """
    task, fit = settings.task, settings.fit
    check_names(fit.matches)
    train, dev = load_split(data, "train"), load_split(data, "dev")
    loaded = [
        linear_teacher(task, train, dev) if entry == LINEAR else load_teacher(Path(entry), task)
        for entry in every_teacher(settings, teachers)
    ]
    if not loaded:
        raise RecipeError("distill: no teacher; name a checkpoint, or 'linear'")
    if not fit.allow_collapsed:
        _refuse_collapsed(loaded)
    extra, loaded = transfer_set(settings, data, loaded, out)
    examples = [*train, *extra]
    source = partial(_student_source, settings, loaded, examples)
    notes = {"role": "student", "student": settings.student.model_dump(mode="json")}
    told: dict[str, Any] = {"seed": settings.seed, "notes": notes}
    if fit.thresholds == "folds":
        loaded = _answered_once(loaded, examples, fit, len(task.labels), out)

        def trained_on(part: list[Example], folder: Path) -> Checkpoint:
            student, plain = _student(settings, source(), examples), _without_thresholds(fit)
            teach(student, loaded, [*part, *extra], dev, plain, folder, **told)
            return student

        told["answers"] = _cross_fitted(task, train, trained_on, out)
    student = _student(settings, source(), examples)
    return teach(student, loaded, examples, dev, fit, out, **told)


def _without_thresholds(fit: DistillRecipe) -> DistillRecipe:
    return fit.model_copy(update={"thresholds": "none"})


def _cross_fitted(
    task: Task, train: Sequence[Example], trained_on: Callable[[list[Example], Path], Checkpoint], out: Path
) -> LabelledLogits:
    gold = np.array([task.index_of(example) for example in train], np.int64)
    return LabelledLogits(cross_fitted_logits(train, trained_on, out / CACHE_FOLDER), gold)


def _answered_once(
    teachers: Sequence[Teacher], examples: Sequence[Example], fit: DistillRecipe, num_labels: int, out: Path
) -> list[Teacher]:
    """The teachers with their logits of all examples, so that parts of these cost nothing."""
    if not fit.soft_weight or fit.cache == "none":
        return list(teachers)
    logits = [cached_logits(teacher, examples, num_labels, out / CACHE_FOLDER) for teacher in teachers]
    return [
        with_cached_logits(one, examples, dict(enumerate(each)))
        for one, each in zip(teachers, logits, strict=True)
    ]


def teach(  # noqa: PLR0913 - what every distillation needs
    student: Checkpoint,
    teachers: Sequence[Teacher],
    examples: Sequence[Example],
    dev: Sequence[Example],
    settings: DistillRecipe,
    out: Path,
    *,
    seed: int,
    notes: dict[str, Any],
    evaluate: Callable[[], DevScore] | None = None,
    after_evaluation: Callable[[int, DevScore], None] | None = None,
    answers: LabelledLogits | None = None,
) -> Path:
    """Train a student on its teachers' logits, their layers and the labels.

    Args:
        student: As it starts.
        teachers: One or several, of the same task.
        examples: What it is trained on.
        dev: Labelled examples that choose the best weights.
        settings: The recipe's ``[distill]``.
        out: Gets the student's checkpoint, metrics.jsonl, tensorboard/ and the cached teacher outputs.
        seed: Order of the examples and dropout.
        notes: Of the checkpoint; the teachers and matches are added.
        evaluate: See ``attar.training.stage.fit_and_save``.
        after_evaluation: See ``attar.training.fit.fit``.
        answers: See ``attar.training.stage.fit_and_save``.

    Raises:
        RecipeError: Weights of the teachers, or matches, do not fit.
    """
    task, cache = student.task, out / CACHE_FOLDER
    weights = teacher_weights(teachers, settings.teacher_weights, task, dev, cache)
    providers, losses = _logit_providers(teachers, weights, student, examples, settings, cache)
    notes = notes | {
        "teachers": [
            [Path(one.name).name, round(weight, 4)] for one, weight in zip(teachers, weights, strict=True)
        ],
        "matches": [match.name for match in losses.matches] if losses else [],
    }
    pad_to = _pad_to(student, settings) if losses else None
    objective = Distillation(task, examples, TeacherEnsemble(providers), settings, losses, pad_to)
    return fit_and_save(
        student, examples, objective, settings, dev, out,
        seed=seed, notes=notes, evaluate=evaluate, after_evaluation=after_evaluation, answers=answers,
    )  # fmt: skip


def finetune_student(settings: StudentSettings, data: Path, out: Path) -> Path:
    """Train the same student, from the pretrained encoder's layers, on the labels alone.

    The baseline that shows what the teacher was worth.
    """
    task, fit = settings.task, settings.fit
    examples, dev = load_split(data, "train"), load_split(data, "dev")
    notes: dict[str, Any] = {"role": "finetuned", "student": settings.student.model_dump(mode="json")}

    def finetuned(
        part: list[Example], folder: Path, fit: DistillRecipe, answers: LabelledLogits | None = None
    ) -> Checkpoint:
        student = _student(settings, _student_source(settings, [], examples), examples)
        objective, seed = HardLabels(task, part, fit), settings.seed
        fit_and_save(student, part, objective, fit, dev, folder, seed=seed, notes=notes, answers=answers)
        return student

    answers = None
    if fit.thresholds == "folds":
        answers = _cross_fitted(task, examples, partial(finetuned, fit=_without_thresholds(fit)), out)
    finetuned(examples, out, fit, answers)
    return out


def _refuse_collapsed(teachers: Sequence[Teacher]) -> None:
    for teacher in teachers:
        if teacher.checkpoint is not None and teacher.checkpoint.notes.get("collapsed"):
            raise RecipeError(
                f"{teacher.name}: this teacher collapsed, it gives every dev example one label; lower "
                "train.learning_rate, set train.dropout = 0 or train.head_init = 'linear_probe' and train it "
                "again, or distil from it anyway with --set distill.allow_collapsed=true"
            )


def _student_source(
    settings: StudentSettings, teachers: Sequence[Teacher], examples: Sequence[Example]
) -> Encoder:
    """The model that a student continues from, its first teacher that is a checkpoint, or the encoder."""
    task = settings.task
    texts = texts_read(examples, task, settings.encode.normalise)
    if settings.student.start == "general":
        return general_student(texts)
    if settings.student.from_checkpoint is not None:
        return pretrained_student(settings.student)
    for teacher in teachers:
        if teacher.checkpoint is not None:
            model, encoder = teacher.checkpoint.model, teacher.checkpoint.encoder
            return Encoder(model, encoder.tokenizer, encoder.spec.token_types)
    torch.manual_seed(settings.seed)
    return load_encoder(settings.encoder, len(task.labels), texts)


def _student(settings: StudentSettings, source: Encoder, examples: Sequence[Example]) -> Checkpoint:
    """The student before it has learnt anything."""
    task, encode, fit = settings.task, settings.encode, settings.fit
    torch.manual_seed(settings.seed)
    student = build_student(
        settings.student,
        source,
        texts_read(examples, task, encode.normalise),
        num_labels=len(task.labels),
        dropout=fit.dropout,
    )
    if fit.freeze is not None:
        if settings.student.start == "random":
            raise RecipeError(
                "distill.freeze keeps layers as they start, and a student with student.start = 'random' "
                "starts at random; leave distill.freeze out or set student.start = 'layers'"
            )
        freeze_first(student.model, fit.freeze)  # now: too many are an error before the teachers run
    encoder = text_encoder(student, task, encode)
    if settings.student.start == "pretrained":
        _warn_unknown_tokens(encoder, examples)
    return Checkpoint(student.model, encoder, task)


def _warn_unknown_tokens(encoder: TextEncoder, examples: Sequence[Example]) -> None:
    """Warn of training text that the vocabulary of a pretrained student does not cover."""
    unknown = encoder.tokenizer.token_to_id("[UNK]")
    ids = np.concatenate([encoding.ids for encoding in encoder.encode(examples)])
    if count := int((ids == unknown).sum()):
        _LOG.warning(
            "the pretrained student does not know %d of the %d tokens of the training examples; "
            "pretrain with --data naming this folder, and its vocabulary covers them", count, len(ids),
        )  # fmt: skip


def _logit_providers(
    teachers: Sequence[Teacher],
    weights: Sequence[float],
    student: Checkpoint,
    examples: Sequence[Example],
    settings: DistillRecipe,
    folder: Path,
) -> tuple[list[tuple[float, LogitProvider]], MatchLosses | None]:
    """Providers with their weights in the mean logits, and the losses of the matches."""
    matched, losses = None, None
    providers: list[tuple[float, LogitProvider]] = []
    if settings.matches:
        matched, online, matches = find_matched(
            teachers, student, examples, settings.matches, settings.attention
        )
        online.pad_to = _pad_to(student, settings)
        textbrewer = settings.match_scale == "textbrewer"
        losses = MatchLosses(
            matches,
            student.model.config.hidden_size,
            online.checkpoint.model.config.hidden_size,
            weigh_by="tokens" if textbrewer else "examples",
            max_tokens=student.encoder.spec.max_tokens if textbrewer else None,
        )
        weight = weights[teachers.index(matched)] if settings.cache == "none" else 0.0
        features: LogitProvider = online
        if settings.cache == "features" and "attention" not in online.layers:
            features = cached_features(matched, online, examples, folder, settings.cache_limit_gb)
            # One pass over the examples computes both.
            cached = with_cached_logits(matched, examples, features.logits)
            teachers = [cached if teacher is matched else teacher for teacher in teachers]
        providers.append((weight if settings.soft_weight else 0.0, features))
    if not settings.soft_weight:
        return providers, losses
    if settings.cache != "none":
        logits = mean_logits(teachers, weights, examples, len(student.task.labels), folder)
        return [*providers, (1.0, CachedLogits(logits))], losses
    for teacher, weight in zip(teachers, weights, strict=True):
        if teacher is not matched:
            provider = OnlineTeacher(teacher.checkpoint, examples, {}) if teacher.checkpoint else None
            providers.append((weight, provider or OnlineLogits(teacher, examples)))
    return providers, losses


def _pad_to(student: Checkpoint, settings: DistillRecipe) -> int | None:
    """Tokens that batches are padded to where padding counts."""
    return None if settings.mask_padding else student.encoder.spec.max_tokens
