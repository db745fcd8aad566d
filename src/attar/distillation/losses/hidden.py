"""Distillation losses on hidden states, student's and teacher's: [B, T, D], or pairs of them.

Each gives [B]: the mean over one example's own real tokens (``attar.distillation.losses.masked`` says how
a batch becomes textbrewer's mean over all tokens). ``mask`` is [B, T], true at real tokens; None
counts padding too. Where widths must be equal, ``attar.distillation.matches`` projects the
student's first. Computed in single precision.
"""

from __future__ import annotations

import torch
from torch.nn import functional as F  # noqa: N812 - the field's usual name

from attar.distillation.losses.masked import lengths_of, pair_mean, token_mean

__all__ = ["cosine_loss", "first_token", "flow_loss", "gram_loss", "hidden_mse", "pkd_loss"]

Pair = tuple[torch.Tensor, torch.Tensor]


def hidden_mse(student: torch.Tensor, teacher: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
    """Mean squared difference of the hidden states.

    1/(n D) sum_t |s_t - t_t|^2 over the n real tokens (FitNets, Romero et al. 2015,
    arXiv:1412.6550, section 2.2; TinyBERT, Jiao et al. 2020, arXiv:1909.10351, equation 8). A batch
    weighed by ``token_share`` is textbrewer's ``hid_mse_loss``.
    """
    squares = F.mse_loss(student.float(), teacher.float(), reduction="none")
    return token_mean(squares.mean(-1), mask)


def cosine_loss(student: torch.Tensor, teacher: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
    """One minus the cosine of the hidden states.

    1/n sum_t (1 - cos(s_t, t_t)) over the n real tokens (DistilBERT, Sanh et al. 2019,
    arXiv:1910.01108, section 2). A batch weighed by ``token_share`` is textbrewer's ``cos_loss``.
    """
    return token_mean(1 - F.cosine_similarity(student.float(), teacher.float(), dim=-1), mask)


def pkd_loss(student: torch.Tensor, teacher: torch.Tensor) -> torch.Tensor:
    """Squared distance of the normalised states of the first token.

    |s_0 / |s_0| - t_0 / |t_0||^2 (BERT-PKD, Sun et al. 2019, arXiv:1908.09355, section 3.2). The first
    token is never padding, so there is no mask, and [B, D] of it will do; the batch mean is textbrewer's
    ``pkd_loss``.
    """
    s, t = (F.normalize(first_token(states), dim=-1) for states in (student, teacher))
    return (s - t).square().sum(-1)


def gram_loss(
    student: Pair, teacher: Pair, mask: torch.Tensor | None, length: int | None = None
) -> torch.Tensor:
    """Mean squared difference of the token Gram matrices of two layers ("mmd", "smmd", "nst").

    1/n^2 sum_ij (a_i . b_j / z_S - u_i . v_j / z_T)^2 over the pairs of the n real tokens, a and b
    of the student's two layers (or twice one), u and v of the teacher's; the widths may differ. With
    one layer this is NST with the polynomial kernel (x . y)^2 (Huang and Wang 2017, arXiv:1707.01219,
    section 4), but that dimensions are not scaled to length 1.

    z is the width of each model. textbrewer's ``mmd_loss`` does so only without a mask; with one it
    takes the padded length of the batch for both, and a longer padding makes a smaller loss. Give
    that ``length`` to get its value whatever the padding is. A batch weighed by ``pair_share``
    then is ``mmd_loss``.

    Args:
        student: Two [B, T, D_S].
        teacher: Two [B, T, D_T].
        mask: [B, T] or None.
        length: Divides both matrices in place of the widths; read only with a mask.
    """
    grams = []
    for first, second in (student, teacher):
        scale = length if mask is not None and length else second.shape[-1]
        grams.append(first.float() @ second.float().transpose(1, 2) / scale)
    return pair_mean((grams[0] - grams[1]).square(), mask)


def flow_loss(student: Pair, teacher: Pair, mask: torch.Tensor | None) -> torch.Tensor:
    """Mean squared difference of the feature Gram matrices of two layers ("fsp", "gram", "sgram").

    1/D^2 sum_kl (1/n sum_t a_tk b_tl - 1/n sum_t u_tk v_tl)^2 over the n real tokens: how features
    of one layer flow into those of another, or, twice the same layer, go together (FSP, Yim et al.
    2017, CVPR, section 3). The batch mean is textbrewer's ``fsp_loss``.
    """
    flows = []
    for first, second in (student, teacher):
        left = first.float()
        length = left.new_full((len(left),), left.shape[1])
        if mask is not None:
            left, length = left.masked_fill(~mask.unsqueeze(-1), 0.0), lengths_of(mask)
        flows.append(left.transpose(1, 2) @ second.float() / length[:, None, None])
    return (flows[0] - flows[1]).square().flatten(1).mean(1)


def first_token(states: torch.Tensor) -> torch.Tensor:
    """The vectors [B, D] that the classifier reads, in single precision, of [B, T, D] or [B, D]."""
    return (states[:, 0] if states.dim() == 3 else states).float()
