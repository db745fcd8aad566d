"""The ``train`` stage: a pretrained encoder becomes a teacher."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from attar.evaluation.thresholds import choose_thresholds
from attar.io.stamps import drop_state
from attar.metrics import scores
from attar.models.checkpoint import Checkpoint, predict_logits, save_checkpoint
from attar.models.encoder_config import check_positions
from attar.models.encoders import Encoder, freeze_first, load_encoder, output_bias
from attar.recipe.load import EncodeRecipe, FitRecipe
from attar.records.prepared_folder import load_split
from attar.stage_cache import is_first_process
from attar.task import Example, Task
from attar.text.encoding import Encoding, InputSpec, TextEncoder
from attar.text.vocabulary import texts_read
from attar.training.accelerator import make_accelerator
from attar.training.fit import DevScore, fit
from attar.training.frozen import FrozenLayers, trainable_part
from attar.training.linear_probe import init_head
from attar.training.objectives import HardLabels, Objective, class_weights
from attar.training.settings import TrainSettings

__all__ = [
    "LabelledLogits",
    "dev_scorer",
    "fit_and_save",
    "labelled_logits",
    "move_thresholds",
    "text_encoder",
    "train",
]

_LOG = logging.getLogger(__name__)


def train(settings: TrainSettings, data: Path, out: Path) -> Path:
    """Fine-tune an encoder on a prepared folder.

    Args:
        settings: Of the recipe.
        data: A folder written by ``attar prepare``.
        out: Gets the checkpoint, metrics.jsonl and tensorboard/.
    """
    task, encode = settings.task, settings.encode
    examples = load_split(data, "train")
    torch.manual_seed(settings.seed)
    encoder = load_encoder(settings.train, len(task.labels), texts_read(examples, task, encode.normalise))
    checkpoint = Checkpoint(encoder.model, text_encoder(encoder, task, encode), task)
    objective = HardLabels(task, examples, settings.train)
    notes = {"role": "teacher", "encoder": settings.train.encoder}
    dev = load_split(data, "dev")
    return fit_and_save(
        checkpoint, examples, objective, settings.train, dev, out, seed=settings.seed, notes=notes
    )


def text_encoder(encoder: Encoder, task: Task, encode: EncodeRecipe) -> TextEncoder:
    """What makes an encoder's input for a task, as the recipe's ``[encode]`` says.

    Raises:
        RecipeError: The encoder has fewer than ``encode.max_tokens`` positions.
    """
    check_positions(encoder.model, encode.max_tokens)
    spec = InputSpec.for_task(
        task,
        encode.max_tokens,
        token_types=encoder.token_types,
        pooling=encode.pooling,
        normalise=encode.normalise,
    )
    return TextEncoder(encoder.tokenizer, spec)


def fit_and_save(  # noqa: PLR0913 - what every training needs
    checkpoint: Checkpoint,
    examples: Sequence[Example],
    objective: Objective,
    settings: FitRecipe,
    dev: Sequence[Example],
    out: Path,
    *,
    seed: int,
    notes: dict[str, Any],
    evaluate: Callable[[], DevScore] | None = None,
    after_evaluation: Callable[[int, DevScore], None] | None = None,
    answers: LabelledLogits | None = None,
) -> Path:
    """Train a checkpoint's model and write the weights that ``settings.keep`` names.

    Args:
        checkpoint: The model and its input.
        examples: What it is trained on.
        objective: What is minimised; its rows are indices of the examples.
        settings: The loop's settings.
        dev: Labelled examples that select the best weights.
        out: Gets the checkpoint, metrics.jsonl and tensorboard/.
        seed: Order of the examples and dropout.
        notes: The checkpoint's provenance; ``role`` labels the progress bar.
        evaluate: Scores the model; None for ``dev_scorer``.
        after_evaluation: See ``attar.training.fit.fit``.
        answers: What chooses the thresholds instead of dev; needed where these are "folds".
    """
    encodings = checkpoint.encoder.encode(examples)
    trained = _trainable_part(checkpoint, objective, settings, encodings, dev)
    if settings.head_init == "linear_probe":
        labelled = [example for example in examples if example.label is not None]
        weights = class_weights(checkpoint.task, labelled, settings.class_weights)
        init_head(trained, labelled, dev, weights.double().numpy())
    result = fit(
        trained, encodings, objective, settings,
        evaluate=evaluate or dev_scorer(trained, dev),
        folder=out, seed=seed, name=notes["role"], after_evaluation=after_evaluation,
    )  # fmt: skip
    checkpoint.model.eval()
    notes = notes | {
        "num_train": len(examples),
        "dev_score": result.best_score,
        "best_step": result.best_step,
        "total_steps": result.total_steps,
        "collapsed": result.collapsed,
    }
    if settings.thresholds != "none":
        notes["thresholds"] = move_thresholds(checkpoint, answers or labelled_logits(checkpoint, dev))
    if is_first_process():
        save_checkpoint(replace(checkpoint, notes=notes), out)
        drop_state(out)
    return out


def _trainable_part(
    checkpoint: Checkpoint,
    objective: Objective,
    settings: FitRecipe,
    encodings: Sequence[Encoding],
    dev: Sequence[Example],
) -> Checkpoint:
    """The part of a checkpoint that each step computes; outputs of frozen layers are computed here."""
    if settings.freeze is not None:
        freeze_first(checkpoint.model, settings.freeze)
    if objective.reads_layers:
        return checkpoint
    part = trainable_part(checkpoint, settings.freeze or 0, bf16=settings.precision != "fp32")
    if isinstance(part.inputs, FrozenLayers):
        device = make_accelerator(settings.precision).device
        part.inputs.precompute([*encodings, *checkpoint.encoder.encode(dev)], device)
    return part


def dev_scorer(checkpoint: Checkpoint, dev: Sequence[Example]) -> Callable[[], DevScore]:
    """A function that scores the checkpoint's model on labelled examples."""
    task = checkpoint.task
    gold = np.array([task.index_of(example) for example in dev])

    def score() -> DevScore:
        logits = predict_logits(checkpoint, dev, bf16=True)
        found = scores(task, gold, logits)
        detail = {"dev/accuracy": found.accuracy, "dev/macro_f1": found.macro_f1}
        one_label = len(np.unique(logits.argmax(1))) == 1 < len(np.unique(gold))
        return DevScore(getattr(found, task.metric), detail, collapsed=one_label)

    return score


class LabelledLogits(NamedTuple):
    """Logits [N, C] of examples that a model was not trained on, and their label indices [N]."""

    logits: NDArray[np.float32]
    gold: NDArray[np.int64]


def labelled_logits(checkpoint: Checkpoint, examples: Sequence[Example]) -> LabelledLogits:
    """What a checkpoint says of labelled examples."""
    gold = np.array([checkpoint.task.index_of(example) for example in examples], np.int64)
    return LabelledLogits(predict_logits(checkpoint, examples), gold)


def move_thresholds(checkpoint: Checkpoint, answers: LabelledLogits) -> dict[str, Any]:
    """Choose decision thresholds and add them to the bias of a classifier's logits, in place.

    Its label is argmax(logits + offsets) and its probs are softmax(logits + offsets) then, wherever it
    is used: as a teacher, in a report, exported. A temperature fitted later divides the sum.

    Args:
        checkpoint: Whose bias is changed.
        answers: Its own logits of dev, or those of models like it of rows that they did not see.

    Returns:
        For the checkpoint's notes: the offset of each label, whether they were kept, their gain on
        examples that they were not chosen on, and the score without and with them.
    """
    task, model = checkpoint.task, checkpoint.model
    found = choose_thresholds(answers.logits, answers.gold, task.metric)
    offsets = [round(float(offset), 4) if found.kept else 0.0 for offset in found.offsets]
    with torch.no_grad():
        bias = output_bias(model)
        bias.add_(torch.tensor(offsets, dtype=bias.dtype, device=bias.device))
    done = "moved" if found.kept else "unchanged"
    _LOG.info("thresholds %s: %+.4f on examples that they were not chosen on", done, found.gain)
    return {
        "offsets": dict(zip(task.labels, offsets, strict=True)),
        "kept": found.kept,
        "gain": round(found.gain, 4),
        "before": round(found.before, 4),
        "after": round(found.after if found.kept else found.before, 4),
    }
