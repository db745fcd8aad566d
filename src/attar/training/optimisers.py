"""Which optimiser a training has, what decays, and how its gradients are clipped."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from attar.recipe import FitRecipe
from attar.training.bert_adam import BertAdam

__all__ = ["build_optimiser"]

_NO_DECAY = ("bias", "LayerNorm.weight", "layer_norm.weight")


def build_optimiser(model: nn.Module, objective: nn.Module, recipe: FitRecipe) -> torch.optim.Optimizer:
    """The recipe's optimiser for all that is trained; biases and layer norms do not decay.

    Args:
        model: The model in training; its frozen parameters are left out.
        objective: May have parameters of its own.
        recipe: Its ``optimiser``, ``learning_rate``, ``weight_decay`` and ``clip``.
    """
    decayed: list[nn.Parameter] = []
    plain: list[nn.Parameter] = []
    for name, parameter in [*model.named_parameters(), *objective.named_parameters()]:
        if parameter.requires_grad:
            (plain if name.endswith(_NO_DECAY) else decayed).append(parameter)
    groups: list[dict[str, Any]] = [
        {"params": decayed, "weight_decay": recipe.weight_decay},
        {"params": plain, "weight_decay": 0.0},
    ]
    match recipe.optimiser:
        case "adamw":
            return torch.optim.AdamW(groups, lr=recipe.learning_rate, eps=1e-6, fused=True)
        case "bert_adam":
            return BertAdam(groups, recipe.learning_rate, max_norm=recipe.clip)
