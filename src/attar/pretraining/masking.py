"""Masked-language-model training, continued on the texts of a domain.

15 % of the words are asked for, in a new draw whenever a piece is read: 80 % of their tokens are
hidden, 10 % replaced by another, 10 % left as they are (BERT, Devlin et al. 2019, arXiv:1810.04805,
section 3.1; dynamic masks: RoBERTa, Liu et al. 2019, arXiv:1907.11692). A word is a Chinese character
or a Latin word with all its pieces. That it helps on a domain's own text: Gururangan et al. 2020,
arXiv:2004.10964.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812 - the field's usual name

from attar.text.encoding import TextEncoder
from attar.training.objectives import Objective

__all__ = ["MaskedTokens", "Masks", "TokenKinds", "draw_masks"]

_HIDDEN, _REPLACED = 0.8, 0.1


class Masks(NamedTuple):
    """What a model is shown of a batch, and what it is asked.

    Attributes:
        ids: [B, T] the ids that it reads.
        asked: [B, T], true where it shall tell the token that stood there.
    """

    ids: torch.Tensor
    asked: torch.Tensor


class TokenKinds(nn.Module):
    """What masking has to know of a vocabulary.

    Args:
        encoder: Its tokenizer and special tokens.

    Attributes:
        words: [V], true for ids that may be asked for: no special and no unknown token.
        inner: [V], true for pieces that go on with a word.
        others: Ids that a token may be replaced by.
        hidden: Id that stands for a hidden token.
    """

    words: torch.Tensor
    inner: torch.Tensor
    others: torch.Tensor

    def __init__(self, encoder: TextEncoder) -> None:
        super().__init__()
        tokenizer = encoder.tokenizer
        vocabulary = tokenizer.get_vocab()
        words = torch.zeros(max(vocabulary.values()) + 1, dtype=torch.bool)
        inner = words.clone()
        for token, token_id in vocabulary.items():
            words[token_id] = True
            inner[token_id] = token.startswith("##")
        never = {*encoder.fixed, encoder.hidden, *tokenizer.get_added_tokens_decoder()}
        never |= {vocabulary[name] for name in ("[UNK]", "<unk>") if name in vocabulary}
        words[sorted(never)] = False
        self.hidden = encoder.hidden
        self.words = nn.Buffer(words, persistent=False)
        self.inner = nn.Buffer(inner, persistent=False)
        self.others = nn.Buffer(words.nonzero().flatten(), persistent=False)


def draw_masks(ids: torch.Tensor, kinds: TokenKinds, share: float) -> Masks:
    """Draw what is asked of a batch.

    Args:
        ids: [B, T].
        kinds: Of the vocabulary.
        share: Of the words that are asked for.

    Returns:
        The masks; where nothing is asked, the ids are as they were.
    """
    number = (~kinds.inner[ids]).cumsum(1).clamp(min=1) - 1  # of each token's word in its piece
    # Drawn on the CPU, whose state is what a resumed training goes on from.
    drawn, kind = (torch.rand(ids.shape).to(ids.device) for _ in range(2))
    asked = (drawn.gather(1, number) < share) & kinds.words[ids]
    other = kinds.others[torch.randint(len(kinds.others), ids.shape).to(ids.device)]
    shown = torch.where(kind < _HIDDEN, kinds.hidden, torch.where(kind < _HIDDEN + _REPLACED, other, ids))
    return Masks(torch.where(asked, shown, ids), asked)


class MaskedTokens(Objective):
    """Cross-entropy of the tokens that are asked for.

    Each piece's sum is divided by the number of tokens that an average piece is asked for, so that
    every token weighs the same and parts of a batch add up to the whole.

    Args:
        encoder: The model's input.
        share: Of the words that are asked for.
        mean_tokens: Tokens of an average piece, the two special ones left out.
    """

    def __init__(self, encoder: TextEncoder, share: float, mean_tokens: float) -> None:
        super().__init__()
        self.kinds = TokenKinds(encoder)
        self.share, self.mean_asked = share, share * mean_tokens

    def forward(
        self, model: nn.Module, inputs: dict[str, torch.Tensor], rows: torch.Tensor
    ) -> dict[str, torch.Tensor]:
        """See ``Objective.forward``; the model is a ``transformers`` masked language model."""
        ids, asked = draw_masks(inputs["input_ids"], self.kinds, self.share)
        with _asked_only(model, asked):
            logits = model(**inputs | {"input_ids": ids}).logits
        losses = F.cross_entropy(logits.float(), inputs["input_ids"][asked], reduction="none")
        totals = torch.zeros(len(rows), device=losses.device)
        return {"mlm": totals.index_add(0, asked.nonzero()[:, 0], losses) / self.mean_asked}


@contextlib.contextmanager
def _asked_only(model: nn.Module, asked: torch.Tensor) -> Iterator[None]:
    """While it is open, the model's head reads only the states [n, D] of the asked tokens.

    Logits of the other tokens would take most of the time and nearly all of the memory.
    """
    bare: Any = getattr(model, "module", model)
    parts = list(bare.children())
    head = parts[parts.index(bare.base_model) + 1]

    def chosen(_module: nn.Module, states: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
        return (states[0][asked], *states[1:])

    hook = head.register_forward_pre_hook(chosen)
    try:
        yield
    finally:
        hook.remove()
