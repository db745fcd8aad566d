"""Optimisers, with weight decay and layer-wise learning rates as parameter groups."""

from __future__ import annotations

import re
from typing import Any

import torch
from torch import nn

from attar.recipe.load import FitRecipe
from attar.training.bert_adam import BertAdam

__all__ = ["build_optimiser", "layer_shares"]

_NO_DECAY = ("bias", "LayerNorm.weight", "layer_norm.weight")
# BERT, RoBERTa, ERNIE and ELECTRA; ALBERT's groups of layers that share their weights.
_LAYER = re.compile(r"\.(?:layer|albert_layer_groups)\.(\d+)\.")
_EMBEDDINGS = re.compile(r"\.embedding(?:s|s_project|_hidden_mapping_in)\.")


def layer_shares(model: nn.Module, decay: float) -> dict[str, float]:
    """Layer-wise learning-rate decay: each parameter's share of the learning rate.

    decay^(L + 1 - l): 1 for head and pooler (l = L + 1), less for each transformer layer l below, least
    for the embeddings (l = 0) (ULMFiT, Howard & Ruder 2018, arXiv:1801.06146, section 3.2, with 1/2.6;
    ELECTRA, Clark et al. 2020, arXiv:2003.10555, table 6, with 0.8). Layers that share their weights
    (ALBERT) count as one layer a group.

    Args:
        model: A BERT, RoBERTa, ERNIE, ELECTRA or ALBERT classifier.
        decay: From above 0 to 1; 1 is the same rate for all.

    Returns:
        Parameter name -> share.
    """
    found = {name: _LAYER.search(name) for name, _ in model.named_parameters()}
    top = max((int(match[1]) + 1 for match in found.values() if match), default=0) + 1
    levels = {
        name: int(match[1]) + 1 if match else 0 if _EMBEDDINGS.search(name) else top
        for name, match in found.items()
    }
    return {name: decay ** (top - level) for name, level in levels.items()}


def build_optimiser(model: nn.Module, objective: nn.Module, recipe: FitRecipe) -> torch.optim.Optimizer:
    """The recipe's optimiser for all that is trained; biases and layer norms do not decay.

    Args:
        model: The model in training; its frozen parameters are left out.
        objective: May have parameters of its own, trained at the whole rate.
        recipe: Its ``optimiser``, ``learning_rate``, ``layer_decay``, ``weight_decay`` and ``max_grad_norm``.

    Returns:
        With groups of one rate and one weight decay each; a group's "share" multiplies the learning
        rate that the schedule gives.
    """
    shares = layer_shares(model, recipe.layer_decay)
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in [*model.named_parameters(), *objective.named_parameters()]:
        if parameter.requires_grad:
            weight_decay = 0.0 if name.endswith(_NO_DECAY) else recipe.weight_decay
            groups.setdefault((shares.get(name, 1.0), weight_decay), []).append(parameter)
    settings: list[dict[str, Any]] = [
        {"params": parameters, "weight_decay": weight_decay, "share": share}
        for (share, weight_decay), parameters in groups.items()
    ]
    match recipe.optimiser:
        case "adamw":
            return torch.optim.AdamW(settings, lr=recipe.learning_rate, eps=1e-6, fused=True)
        case "bert_adam":
            return BertAdam(settings, recipe.learning_rate, max_norm=recipe.max_grad_norm)
