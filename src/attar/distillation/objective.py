"""The loss of a student: its teachers' logits, the labels, its teacher's layers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from attar.distillation.dynamic import cwsm_temperature, flsw_temperature, scheduled_weight
from attar.distillation.features import forward_with_features
from attar.distillation.losses.logits import logit_mse, soft_cross_entropy, soft_label_loss
from attar.distillation.match_losses import MatchLosses
from attar.distillation.matches import Features, wanted
from attar.distillation.teacher_outputs import LogitProvider
from attar.errors import RecipeError
from attar.recipe.load import DistillRecipe
from attar.task import Example, Task
from attar.training.objectives import LabelLoss, Objective

__all__ = ["Distillation"]

_BATCH = 32


class Distillation(Objective):
    """soft_weight * soft + hard_weight * LabelLoss + matches; see ``attar.recipe.load.DistillRecipe``.

    Args:
        task: Order of the classes.
        examples: The N training examples; one without a label has no hard loss, and an example's
            own weight multiplies it.
        teacher: Gives the teachers' output for rows.
        recipe: Kinds and weights of the losses.
        matches: Compares layers; None where the student learns from logits alone.
        pad_to: Tokens that batches are padded to where padding counts in the matches, so that its
            weight does not depend on what else is in the batch.
    """

    def __init__(
        self,
        task: Task,
        examples: Sequence[Example],
        teacher: LogitProvider,
        recipe: DistillRecipe,
        matches: MatchLosses | None = None,
        pad_to: int | None = None,
    ) -> None:
        super().__init__()
        self.recipe, self.teacher, self.matches, self.pad_to = recipe, teacher, matches, pad_to
        self.reads_layers = matches is not None
        self.layers = wanted(matches.matches).student if matches else {}
        self.hard = LabelLoss(task, examples, recipe)

    def forward(
        self, model: nn.Module, inputs: dict[str, torch.Tensor], rows: torch.Tensor
    ) -> dict[str, torch.Tensor]:
        """See ``Objective.forward``."""
        recipe = self.recipe
        if self.pad_to is not None:
            inputs = _padded(model, inputs, self.pad_to)
        features: Features = {}
        if self.matches is None:
            logits = model(**inputs).logits
        else:
            logits, features = forward_with_features(model, inputs, self.layers, recipe.attention)
        output = self.teacher(rows)
        hard_weight = recipe.hard_weight * scheduled_weight(recipe.hard_schedule, self.progress)
        losses = {"hard": hard_weight * self.hard(logits, rows)}
        if recipe.soft_weight:
            assert output.logits is not None
            soft_weight = recipe.soft_weight * scheduled_weight(recipe.soft_schedule, self.progress)
            losses["soft"] = soft_weight * self._soft(logits, output.logits)
        if self.matches is not None:
            assert output.features is not None
            mask = inputs["attention_mask"] if recipe.mask_padding else None
            losses |= self.matches(features, output.features, mask, batch_lengths=self.batch_lengths)
        return losses

    def row_labels(self) -> list[int]:
        """See ``Objective.row_labels``; an example without a label has the teachers' likeliest."""
        labels = self.hard.labels.clone()
        unknown = torch.nonzero(~self.hard.known).flatten()
        for rows in torch.split(unknown, _BATCH) if len(unknown) else ():
            logits = self.teacher(rows).logits
            if logits is None:
                raise RecipeError(
                    f"distill.sampling = {self.recipe.sampling!r} needs the label of every example, and "
                    "without soft labels those without one have none: set soft_weight above 0, or "
                    "sampling = 'shuffled'"
                )
            labels[rows] = logits.argmax(1)
        return [int(label) for label in labels]

    def _soft(self, student: torch.Tensor, teacher: torch.Tensor) -> torch.Tensor:
        """[B] of the recipe's kind, each example at its own temperature if the recipe says so."""
        recipe = self.recipe
        temperature: float | torch.Tensor = recipe.temperature
        match recipe.dynamic_temperature:
            case "flsw":
                temperature = flsw_temperature(
                    student, teacher, recipe.temperature, recipe.dynamic_beta, recipe.dynamic_gamma
                )
            case "cwsm":
                temperature = cwsm_temperature(student, recipe.temperature, recipe.dynamic_beta)
        match recipe.soft_loss:
            case "kl":
                return soft_label_loss(student, teacher, temperature)
            case "ce":
                return soft_cross_entropy(student, teacher, temperature)
            case "mse":
                return logit_mse(student, teacher, temperature)


def _padded(model: nn.Module, inputs: dict[str, torch.Tensor], length: int) -> dict[str, torch.Tensor]:
    """A model's inputs [B, T], padded to ``length`` tokens."""
    bare: Any = getattr(model, "module", model)
    fill = {"input_ids": int(bare.config.pad_token_id)}
    return {
        name: nn.functional.pad(value, (0, length - value.shape[1]), value=fill.get(name, 0))
        for name, value in inputs.items()
    }
