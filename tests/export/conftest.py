"""Tiny classifiers of every architecture, examples that they can read, and their exports."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

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
VOCABULARY = 100
_SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "_", "，", "。")
_CHARS = [chr(0x4E00 + i) for i in range(VOCABULARY - len(_SPECIAL))]
ARCHITECTURES = {  # by model type: the one of tests/conftest.py, and what differs
    "bert": ("bert", {}),
    "roberta": ("roberta", {}),
    "ernie": ("ernie", {}),
    "electra": ("electra-small", {}),
    "albert": ("albert", {"hidden_act": "gelu_new"}),
}


@pytest.fixture(scope="session")
def short_examples():
    """``short_examples(count, seed)``: labelled texts of 1 to 40 characters, with a term of one character."""
    labels = task_by_name("cosmetics").labels

    def make(count, seed):
        rng, made = np.random.default_rng(seed), []
        for _ in range(count):
            text = "".join(_CHARS[int(i)] for i in rng.integers(0, len(_CHARS), int(rng.integers(1, 41))))
            start = int(rng.integers(0, len(text)))
            made.append(Example(text, start, start + 1, labels[int(rng.integers(0, 3))]))
        return made

    return make


@pytest.fixture(scope="session")
def examples(short_examples):
    return short_examples(120, 0)


@pytest.fixture(scope="session")
def checkpoint(make_model, make_tokenizer):
    """``checkpoint(kind, pooling)`` makes a tiny model's checkpoint."""
    tokenizer = make_tokenizer([*_SPECIAL, *_CHARS])

    def make(kind, pooling="entity_start"):
        spec = InputSpec("marked_pair", MAX_TOKENS, None, token_types=kind != "roberta", pooling=pooling)
        name, extra = ARCHITECTURES[kind]
        model = make_model(name, vocab_size=VOCABULARY, max_position_embeddings=40, **extra)
        return Checkpoint(model, TextEncoder(tokenizer, spec), task_by_name("cosmetics"), {"role": "student"})

    return make


@pytest.fixture(scope="session")
def quantized(checkpoint, examples):
    """``quantized(kind, pooling="entity_start")``: that checkpoint in int8, calibrated on ``examples``."""

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
