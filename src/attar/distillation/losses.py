"""Distillation losses: small pure functions.

Each takes tensors and returns one value an example, [B], unreduced, so that the training loop
alone decides what a batch weighs.
"""

from __future__ import annotations

import torch
from torch.nn import functional as F  # noqa: N812 - the field's usual name

__all__ = ["soft_label_loss"]


def soft_label_loss(
    student_logits: torch.Tensor, teacher_logits: torch.Tensor, temperature: float
) -> torch.Tensor:
    """KL divergence from the student's to the teacher's softened distribution, times T^2.

    T^2 * sum_c p_c (log p_c - log q_c) with p = softmax(teacher / T), q = softmax(student / T).
    T^2 keeps the gradient's size the same at every T (Hinton, Vinyals and Dean 2015,
    arXiv:1503.02531, section 2).

    Args:
        student_logits: [B, C].
        teacher_logits: [B, C].
        temperature: T > 0.

    Returns:
        [B], no reduction.
    """
    log_q = F.log_softmax(student_logits.float() / temperature, dim=-1)
    log_p = F.log_softmax(teacher_logits.float() / temperature, dim=-1)
    return (log_p.exp() * (log_p - log_q)).sum(-1) * temperature**2
