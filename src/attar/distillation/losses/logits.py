"""Distillation losses on logits: small pure functions.

Each takes logits [B, C] of the student and of the teacher and returns one value an example, [B],
unreduced, so that the training loop alone decides what a batch weighs. A temperature T > 0 is one
number, or [B] where every example has its own (``attar.distillation.dynamic``).
"""

from __future__ import annotations

import torch
from torch.nn import functional as F  # noqa: N812 - the field's usual name

__all__ = ["logit_mse", "soft_cross_entropy", "soft_label_loss"]


def soft_label_loss(
    student_logits: torch.Tensor, teacher_logits: torch.Tensor, temperature: float | torch.Tensor
) -> torch.Tensor:
    """KL divergence from the student's to the teacher's softened distribution, times T^2.

    T^2 * sum_c p_c (log p_c - log q_c) with p = softmax(teacher / T), q = softmax(student / T).
    T^2 keeps the gradient's size the same at every T (Hinton, Vinyals and Dean 2015,
    arXiv:1503.02531, section 2).
    """
    log_q = F.log_softmax(_softened(student_logits, temperature), dim=-1)
    log_p = F.log_softmax(_softened(teacher_logits, temperature), dim=-1)
    return (log_p.exp() * (log_p - log_q)).sum(-1) * temperature**2


def soft_cross_entropy(
    student_logits: torch.Tensor, teacher_logits: torch.Tensor, temperature: float | torch.Tensor
) -> torch.Tensor:
    """Cross-entropy of the student's softened distribution with the teacher's; no T^2.

    - sum_c p_c log q_c with p and q as in ``soft_label_loss``: the form of the original system and
      of textbrewer's ``kd_ce_loss``. It is ``soft_label_loss`` / T^2 plus the teacher's entropy, so
      its gradient falls as 1 / T^2 and a high T leaves more weight to the other losses.
    """
    log_q = F.log_softmax(_softened(student_logits, temperature), dim=-1)
    p = F.softmax(_softened(teacher_logits, temperature), dim=-1)
    return -(p * log_q).sum(-1)


def logit_mse(
    student_logits: torch.Tensor, teacher_logits: torch.Tensor, temperature: float | torch.Tensor = 1.0
) -> torch.Tensor:
    """Mean squared difference of the logits.

    1/C sum_c ((s_c - t_c) / T)^2, without T^2 (Ba and Caruana 2014, arXiv:1312.6184, section 2.2;
    textbrewer's ``kd_mse_loss``). Unlike the losses on probabilities it sees a constant added to
    all logits.
    """
    return (_softened(student_logits, temperature) - _softened(teacher_logits, temperature)).square().mean(-1)


def _softened(logits: torch.Tensor, temperature: float | torch.Tensor) -> torch.Tensor:
    if isinstance(temperature, torch.Tensor) and temperature.dim():
        temperature = temperature.unsqueeze(-1)
    return logits.float() / temperature
