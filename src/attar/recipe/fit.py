"""What ``[pretrain]``, ``[train]``, ``[distill]`` and ``[finetune]`` have in common: the training loop."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import (
    BeforeValidator,
    Field,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)

from attar.recipe.base import Positive, Section, Share

__all__ = ["IDLE_KEYS", "FitRecipe", "Schedule"]

Schedule = Literal[
    "linear", "cosine", "constant",
    "warmup_linear", "warmup_cosine", "warmup_constant",
    "warmup_linear_release", "warmup_step", "slanted_triangular",
]  # fmt: skip


IDLE_KEYS = frozenset({"checkpoint_minutes", "log_interval"})
"""Keys of ``FitRecipe`` that a training's result does not depend on."""


def _none(value: object) -> object:
    return None if value == "none" else value


class FitRecipe(Section):
    """The settings of the training loop (``attar.training.fit``).

    Class weights, logit adjustment and sampling each make up for rare labels: two of them make up
    twice. For sampling an example without a label counts as what the teachers answer.
    """

    epochs: Annotated[float, Field(gt=0)] = 5
    """Passes over the training examples; a fraction is allowed."""
    min_steps: Positive | None = None
    """Fewest optimiser steps: few examples are read more often than `epochs` says."""
    batch_size: Positive = 24
    """Examples an optimiser step, over all processes and accumulation steps together."""
    drop_last: bool = False
    """Leave an epoch's last batch out where it is smaller."""
    gradient_accumulation_steps: Positive = 1
    """Parts that a batch is computed in, to save memory; the gradient stays the same, but for losses
    among examples."""
    learning_rate: Annotated[float, Field(gt=0)] = 5e-5
    """Peak of the schedule."""
    optimiser: Literal["adamw", "bert_adam"] = "adamw"
    """`bert_adam` is the original system's Adam, which clips each parameter's gradient alone."""
    weight_decay: Annotated[float, Field(ge=0)] = 0.01
    """Decoupled decay; biases and layer norms have none."""
    schedule: Schedule = "linear"
    """What the learning rate does after the warm-up: falls linearly, as a cosine, or stays. The six
    longer names are schedules of the original system."""
    schedule_options: tuple[float, float, float] = (1.0, 0.0, 1.0)
    """`s_opt1`, `s_opt2`, `s_opt3` of the original system's schedules."""
    warmup: Share = 0.1
    """Share of all steps in which the learning rate rises."""
    max_grad_norm: Annotated[float, Field(gt=0)] = 1.0
    """Longest gradient, as a norm over all parameters; a longer one is clipped."""
    class_weights: Literal["none", "sqrt", "balanced"] = "sqrt"
    """Weight of a class's hard-label loss: (N / (C n))^p, p = 0, 0.5 or 1."""
    hard_loss: Literal["ce", "logit_adjusted", "focal"] = "ce"
    """Loss of the labels: cross-entropy, logit adjustment (Menon et al. 2021, arXiv:2007.07314) or focal
    loss (Lin et al. 2017, arXiv:1708.02002)."""
    adjust_tau: Annotated[float, Field(ge=0)] = 1.0
    """Of `logit_adjusted`: what part of the labels' log shares training adds to the logits."""
    focal_gamma: Annotated[float, Field(ge=1)] = 2.0
    """Of `focal`: the higher, the less an example counts that is right already."""
    sampling: Literal["shuffled", "sqrt", "balanced"] = "shuffled"
    """What an epoch reads: each example once, or labels in proportion to the square root of their
    examples, or equally often."""
    thresholds: Literal["none", "dev", "folds"] = "none"
    """`dev`: an offset for each label, chosen on dev after the training and kept where it is more than
    noise, is added to the classifier's bias. `folds`, of a student: chosen on all training rows, answered by
    students that were trained on the other half of the reviews, for twice the time."""
    layer_decay: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Learning rate of a layer over that of the layer above; the head has the whole rate."""
    evaluations_per_epoch: Positive = 1
    """How often dev is scored."""
    keep: Literal["best", "last", "mean"] = "best"
    """Which weights remain: the best on dev, the last, or the mean of the last quarter of the steps (Izmailov
    et al. 2018, arXiv:1803.05407)."""
    log_interval: Positive | None = None
    """Show the losses every so many steps; left out, dev scores alone are shown."""
    checkpoint_minutes: Annotated[float, Field(gt=0)] = 2.0
    """Time between two states that a killed training resumes from."""
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    """`auto` takes bf16 where the processor computes in it, else fp32; `fp16` needs a GPU."""
    dropout: Share = 0.1
    """Share of activations dropped in training."""
    token_dropout: Share = 0.0
    """Share of the text's tokens that are hidden in each training step."""
    head_init: Literal["linear_probe", "random"] = "linear_probe"
    """How the classifier's head starts: from a linear probe of the encoder, or at random."""
    freeze: Annotated[Annotated[int, Field(ge=0)] | None, BeforeValidator(_none)] = None
    """Leave the embeddings and this many first layers as they are; what these give out is computed once
    for each example, without dropout. `none`, or left out, all is trained."""

    @model_serializer(mode="wrap")
    def _without_unused(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """A later key, which the stamps of stages leave out where it is not used."""
        written: dict[str, Any] = write(self)
        if self.min_steps is None:
            written.pop("min_steps", None)
        return written

    @model_validator(mode="after")
    def _slant_has_a_ratio(self) -> FitRecipe:
        if self.schedule == "slanted_triangular" and self.schedule_options[0] <= 0:
            raise ValueError(
                f"schedule_options[0] = {self.schedule_options[0]:g} must be above 0 for "
                "slanted_triangular: it is the peak rate over the lowest rate"
            )
        return self
