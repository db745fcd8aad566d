"""A tiny checkpoint and its artifact, made in seconds, the same each time."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers
from transformers import BertConfig, BertForSequenceClassification

from attar.export.stage import export_checkpoint
from attar.models.checkpoint import Checkpoint
from attar.recipe.load import ExportRecipe
from attar.task import Example, Task
from attar.text.encoding import InputSpec, TextEncoder

__all__ = ["TINY_TASK", "tiny_artifact", "tiny_checkpoint"]

_CHARS = "香味很好但是持妆太差了肤色粉底液不推荐口红的一"
_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "_", "，", "。", *dict.fromkeys(_CHARS))
_MAX_TOKENS = 48
TINY_TASK = Task("tiny", ("坏", "中", "好"), aliases={"-1": "坏"})
"""What they are for."""


def tiny_checkpoint() -> Checkpoint:
    """Random weights, three labels."""
    tokenizer = Tokenizer(models.WordPiece({t: i for i, t in enumerate(_TOKENS)}, unk_token="[UNK]"))  # noqa: S106
    tokenizer.normalizer, tokenizer.pre_tokenizer = (
        normalizers.BertNormalizer(),
        pre_tokenizers.BertPreTokenizer(),
    )
    tokenizer.add_special_tokens([token for token in _TOKENS if token.startswith("[")])
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(_TOKENS), hidden_size=36, num_hidden_layers=2, num_attention_heads=3,
        intermediate_size=64, max_position_embeddings=_MAX_TOKENS, num_labels=3, pad_token_id=0,
        initializer_range=0.3,
    )  # fmt: skip
    spec = InputSpec.for_task(TINY_TASK, _MAX_TOKENS, token_types=True)
    return Checkpoint(BertForSequenceClassification(config).eval(), TextEncoder(tokenizer, spec), TINY_TASK)


def tiny_artifact(checkpoint: Checkpoint, folder: Path) -> Path:
    """Its artifact."""
    rng, examples = np.random.default_rng(0), []
    for _ in range(60):
        text = "".join(rng.choice(list(_CHARS + "，。"), int(rng.integers(2, 60))))
        start = int(rng.integers(0, len(text)))
        examples.append(Example(text, start, start + 1))
    lenient = ExportRecipe(max_flips=0.5, max_f1_loss=0.5, qat_epochs=0)
    return export_checkpoint(checkpoint, examples, folder, lenient, {})
