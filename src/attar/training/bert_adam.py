"""The Adam of the original BERT code: no bias correction, and each parameter's gradient clipped alone.

For a parameter p with gradient g, clipped so that |g| <= max_norm:

    m = b1 m + (1 - b1) g
    v = b2 v + (1 - b2) g^2
    p = p - rate (m / (sqrt(v) + eps) + weight_decay p)

AdamW (Loshchilov & Hutter 2019, arXiv:1711.05101) computes the same with m / (1 - b1^t) and
v / (1 - b2^t), which are m and v once t is large. So this is torch's fused AdamW with a step count that
starts large.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch

__all__ = ["BertAdam"]

_FIRST_STEP = 1e7  # 0.999^t is 0 in double precision from t = 750,000 on; float32 still counts in ones
_EPSILON = 1e-6  # what clip_grad_norm_ adds to a norm before dividing by it


class BertAdam(torch.optim.AdamW):
    """The Adam that BERT was trained with.

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
