"""Frozen layers, computed once for each example instead of in every step.

Freezing the lowest layers of a pretrained encoder costs most tasks little accuracy (Lee et al. 2019, What
would Elsa do?, arXiv:1911.03090). Their outputs for an example then never change, so they are computed
once, and an epoch costs what the layers above cost. Nor is anything computed in the last layer that
the classifier's head does not read.
"""

from __future__ import annotations

import contextlib
import copy
import logging
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from attar.models.checkpoint import Checkpoint, batch_to
from attar.models.encoders import encoder_layers
from attar.models.forward import map_batches
from attar.models.precision import bf16_inference
from attar.progress import progress_bar
from attar.text.buckets import sorted_batches
from attar.text.encoding import Encoding

if TYPE_CHECKING:
    from transformers import PreTrainedModel

__all__ = ["FrozenLayers", "trainable_part"]

_LOG = logging.getLogger(__name__)
_BATCH = 32
_GB = 1e9


class FrozenLayers:
    """Outputs of a model's embeddings and first layers, cached in memory.

    Args:
        checkpoint: The whole model and its input.
        num_layers: How many layers are frozen.
        bf16: Compute in bf16 where that is native, as the training does.
        limit_gb: Size of the cache in 10^9 bytes; what does not fit is computed whenever it is needed.
    """

    def __init__(self, checkpoint: Checkpoint, num_layers: int, *, bf16: bool, limit_gb: float = 4.0) -> None:
        lower = _with_layers(checkpoint.model, slice(num_layers)).base_model
        lower._modules["pooler"] = None
        self._lower, self._bf16 = replace(checkpoint, model=lower.eval()), bf16
        self._room = int(limit_gb * _GB)
        self._cache: dict[tuple[bytes, int, int], NDArray[np.float32]] = {}

    def precompute(self, encodings: Sequence[Encoding], device: torch.device) -> None:
        """Compute and cache the hidden states of as many encodings as fit."""
        new = list({_key(e): e for e in encodings if _key(e) not in self._cache}.values())
        width = int(self._lower.model.config.hidden_size)
        fits = 0
        for encoding in new:
            size = 4 * width * len(encoding.ids)
            if size > self._room:
                _LOG.warning(
                    "the cache of the frozen layers is full: the outputs of %d of %d examples are "
                    "computed in every step", len(new) - fits, len(new),
                )  # fmt: skip
                break
            self._room -= size
            fits += 1
        with progress_bar("frozen layers", fits, unit="examples") as advance:
            batches = [
                [new[i] for i in rows] for rows in sorted_batches([len(e.ids) for e in new[:fits]], _BATCH)
            ]
            found = map_batches(lambda batch: self._compute(batch, device).cpu().numpy(), batches, device)
            for batch, outputs in zip(batches, found, strict=True):
                for encoding, states in zip(batch, outputs, strict=True):
                    self._cache[_key(encoding)] = states[: len(encoding.ids)].copy()
                advance(len(batch))

    def __call__(
        self, encodings: Sequence[Encoding], device: torch.device | str, length: int | None = None
    ) -> dict[str, torch.Tensor]:
        """The keyword arguments of the layers above: hidden states [B, T, D] and the mask [B, T]."""
        cached = [self._cache.get(_key(encoding)) for encoding in encodings]
        width = length or max(len(e.ids) for e in encodings)
        states = np.zeros((len(encodings), width, self._lower.model.config.hidden_size), np.float32)
        mask = np.zeros((len(encodings), width), np.int64)
        for row, (encoding, known) in enumerate(zip(encodings, cached, strict=True)):
            mask[row, : len(encoding.ids)] = 1
            if known is not None:
                states[row, : len(known)] = known
        inputs, real = torch.from_numpy(states).to(device), torch.from_numpy(mask).to(device)
        missing = [row for row, known in enumerate(cached) if known is None]
        if missing:
            states_of = self._compute([encodings[row] for row in missing], device, width)
            inputs[missing] = states_of * real[missing, :, None]
        return {"inputs_embeds": inputs, "attention_mask": real}

    @torch.no_grad()
    def _compute(
        self, encodings: Sequence[Encoding], device: torch.device | str, length: int | None = None
    ) -> torch.Tensor:
        """[B, T, D] in single precision."""
        model = self._lower.model.to(device)
        inputs = batch_to(self._lower, encodings, device, length)
        with bf16_inference(torch.device(device)) if self._bf16 else contextlib.nullcontext():
            states: torch.Tensor = model(**inputs).last_hidden_state
        return states.float()


def trainable_part(checkpoint: Checkpoint, num_frozen: int, *, bf16: bool) -> Checkpoint:
    """The part of a classifier that each training step has to compute, as a checkpoint of its own.

    Its model shares its modules with the whole one, so that training it trains the whole one, and gives
    the same logits. Left out are the frozen layers, whose outputs come through ``Checkpoint.inputs``
    (computed without dropout, as in scoring), and in the last layer all tokens but the first, the only
    one that a classifier's head reads. A classifier of another architecture than BERT, RoBERTa, ERNIE
    or ELECTRA is returned unchanged, if no layers are frozen; 0 leaves the embeddings in too.
    """
    model = checkpoint.model
    if not num_frozen and not hasattr(getattr(model.base_model, "encoder", None), "layer"):
        return checkpoint
    part = _with_layers(model, slice(num_frozen, None))
    layers = part.base_model.encoder.layer
    if len(layers) and model.config._attn_implementation == "sdpa":
        layers[-1] = _FirstToken(layers[-1])
    if not num_frozen:
        return replace(checkpoint, model=part)
    base = part.base_model
    base._modules["embeddings"] = _NoEmbeddings()
    base._modules.pop("embeddings_project", None)  # a small ELECTRA's; the frozen part has done it
    return replace(checkpoint, model=part, inputs=FrozenLayers(checkpoint, num_frozen, bf16=bf16))


class _FirstToken(nn.Module):
    """A model's last layer, computed for the first token only: [B, T, D] -> [B, 1, D]."""

    def __init__(self, layer: Any) -> None:  # noqa: ANN401 - transformers names them by architecture
        super().__init__()
        self.layer = layer

    def forward(
        self,
        hidden_states: torch.Tensor,
        attention_mask: torch.Tensor | None = None,
        *_more: Any,  # noqa: ANN401 - what decoders need
        **_others: Any,  # noqa: ANN401
    ) -> torch.Tensor:
        """Attention (Vaswani et al. 2017, arXiv:1706.03762, equation 1) and FFN for one query."""
        attention, first = self.layer.attention.self, hidden_states[:, :1]
        read = attention.query(first), attention.key(hidden_states), attention.value(hidden_states)
        query, key, value = (
            x.unflatten(-1, (-1, attention.attention_head_size)).transpose(1, 2) for x in read
        )
        scores = (query @ key.transpose(-1, -2)).float() * attention.attention_head_size**-0.5
        if attention_mask is not None:
            scores = scores.masked_fill(~attention_mask[:, :, :1], -torch.inf)
        probs = attention.dropout(scores.softmax(-1).to(value.dtype))
        context = (probs @ value).transpose(1, 2).flatten(2)
        attended = self.layer.attention.output(context, first)
        found: torch.Tensor = self.layer.output(self.layer.intermediate(attended), attended)
        return found


class _NoEmbeddings(nn.Module):
    """Passes hidden states through where the embeddings were."""

    def forward(self, inputs_embeds: torch.Tensor, **_others: Any) -> torch.Tensor:  # noqa: ANN401 - transformers passes ids, positions and types
        """Return ``inputs_embeds``."""
        return inputs_embeds


def _with_layers(model: PreTrainedModel, chosen: slice) -> PreTrainedModel:
    """A model with some of another's layers, sharing all its modules."""
    part = _shallow_copy(model)
    base = _shallow_copy(model.base_model)
    encoder = _shallow_copy(model.base_model.encoder)
    encoder._modules["layer"] = nn.ModuleList(encoder_layers(model)[chosen])
    base._modules["encoder"] = encoder
    part._modules[model.base_model_prefix] = base
    return part


def _shallow_copy(module: Any) -> Any:  # noqa: ANN401 - whatever class it is
    """A copy whose children can be replaced without changing the original's."""
    copied = copy.copy(module)
    copied._modules = dict(module._modules)
    return copied


def _key(encoding: Encoding) -> tuple[bytes, int, int]:
    return encoding.ids.tobytes(), encoding.second, encoding.first_position
