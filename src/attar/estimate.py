"""How long a run will take on this machine, before it starts.

One transformer layer of each width that the run trains is timed for a second or two, and multiplied by
layers, tokens and steps. Everything else (loading, writing, timing the models) is a constant. The estimate
is for this machine under its present load and is right within about a third; each stage logs what it took.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import torch

from attar.errors import AttarError
from attar.models.forward import map_batches
from attar.models.precision import bf16_inference, computes_in_bf16
from attar.models.students import Shape, encoder_shape, shape_of
from attar.progress import spoken_time
from attar.recipe.load import FitRecipe, Recipe
from attar.records.prepared_folder import load_manifest, load_split
from attar.task import Example
from attar.training.fast_cpu import fast_cpu_kernels

__all__ = ["describe_estimate", "estimate_seconds", "layer_seconds", "mean_tokens", "say_estimate"]

_LOG = logging.getLogger(__name__)
_SPECIAL_TOKENS = 5  # [CLS], two marks and two [SEP]
_PROBE_EXAMPLES = 2000  # examples that a linear probe reads at most
_START_SECONDS = 4.0  # loading, encoding and writing in each stage
_TIMED_MODELS = 5  # of the report
_ROUND_SECONDS = 1.0
_TIMING_SECONDS = 0.8
_FEW_IDS = 32
_LAST_LAYER = 1 / 6  # of a layer: keys and values for all tokens, the rest for one (attar.training.frozen)


class LayerSeconds(NamedTuple):
    """Seconds a token of one layer here: forward, backward and the optimiser's step, and forward alone."""

    train: float
    forward: float


def estimate_seconds(
    recipe: Recipe, train: Sequence[Example], num_dev: int, num_test: int
) -> dict[str, float]:
    """Seconds of each stage of ``attar run`` after the reviews were prepared.

    Texts without labels, more teachers and what matches cost are not counted.

    Raises:
        CheckpointError: The encoder cannot be found.
    """
    tokens = mean_tokens(recipe, train)
    teacher, student = encoder_shape(recipe.train), shape_of(recipe.student)
    of_teacher = layer_seconds(teacher, recipe.train, tokens)
    # Often both have layers of one shape and settings, which need not be timed twice.
    same = _timed_alike(teacher, recipe.train) == _timed_alike(student, recipe.distill)
    of_student = of_teacher if same else layer_seconds(student, recipe.distill, tokens)
    counts = len(train), num_dev
    asked = tokens * len(train) * teacher.layers * of_teacher.forward
    answered = teacher.layers * of_teacher.forward + 3 * student.layers * of_student.forward
    export = recipe.export
    checked = export.calibration_examples + 3 * min(export.parity_examples, len(train) + num_dev)
    evaluate = recipe.evaluate
    timed = _ROUND_SECONDS * _TIMED_MODELS * (evaluate.speed_repeats + 3)
    return {
        "train": _fit_seconds(recipe.train, teacher, of_teacher, tokens, counts),
        "distill": asked + _fit_seconds(recipe.distill, student, of_student, tokens, counts),
        "finetune": _fit_seconds(recipe.finetuning(), student, of_student, tokens, counts),
        "export": _START_SECONDS + 2 * tokens * checked * student.layers * of_student.forward,
        "evaluate": _START_SECONDS + timed + tokens * num_test * answered,
    }


def describe_estimate(seconds: dict[str, float]) -> str:
    """The estimate in one line: the total, then each stage."""
    parts = ", ".join(f"{name} {spoken_time(each)}" for name, each in seconds.items())
    return f"about {spoken_time(sum(seconds.values()))} on this machine: {parts}"


def _timed_alike(shape: Shape, settings: FitRecipe) -> tuple[object, ...]:
    """What the time of a layer depends on."""
    return (*shape[1:], settings.batch_size, settings.precision, settings.dropout)


def mean_tokens(recipe: Recipe, examples: Sequence[Example]) -> float:
    """About how many tokens an example has: a character each, the term twice."""
    task = recipe.resolved_task()

    def length(example: Example) -> int:
        text, term = len(example.text) + len(example.second), len(example.term)
        if task.has_term and task.window_chars is not None:
            text = min(text, 2 * task.window_chars + term)
        return min(recipe.encode.max_tokens, text + term + _SPECIAL_TOKENS)

    return sum(map(length, examples)) / max(1, len(examples))


def _fit_seconds(
    settings: FitRecipe, shape: Shape, cost: LayerSeconds, tokens: float, counts: tuple[int, int]
) -> float:
    """A training's seconds: the frozen layers once, the others in each epoch, dev after each."""
    num_train, num_dev = counts
    frozen = min(settings.freeze or 0, shape.layers)
    learning = max(_LAST_LAYER, shape.layers - frozen - 1 + _LAST_LAYER)
    once = frozen * (num_train + num_dev) * cost.forward
    if settings.head_init == "linear_probe":
        once += learning * (min(_PROBE_EXAMPLES, num_train) + num_dev) * cost.forward
    epoch = learning * num_train * cost.train * (2 if settings.thresholds == "folds" else 1)
    scored = settings.evaluations_per_epoch * learning * num_dev * cost.forward
    epochs = max(settings.epochs, (settings.min_steps or 0) * settings.batch_size / max(1, num_train))
    return _START_SECONDS + tokens * (once + epochs * (epoch + scored))


def layer_seconds(shape: Shape, settings: FitRecipe, tokens: float) -> LayerSeconds:
    """Time a layer of a shape on the batches and in the precision of a training."""
    from transformers import BertConfig, BertModel

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    config = BertConfig(
        vocab_size=_FEW_IDS,
        num_hidden_layers=1,
        hidden_size=shape.hidden,
        num_attention_heads=shape.heads,
        intermediate_size=shape.intermediate,
        hidden_dropout_prob=settings.dropout,
        attention_probs_dropout_prob=settings.dropout,
    )
    model = BertModel(config, add_pooling_layer=False).to(device)
    optimiser = torch.optim.AdamW(model.encoder.parameters(), fused=True)
    ids = torch.randint(_FEW_IDS, (settings.batch_size, max(8, round(tokens))), device=device)
    mask = torch.ones_like(ids)
    # What a layer norm gives out has one length: with random aims its gradients are not all but 0,
    # which would be slow to compute.
    aims = torch.randn(*ids.shape, shape.hidden, device=device)
    half = settings.precision == "bf16" or (settings.precision == "auto" and computes_in_bf16())

    def learn() -> None:
        model.train()
        with torch.autocast(device.type, torch.bfloat16, enabled=half):
            states = model(input_ids=ids, attention_mask=mask).last_hidden_state
        (states.float() * aims).mean().backward()
        optimiser.step()
        optimiser.zero_grad()

    batches = [ids] * torch.get_num_threads()  # one a core, as in attar.models.forward

    def forward(batch: torch.Tensor) -> None:
        with bf16_inference(device):
            model(input_ids=batch, attention_mask=mask)

    def read() -> None:
        model.eval()
        list(map_batches(forward, batches, device))

    with fast_cpu_kernels(model):
        train, read_all = _seconds(learn, device), _seconds(read, device)
    return LayerSeconds(train / ids.numel(), read_all / len(batches) / ids.numel())


def _seconds(work: Callable[[], None], device: torch.device) -> float:
    """Median seconds of a piece of work, repeated for about a second."""
    work()
    took: list[float] = []
    started = time.perf_counter()
    while len(took) < 5 or time.perf_counter() - started < _TIMING_SECONDS:
        before = time.perf_counter()
        work()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        took.append(time.perf_counter() - before)
    return sorted(took)[len(took) // 2]


def say_estimate(recipe: Recipe, data: Path, stages: Sequence[str], say: Callable[[str], None]) -> None:
    """Say what a prepared folder holds, and how long the stages of a run that are left may take on it."""
    for name, labels in load_manifest(data)["labels"].items():
        counts = ", ".join(f"{label} {count}" for label, count in labels.items())
        say(f"{name}: {sum(labels.values())} examples ({counts})")
    train, dev, test = (load_split(data, name) for name in ("train", "dev", "test"))
    try:
        seconds = estimate_seconds(recipe, train, len(dev), len(test))
    except AttarError as error:  # of the encoder: the stage that needs it says what to do
        _LOG.info("no estimate of the time: %s", error)
    else:
        say(describe_estimate({name: seconds[name] for name in stages}))
