"""Hiding a share of a text's tokens in training: a regulariser that leaves the encoder's states alone."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from attar.text.encoding import Encoding, TextEncoder, model_inputs

__all__ = ["drop_tokens"]


def drop_tokens(
    inputs: dict[str, torch.Tensor],
    batch: Sequence[Encoding],
    encoder: TextEncoder,
    share: float,
    device: torch.device,
) -> None:
    """Hide a random share of the text's tokens from the layers in training, in place.

    Args:
        inputs: The model's, [B, T] each, or hidden states of frozen layers.
        batch: B encodings that they were made of.
        encoder: Made the encodings.
        share: Of the tokens of the text; special ones stay.
        device: Of the training.
    """
    has_ids = "input_ids" in inputs
    ids = (
        inputs["input_ids"]
        if has_ids
        else torch.from_numpy(model_inputs(batch, encoder.pad, encoder.spec)["input_ids"])
    )
    text = ~torch.isin(ids, torch.tensor(sorted(encoder.special_ids), device=ids.device))
    chosen = (torch.rand(ids.shape).to(ids.device) < share) & text
    if has_ids:
        ids[chosen] = encoder.mask_id
    else:  # hidden states of frozen layers, which have seen the token: mask its attention
        inputs["attention_mask"][chosen.to(device)] = 0
