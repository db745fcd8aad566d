"""What changes while a student learns: the temperature of each example, the weight of each loss.

The temperatures [B], from logits [B, C], are for the losses of ``attar.distillation.losses.logits``; no
gradient flows through them. Each depends, through mean(w), on the others that are computed with it.
``base`` is that of an example of average w, ``beta`` how far they spread. Source: Wen, Lai and Qian 2019,
"Preparing Lessons", arXiv:1911.07471, section 3, in the form of textbrewer's presets ``flsw`` and ``cwsm``.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import torch

__all__ = ["WEIGHT_SCHEDULES", "cwsm_temperature", "flsw_temperature", "scheduled_weight"]

# Below it softmax is all but a maximum, and a temperature under 0 would turn the teacher round.
_LOWEST_TEMPERATURE = 0.1

WEIGHT_SCHEDULES: Mapping[str, tuple[float, float]] = MappingProxyType(
    {"constant": (1.0, 1.0), "linear_decay": (1.0, 0.0), "linear_growth": (0.0, 1.0)}
)
"""Name -> the factor of a loss's weight at the first step and after the last one."""


def scheduled_weight(name: str, progress: float) -> float:
    """The factor of a loss's weight at a ``progress`` (steps done / steps in all) from 0 to 1."""
    first, last = WEIGHT_SCHEDULES[name]
    return first + (last - first) * progress


@torch.no_grad()
def flsw_temperature(
    student_logits: torch.Tensor, teacher_logits: torch.Tensor, base: float, beta: float, gamma: float
) -> torch.Tensor:
    """Focal: the more the student differs from the teacher, the lower the temperature.

    w = (1 - cos(student, teacher))^gamma; T = base + beta (mean(w) - w), at least 0.1.
    """
    student, teacher = (
        logits.float() / (logits.float().norm(dim=-1, keepdim=True) + 1e-4)
        for logits in (student_logits, teacher_logits)
    )
    return _spread((1 - (student * teacher).sum(-1)).clamp(min=0) ** gamma, base, beta)


@torch.no_grad()
def cwsm_temperature(student_logits: torch.Tensor, base: float, beta: float) -> torch.Tensor:
    """Confidence-weighted: the less confident the student, the lower the temperature.

    w = 1 / (max_c softmax(student)_c + 0.001); T = base + beta (mean(w) - w), at least 0.1.
    """
    confidence = student_logits.float().softmax(-1).amax(-1)
    return _spread(1 / (confidence + 1e-3), base, beta)


def _spread(weights: torch.Tensor, base: float, beta: float) -> torch.Tensor:
    return (base + (weights.mean() - weights) * beta).clamp(min=_LOWEST_TEMPERATURE)
