"""Distillation losses on attentions, student's and teacher's: [B, H, T, T], of as many heads.

They are meant for the scores before the softmax, in which the model has added a large negative number to
every padded key; probabilities work too. Each gives [B]: the mean over one example's own real tokens, true
in the mask [B, T] (``attar.distillation.losses.masked`` says how a batch becomes textbrewer's mean over
all).

With a mask, padded keys and queries are left out altogether. With None, padding is treated as
textbrewer treats it: it counts, but any score of -0.001 or less becomes 0 (``attention_mse*``) or
gets no weight from the teacher (``attention_ce*``), which was meant for the padded keys and hits
every negative score. Computed in single precision.
"""

from __future__ import annotations

import torch

from attar.distillation.losses.masked import over_heads, pair_mean, token_mean

__all__ = ["attention_ce", "attention_ce_mean", "attention_mse", "attention_mse_sum"]

_NEGATIVE = -1e-3


def attention_mse(student: torch.Tensor, teacher: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
    """Mean squared difference of the attentions, head by head.

    1/(H n^2) sum_hij (s_hij - t_hij)^2 over the pairs of the n real tokens (TinyBERT, Jiao et al.
    2020, arXiv:1909.10351, equation 7). A batch weighed by ``pair_share`` is textbrewer's
    ``att_mse_loss``.
    """
    student, teacher = student.float(), teacher.float()
    if mask is None:
        student, teacher = (scores.masked_fill(scores <= _NEGATIVE, 0.0) for scores in (student, teacher))
    else:
        # Before the difference: two models may have hidden their padding under different numbers.
        student, teacher = (
            scores.masked_fill(~over_heads(mask, scores.dim()), 0.0) for scores in (student, teacher)
        )
    return pair_mean((student - teacher).square(), mask)


def attention_mse_sum(
    student: torch.Tensor, teacher: torch.Tensor, mask: torch.Tensor | None
) -> torch.Tensor:
    """``attention_mse`` of the sums over the heads, whose numbers may differ.

    1/n^2 sum_ij (sum_h s_hij - sum_h t_hij)^2; [B, T, T] are such sums already. A batch weighed by
    ``pair_share`` is textbrewer's ``att_mse_sum_loss``.
    """
    student, teacher = (x.float().sum(1) if x.dim() == 4 else x for x in (student, teacher))
    return attention_mse(student, teacher, mask)


def attention_ce(student: torch.Tensor, teacher: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
    """Cross-entropy of the student's attention distributions with the teacher's, head by head.

    -1/(H n) sum_hi sum_j softmax(t_hi)_j log softmax(s_hi)_j over the n real tokens i and j (of
    the KL form in MiniLM, Wang et al. 2020, arXiv:2002.10957, section 3.1). A batch weighed by
    ``token_share`` is textbrewer's ``att_ce_loss`` on scores. On probabilities it is not: there
    textbrewer's softmax gives padded keys, whose probability is 0, a share of its own.
    """
    student, teacher = student.float(), teacher.float()
    if mask is None:
        p = teacher.softmax(-1).masked_fill(teacher <= _NEGATIVE, 0.0)
        return token_mean(-(p * student.log_softmax(-1)).sum(-1), None)
    keys = over_heads(mask, student.dim())
    lowest = torch.finfo(torch.float32).min
    p = teacher.masked_fill(~keys, lowest).softmax(-1)
    log_q = student.masked_fill(~keys, lowest).log_softmax(-1).masked_fill(~keys, 0.0)
    return token_mean(-(p * log_q).sum(-1), mask)


def attention_ce_mean(
    student: torch.Tensor, teacher: torch.Tensor, mask: torch.Tensor | None
) -> torch.Tensor:
    """``attention_ce`` of the means over the heads, whose numbers may differ.

    [B, T, T] are taken as they are. A batch weighed by ``token_share`` is textbrewer's
    ``att_ce_mean_loss`` on scores.
    """
    student, teacher = (x.float().mean(1) if x.dim() == 4 else x for x in (student, teacher))
    return attention_ce(student, teacher, mask)
