"""A tiny exported classifier and texts that it can read."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

from attar.artifact import load_artifact
from attar.export.stage import export_checkpoint
from attar.models.checkpoint import Checkpoint
from attar.recipe import ExportRecipe
from attar.scoring.predictor import Predictor
from attar.task import Example, Task
from attar.text.encoding import InputSpec, TextEncoder

CHARS = "香味很好但是持妆太差了肤色粉底液不推荐口红"


def _artifact(folder, task):
    from transformers import BertConfig, BertForSequenceClassification

    torch.manual_seed(3)
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "_", "，", "。", *dict.fromkeys(CHARS)]
    config = BertConfig(
        vocab_size=len(tokens),
        hidden_size=36,
        num_hidden_layers=2,
        num_attention_heads=3,
        intermediate_size=64,
        max_position_embeddings=48,
        num_labels=len(task.labels),
        initializer_range=0.3,
    )
    tokenizer = Tokenizer(models.WordPiece({t: i for i, t in enumerate(tokens)}, unk_token="[UNK]"))  # noqa: S106
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    spec = InputSpec.for_task(task, 48, token_types=True)
    checkpoint = Checkpoint(BertForSequenceClassification(config).eval(), TextEncoder(tokenizer, spec), task)
    lenient = ExportRecipe(max_flips=0.3, max_f1_loss=0.3)
    return export_checkpoint(checkpoint, random_examples(60, 7), folder, lenient, {})


def random_examples(count, seed):
    rng = np.random.default_rng(seed)
    made = []
    for _ in range(count):
        text = "".join(rng.choice(list(CHARS + "，。☆"), int(rng.integers(1, 80))))
        start = int(rng.integers(0, len(text)))
        made.append(Example(text, start, min(len(text), start + int(rng.integers(1, 4)))))
    return made


@pytest.fixture(scope="session")
def some_examples():
    """``some_examples(count, seed)``: random texts of 1 to 80 characters with a term."""
    return random_examples


@pytest.fixture(scope="session")
def artifact_folder(tmp_path_factory):
    return _artifact(tmp_path_factory.mktemp("artifact") / "pair", Task("tiny", ("坏", "中", "好")))


@pytest.fixture(scope="session")
def single_folder(tmp_path_factory):
    return _artifact(tmp_path_factory.mktemp("artifact") / "single", Task("whole", ("坏", "好"), "single"))


@pytest.fixture(scope="session")
def predictor(artifact_folder):
    made = Predictor(load_artifact(artifact_folder), workers=2)
    yield made
    made.close()
