"""Distillation losses on relations: between tokens (MiniLMv2), between examples (RKD, InfoNCE).

Relations have no width, so they compare models of any widths. Each loss gives [B]; those between
examples read the first token's vector, which is never padding, of [B, T, D] or [B, D], and depend on
which examples share the batch: under accumulation or in several processes, on those of one part; they
are 0 for a batch of one. Computed in single precision.
"""

from __future__ import annotations

import math

import torch
from torch.nn import functional as F  # noqa: N812 - the field's usual name

from attar.distillation.losses.hidden import first_token
from attar.distillation.losses.masked import token_mean

__all__ = ["contrastive_loss", "relation_heads", "relation_loss", "rkd_angle_loss", "rkd_distance_loss"]

# What MiniLMv2 takes for teachers of base size.
_MOST_HEADS = 48
_NO_DISTANCE = 0.01  # of the mean: nearer texts differ by rounding alone


def relation_heads(student_width: int, teacher_width: int) -> int:
    """The most relation heads, at most 48, that divide both widths."""
    common = math.gcd(student_width, teacher_width)
    return max(heads for heads in range(1, _MOST_HEADS + 1) if common % heads == 0)


def relation_loss(
    student: torch.Tensor, teacher: torch.Tensor, mask: torch.Tensor | None, heads: int | None = None
) -> torch.Tensor:
    """Divergence of the students' token relations from the teacher's.

    The vectors of all heads are joined and cut again into A relation heads of width d_S (student)
    and d_T (teacher). R = softmax(X X^T / sqrt(d)) for each of them, and the loss is
    1/(A n) sum_a sum_t KL(R^T_at || R^S_at) over the n real tokens, on queries, keys or values
    (MiniLMv2, Wang et al. 2021, arXiv:2012.15828, section 3). No T^2.

    Args:
        student: Queries, keys or values [B, T, D_S], heads joined.
        teacher: The same of the teacher, [B, T, D_T].
        mask: [B, T], true at real tokens; None counts padding too.
        heads: A; it divides D_S and D_T. By default ``relation_heads(D_S, D_T)``.
    """
    count = heads or relation_heads(student.shape[-1], teacher.shape[-1])
    log_q, log_p = (_relations(vectors, count, mask) for vectors in (student, teacher))
    divergence = log_p.exp() * (log_p - log_q)
    if mask is not None:
        divergence = divergence.masked_fill(~mask[:, None, None], 0.0)
    return token_mean(divergence.sum(-1), mask)


def rkd_distance_loss(student: torch.Tensor, teacher: torch.Tensor) -> torch.Tensor:
    """Difference of the distances between the examples of a batch.

    mean_j huber(|s_i - s_j| / mu_S, |t_i - t_j| / mu_T) with mu the mean distance between two
    different examples and huber quadratic up to a difference of 1 (RKD, Park et al. 2019,
    arXiv:1904.05068, section 3.2.1). As in its public code j runs over the whole batch, i included.
    """
    return F.smooth_l1_loss(_distances(student), _distances(teacher), reduction="none").mean(1)


def rkd_angle_loss(student: torch.Tensor, teacher: torch.Tensor) -> torch.Tensor:
    """Difference of the angles between the examples of a batch, seen from each of them.

    mean_jk huber(cos(s_j - s_i, s_k - s_i), cos(t_j - t_i, t_k - t_i)) (RKD, Park et al. 2019,
    arXiv:1904.05068, section 3.2.2). As in its public code j and k run over the whole batch; where
    one of them is i the cosine is 0. It takes B^3 values.
    """
    return F.smooth_l1_loss(_angles(student), _angles(teacher), reduction="none").flatten(1).mean(1)


def contrastive_loss(student: torch.Tensor, teacher: torch.Tensor, temperature: float = 0.1) -> torch.Tensor:
    """InfoNCE: the student's vector should find the teacher's of the same example in the batch.

    -log(exp(cos(s_i, t_i) / tau) / sum_j exp(cos(s_i, t_j) / tau)) (van den Oord et al. 2018,
    arXiv:1807.03748, section 2.3; between student and teacher as in CRD, Tian et al. 2020,
    arXiv:1910.10699, and CoDIR, Sun et al. 2020, arXiv:2009.14167), the other examples of the
    batch as negatives; the widths are equal, and ``temperature`` is tau > 0.
    """
    s, t = (F.normalize(first_token(states), dim=-1) for states in (student, teacher))
    own = torch.arange(len(s), device=s.device)
    return F.cross_entropy(s @ t.T / temperature, own, reduction="none")


def _relations(vectors: torch.Tensor, heads: int, mask: torch.Tensor | None) -> torch.Tensor:
    """Log of the relations [B, A, T, T]."""
    batch, tokens, width = vectors.shape
    x = vectors.float().reshape(batch, tokens, heads, width // heads).transpose(1, 2)
    scores = x @ x.transpose(-1, -2) / math.sqrt(width // heads)
    if mask is not None:
        scores = scores.masked_fill(~mask[:, None, None], torch.finfo(scores.dtype).min)
    return scores.log_softmax(-1)


def _distances(states: torch.Tensor) -> torch.Tensor:
    """Euclidean distances [B, B] as multiples of their mean over different examples."""
    x = first_token(states)
    # The quick way through a matrix product is off by a percent where points are close.
    distances = torch.cdist(x, x, compute_mode="donot_use_mm_for_euclid_dist")
    apart = distances > 0
    mean = distances.sum() / apart.sum().clamp(min=1)
    return distances / mean.clamp(min=1e-12)


def _angles(states: torch.Tensor) -> torch.Tensor:
    """Cosines [B, B, B] between the directions from each example to all pairs of others."""
    x = first_token(states)
    differences = x.unsqueeze(0) - x.unsqueeze(1)
    lengths = differences.detach().norm(dim=-1, keepdim=True)
    # Two texts that are equal but for rounding have no direction, and its gradient would have no bound.
    apart = lengths > _NO_DISTANCE * lengths.mean()
    directions = F.normalize(torch.where(apart, differences, 0.0), dim=-1)
    return directions @ directions.transpose(1, 2)
