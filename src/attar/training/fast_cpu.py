"""Faster dropout and attention for training on a CPU, with the same results.

torch's dropout draws one random number a value; here one draw of 64 bits decides on four values. Its
fused attention takes seven times as long as plain products for a bf16 gradient, and falls back to a
slower single-precision kernel with dropout; here attention is computed from its definition (Vaswani et
al. 2017, arXiv:1706.03762, equation 1), except where torch is faster: in fp32 without dropout, and
without gradients.

Dropout itself is the same (Srivastava et al. 2014, JMLR 15, section 4): each value is zeroed with the
same probability, to 1 in 65,536, independently, by torch's generator, so that a seed repeats a
training and a killed one resumes exactly.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

if TYPE_CHECKING:
    from transformers import PreTrainedModel

__all__ = ["fast_cpu_kernels", "fast_dropout"]

_ATTENTION = "attar_fast"
_LEVELS = 1 << 16  # values of 16 random bits


@contextlib.contextmanager
def fast_cpu_kernels(model: PreTrainedModel) -> Iterator[None]:
    """Within this context a model on a CPU has faster dropout and attention, by the same parameters."""
    if model.device.type != "cpu":
        yield
        return
    replaced = [
        (parent, name, child)
        for parent in model.modules()
        for name, child in parent.named_children()
        if type(child) is nn.Dropout
    ]
    attention = model.config._attn_implementation
    for parent, name, child in replaced:
        setattr(parent, name, _FastDropout(child.p).train(child.training))
    if attention == "sdpa":
        _register_attention()
        model.set_attn_implementation(_ATTENTION)
    try:
        yield
    finally:
        for parent, name, child in replaced:
            setattr(parent, name, child.train(parent.training))
        model.set_attn_implementation(attention)


def fast_dropout(values: torch.Tensor, share: float) -> torch.Tensor:
    """Zero a random share of values on the CPU and divide the others by 1 - share.

    The share, below 1, is taken to the next 1 / 65,536.
    """
    zeroed = round(share * _LEVELS)
    count = values.numel()
    draws = torch.empty(-(-count // 4), dtype=torch.int64).random_(-(2**63), None).view(torch.int16)
    kept = draws[:count].view(values.shape) >= zeroed - _LEVELS // 2
    return values * kept.to(values.dtype).mul_(_LEVELS / (_LEVELS - zeroed))


class _FastDropout(nn.Dropout):
    def forward(self, input: torch.Tensor) -> torch.Tensor:  # noqa: A002 - torch's name
        return fast_dropout(input, self.p) if self.training and self.p else input


def _attention(
    module: nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    **options: Any,  # noqa: ANN401 - whatever a model passes to any of its attentions
) -> tuple[torch.Tensor, None]:
    """An attention of transformers: [B, H, T, D] each, a mask true at real keys -> [B, T, H, D]."""
    plain = dropout or (query.dtype == torch.bfloat16 and query.requires_grad)
    if not plain or scaling is None:
        from transformers.integrations.sdpa_attention import sdpa_attention_forward

        found: tuple[torch.Tensor, None] = sdpa_attention_forward(
            module, query, key, value, attention_mask, dropout=dropout, scaling=scaling, **options
        )
        return found
    scores = (query * scaling) @ key.transpose(-1, -2)
    if attention_mask is not None:
        scores = scores.masked_fill(~attention_mask, -torch.inf)
    probs = scores.softmax(-1, dtype=torch.float32).to(value.dtype)
    probs = fast_dropout(probs, dropout) if dropout else probs
    return (probs @ value).transpose(1, 2).contiguous(), None


def _register_attention() -> None:
    from transformers import AttentionInterface, AttentionMaskInterface
    from transformers.masking_utils import sdpa_mask

    AttentionInterface.register(_ATTENTION, _attention)
    AttentionMaskInterface.register(_ATTENTION, sdpa_mask)
