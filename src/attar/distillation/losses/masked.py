"""Means [B] over the real tokens of each example, and what an example weighs in a batch [B].

Every loss on tokens is the mean over one example's own tokens (or pairs of tokens), so that it does
not change with the batch or the padding around it. Where a batch is to be the mean over all its
tokens instead, as in textbrewer, an example weighs its share of them: ``token_share`` and
``pair_share`` average 1 over the batch.
"""

from __future__ import annotations

import torch

__all__ = ["lengths_of", "over_heads", "pair_mean", "pair_share", "token_mean", "token_share"]


def lengths_of(mask: torch.Tensor) -> torch.Tensor:
    """Real tokens of each example, [B], at least 1, from a mask [B, T]."""
    return mask.sum(1).clamp(min=1).float()


def over_heads(mask: torch.Tensor, dims: int) -> torch.Tensor:
    """A mask [B, T] as [B, 1, ..., T] of ``dims`` dimensions."""
    return mask.reshape(len(mask), *[1] * (dims - 2), mask.shape[1])


def token_mean(values: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
    """Mean of [B, T] or [B, H, T] over heads and the tokens that are true in the mask [B, T], or all."""
    if mask is None:
        return values.flatten(1).mean(1)
    heads = values[0].numel() // mask.shape[1]
    real = over_heads(mask, values.dim())
    return values.masked_fill(~real, 0.0).flatten(1).sum(1) / (heads * lengths_of(mask))


def pair_mean(values: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
    """Mean of [B, T, T] or [B, H, T, T] over heads and pairs of the tokens of the mask, or all."""
    if mask is None:
        return values.flatten(1).mean(1)
    heads = values[0].numel() // mask.shape[1] ** 2
    rows = over_heads(mask, values.dim() - 1)
    real = rows.unsqueeze(-1) & rows.unsqueeze(-2)
    return values.masked_fill(~real, 0.0).flatten(1).sum(1) / (heads * lengths_of(mask) ** 2)


def token_share(lengths: torch.Tensor, batch_lengths: torch.Tensor | None = None) -> torch.Tensor:
    """What each example weighs where every token of the batch weighs the same.

    length / mean(batch_lengths).

    Args:
        lengths: [B] tokens of each example.
        batch_lengths: [N] tokens of every example of the whole batch, where these are only a part
            of it (accumulation, several processes); otherwise these are the batch.
    """
    whole = lengths if batch_lengths is None else batch_lengths.to(lengths)
    return lengths / whole.mean()


def pair_share(lengths: torch.Tensor, batch_lengths: torch.Tensor | None = None) -> torch.Tensor:
    """What each example weighs where every pair of tokens of the batch weighs the same.

    length^2 / mean(batch_lengths^2), otherwise as ``token_share``.
    """
    return token_share(lengths**2, None if batch_lengths is None else batch_lengths**2)
