"""Optimisers, with weight decay and layer-wise learning rates as parameter groups."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import nn

from attar.recipe.load import FitRecipe

__all__ = ["BertAdam", "build_optimiser", "layer_shares"]

_NO_DECAY = ("bias", "LayerNorm.weight", "layer_norm.weight")
# BERT, RoBERTa, ERNIE and ELECTRA; ALBERT's groups of layers that share their weights.
_LAYER = re.compile(r"\.(?:layer|albert_layer_groups)\.(\d+)\.")
_FIRST_STEP = 1e7  # 0.999^t is 0 in double precision from t = 750,000 on; float32 still counts in ones
_EPSILON = 1e-6  # what clip_grad_norm_ adds to a norm before dividing by it
_EMBEDDINGS = re.compile(r"\.embedding(?:s|s_project|_hidden_mapping_in)\.")


def layer_shares(model: nn.Module, decay: float) -> dict[str, float]:
    """Layer-wise learning-rate decay: each parameter's share of the learning rate.

    decay^(L + 1 - l): 1 for head and pooler (l = L + 1), less for each transformer layer l below, least
    for the embeddings (l = 0) (ULMFiT, Howard & Ruder 2018, arXiv:1801.06146, section 3.2, with 1/2.6;
    ELECTRA, Clark et al. 2020, arXiv:2003.10555, table 6, with 0.8). Layers that share their weights
    (ALBERT) count as one layer a group.
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


class BertAdam(torch.optim.AdamW):
    """The Adam of the original BERT code: no bias correction, each parameter's gradient clipped alone.

    For a parameter p with gradient g, clipped so that |g| <= max_norm:

        m = b1 m + (1 - b1) g
        v = b2 v + (1 - b2) g^2
        p = p - rate (m / (sqrt(v) + eps) + weight_decay p)

    AdamW (Loshchilov & Hutter 2019, arXiv:1711.05101) computes the same with m / (1 - b1^t) and
    v / (1 - b2^t), which are m and v once t is large. So this is torch's fused AdamW with a step count that
    starts large.

    Args:
        groups: Parameters, or groups of them with a ``weight_decay`` each.
        lr: The learning rate.
        weight_decay: Decoupled decay of the groups that set none.
        max_norm: Largest gradient norm of one parameter.
    """

    def __init__(
        self,
        groups: Iterable[torch.nn.Parameter] | Iterable[dict[str, Any]],
        lr: float,
        *,
        weight_decay: float = 0.01,
        max_norm: float = 1.0,
    ) -> None:
        super().__init__(groups, lr=lr, betas=(0.9, 0.999), eps=1e-6, weight_decay=weight_decay, fused=True)
        self.max_norm = max_norm
        # A gradient scaler (fp16) must unscale before step, which clips.
        self._step_supports_amp_scaling = False

    @torch.no_grad()
    def step(  # type: ignore[override] # one signature for torch's two overloads
        self, closure: Callable[[], float] | None = None
    ) -> float | None:
        """Clip every gradient in place and update every parameter that has one; see torch's own."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        trained = [p for group in self.param_groups for p in group["params"] if p.grad is not None]
        for parameter in trained:
            if not self.state[parameter]:
                self.state[parameter] = _initial_state(parameter)
        self._clip([parameter.grad for parameter in trained])
        super().step()
        return loss

    def _clip(self, gradients: list[torch.Tensor]) -> None:
        if not gradients:
            return
        norms = torch.stack(torch._foreach_norm(gradients))
        shares = (self.max_norm / (norms + _EPSILON)).clamp(max=1.0)
        torch._foreach_mul_(gradients, list(shares.unbind()))


def _initial_state(parameter: torch.Tensor) -> dict[str, torch.Tensor]:
    return {
        "step": torch.full((), _FIRST_STEP, dtype=torch.float32, device=parameter.device),
        "exp_avg": torch.zeros_like(parameter, memory_format=torch.preserve_format),
        "exp_avg_sq": torch.zeros_like(parameter, memory_format=torch.preserve_format),
    }
