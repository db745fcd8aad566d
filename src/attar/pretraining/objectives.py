"""What a model learns from pieces of text: masked tokens, or the layers of an encoder.

Task-agnostic distillation: relations of queries, keys and values (MiniLMv2, Wang et al. 2021,
arXiv:2012.15828) and hidden states through learned projections (the general stage of TinyBERT,
Jiao et al. 2020, arXiv:1909.10351, section 3.2), by the matches of ``[distill]``.

Masked-language-model training, continued on the texts of a domain: 15 % of the words are masked, drawn
whenever a piece is read: 80 % of their tokens become the mask token, 10 % another one, 10 % stay as they
are (BERT, Devlin et al. 2019, arXiv:1810.04805, section 3.1; dynamic masks: RoBERTa, Liu et al. 2019,
arXiv:1907.11692). A word is a Chinese character or a Latin word with all its pieces. That it helps on a
domain's own text: Gururangan et al. 2020, arXiv:2004.10964.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812 - the field's usual name

from attar.distillation.features import forward_with_features
from attar.distillation.match_losses import MatchLosses
from attar.distillation.matches import wanted
from attar.models.checkpoint import Checkpoint, batch_to
from attar.models.precision import bf16_inference
from attar.pretraining.pieces import Pieces
from attar.text.encoding import TextEncoder
from attar.training.objectives import Objective

__all__ = ["LayerDistillation", "MaskedTokens", "Masks", "TokenKinds", "draw_masks"]

_TO_MASK, _REPLACED = 0.8, 0.1


class Masks(NamedTuple):
    """A masked batch [B, T]: what the model reads, and where it is to predict the original token."""

    ids: torch.Tensor
    masked: torch.Tensor


class TokenKinds(nn.Module):
    """The tokens of a vocabulary by what masking does with them.

    Attributes:
        maskable: [V], true for all ids but those of special and unknown tokens.
        continuing: [V], true for word pieces that continue a word.
        replacements: Ids that a token may be replaced by.
        mask_id: Id of the mask token.
    """

    maskable: torch.Tensor
    continuing: torch.Tensor
    replacements: torch.Tensor

    def __init__(self, encoder: TextEncoder) -> None:
        super().__init__()
        tokenizer = encoder.tokenizer
        vocabulary = tokenizer.get_vocab()
        maskable = torch.zeros(max(vocabulary.values()) + 1, dtype=torch.bool)
        continuing = maskable.clone()
        for token, token_id in vocabulary.items():
            maskable[token_id] = True
            continuing[token_id] = token.startswith("##")
        never = {*encoder.special_ids, encoder.mask_id, *tokenizer.get_added_tokens_decoder()}
        never |= {vocabulary[name] for name in ("[UNK]", "<unk>") if name in vocabulary}
        maskable[sorted(never)] = False
        self.mask_id = encoder.mask_id
        self.maskable = nn.Buffer(maskable, persistent=False)
        self.continuing = nn.Buffer(continuing, persistent=False)
        self.replacements = nn.Buffer(maskable.nonzero().flatten(), persistent=False)


def draw_masks(ids: torch.Tensor, kinds: TokenKinds, share: float) -> Masks:
    """Mask a share of the words of a batch [B, T]; where nothing is masked, the ids are unchanged."""
    number = (~kinds.continuing[ids]).cumsum(1).clamp(min=1) - 1  # of each token's word in its piece
    # Drawn on the CPU, whose random state a resumed training restores.
    drawn, kind = (torch.rand(ids.shape).to(ids.device) for _ in range(2))
    masked = (drawn.gather(1, number) < share) & kinds.maskable[ids]
    other = kinds.replacements[torch.randint(len(kinds.replacements), ids.shape).to(ids.device)]
    shown = torch.where(kind < _TO_MASK, kinds.mask_id, torch.where(kind < _TO_MASK + _REPLACED, other, ids))
    return Masks(torch.where(masked, shown, ids), masked)


class MaskedTokens(Objective):
    """Cross-entropy of the masked tokens.

    Each piece's sum is divided by the number of masked tokens of an average piece, so that
    every token weighs the same and parts of a batch add up to the whole.

    Args:
        encoder: The model's input.
        share: Of the words that are masked.
        mean_tokens: Tokens of an average piece, the two special ones left out.
    """

    def __init__(self, encoder: TextEncoder, share: float, mean_tokens: float) -> None:
        super().__init__()
        self.kinds = TokenKinds(encoder)
        self.share, self.mean_masked = share, share * mean_tokens

    def forward(
        self, model: nn.Module, inputs: dict[str, torch.Tensor], rows: torch.Tensor
    ) -> dict[str, torch.Tensor]:
        """See ``Objective.forward``; the model is a ``transformers`` masked language model."""
        ids, masked = draw_masks(inputs["input_ids"], self.kinds, self.share)
        with _masked_only(model, masked):
            logits = model(**inputs | {"input_ids": ids}).logits
        losses = F.cross_entropy(logits.float(), inputs["input_ids"][masked], reduction="none")
        totals = torch.zeros(len(rows), device=losses.device)
        return {"mlm": totals.index_add(0, masked.nonzero()[:, 0], losses) / self.mean_masked}


@contextlib.contextmanager
def _masked_only(model: nn.Module, masked: torch.Tensor) -> Iterator[None]:
    """While it is open, the model's head reads only the states [n, D] of the masked tokens.

    Logits of the other tokens would take most of the time and nearly all of the memory.
    """
    bare: Any = getattr(model, "module", model)
    parts = list(bare.children())
    head = parts[parts.index(bare.base_model) + 1]

    def chosen(_module: nn.Module, states: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
        return (states[0][masked], *states[1:])

    hook = head.register_forward_pre_hook(chosen)
    try:
        yield
    finally:
        hook.remove()


class LayerDistillation(Objective):
    """The sum of the losses of the matches with an encoder that runs in each step.

    Args:
        teacher: The encoder; it is not trained, and computes in bf16 where that is native.
        pieces: All pieces, in the teacher's vocabulary.
        losses: What is compared.
    """

    def __init__(self, teacher: Checkpoint, pieces: Pieces, losses: MatchLosses) -> None:
        super().__init__()
        # In a tuple, it is no part of what is trained and saved.
        self._teacher, self.pieces, self.losses = (teacher,), pieces, losses
        self.layers = wanted(losses.matches)

    def forward(
        self, model: nn.Module, inputs: dict[str, torch.Tensor], rows: torch.Tensor
    ) -> dict[str, torch.Tensor]:
        """See ``Objective.forward``; the rows are numbers of pieces."""
        (teacher,) = self._teacher
        given = batch_to(teacher, [self.pieces[row] for row in rows.tolist()], rows.device)
        # Not inference_mode: its tensors cannot be saved for the student's backward pass.
        with torch.no_grad(), bf16_inference(rows.device):
            _, targets = forward_with_features(
                teacher.model.to(rows.device).eval(), given, self.layers.teacher
            )
        logits, features = forward_with_features(model, inputs, self.layers.student)
        losses: dict[str, torch.Tensor] = self.losses(features, targets, inputs["attention_mask"])
        # The unused head gets a gradient of 0: several processes wait for one of every weight.
        first = next(iter(losses))
        return losses | {first: losses[first] + 0.0 * logits.sum(1)}
