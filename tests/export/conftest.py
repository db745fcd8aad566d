"""Tiny classifiers of every architecture, examples that they can read, and what export makes of them."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

from attar.artifact import load_artifact
from attar.export.observers import Calibration
from attar.export.quantisation import post_training_quantize
from attar.export.stage import export_checkpoint
from attar.export.weights import read_weights
from attar.models.checkpoint import Checkpoint
from attar.recipe.load import ExportRecipe
from attar.task import Example, task_by_name
from attar.text.encoding import InputSpec, TextEncoder

MAX_TOKENS = 24
_SHAPE = {
    "vocab_size": 100,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "max_position_embeddings": 40,
    "num_labels": 3,
    "pad_token_id": 0,
    "initializer_range": 0.3,
}


def _classifier(kind):
    import transformers

    config, extra = {
        "bert": ("BertConfig", {}),
        "roberta": ("RobertaConfig", {"type_vocab_size": 1}),
        "ernie": ("ErnieConfig", {"use_task_id": True, "hidden_act": "relu"}),
        "electra": ("ElectraConfig", {"embedding_size": 16}),
        "albert": ("AlbertConfig", {"embedding_size": 16, "hidden_act": "gelu_new", "num_hidden_groups": 1}),
    }[kind]
    torch.manual_seed(1)
    name = config.removesuffix("Config") + "ForSequenceClassification"
    model = getattr(transformers, name)(getattr(transformers, config)(**_SHAPE | extra)).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return model


@pytest.fixture(scope="session")
def classifier():
    """``classifier(kind)`` makes a tiny model with biases and norms that are not trivial."""
    return _classifier


@pytest.fixture(scope="session")
def tokenizer():
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "_", "，", "。"]
    tokens += [chr(0x4E00 + i) for i in range(100 - len(tokens))]
    made = Tokenizer(models.WordPiece({t: i for i, t in enumerate(tokens)}, unk_token="[UNK]"))  # noqa: S106
    made.normalizer = normalizers.BertNormalizer()
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    return made


@pytest.fixture(scope="session")
def examples():
    """120 labelled examples of 1 to 40 characters."""
    rng = np.random.default_rng(0)
    labels = task_by_name("cosmetics").labels
    made = []
    for _ in range(120):
        text = "".join(chr(0x4E00 + int(i)) for i in rng.integers(0, 93, int(rng.integers(1, 41))))
        start = int(rng.integers(0, len(text)))
        made.append(Example(text, start, start + 1, labels[int(rng.integers(0, 3))]))
    return made


@pytest.fixture(scope="session")
def checkpoint(tokenizer):
    """``checkpoint(kind, pooling)`` makes a tiny model's checkpoint."""

    def make(kind, pooling="entity_start"):
        spec = InputSpec("marked_pair", MAX_TOKENS, None, token_types=kind != "roberta", pooling=pooling)
        return Checkpoint(
            _classifier(kind), TextEncoder(tokenizer, spec), task_by_name("cosmetics"), {"role": "student"}
        )

    return make


@pytest.fixture(scope="session")
def int8_form(checkpoint, examples):
    """``int8_form(kind, pooling)``: of ``checkpoint(kind, pooling)``, calibrated on ``examples``, once."""

    @cache
    def make(kind, pooling="entity_start"):
        made = checkpoint(kind, pooling)
        calibration = Calibration(made.encoder.encode(examples), 0, made.encoder.spec)
        return post_training_quantize(read_weights(made.model), calibration)

    return make


@pytest.fixture(scope="session")
def exported(checkpoint, examples, tmp_path_factory):
    """``exported(pooling)``: the int8 artifact of ``checkpoint("bert", pooling)``, made once."""
    lenient = ExportRecipe(calibration_examples=64, max_flips=1, max_f1_loss=1, qat_epochs=0)

    @cache
    def make(pooling="entity_start"):
        out = tmp_path_factory.mktemp("exported") / "artifact"
        return load_artifact(
            export_checkpoint(checkpoint("bert", pooling), examples, out, lenient, {"recipe": "tiny"})
        )

    return make
