"""Reads and writes classic checkpoints: the original's ``gs{step}.pkl``, config.json and vocab.txt.

They are loaded as ordinary checkpoints, and any BERT, ELECTRA or ALBERT checkpoint can be written in the
original's format. Weights: ``attar.classic.weights``; labels of the logits: ``attar.classic.files``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, get_args

import torch
from tokenizers import Tokenizer
from tokenizers.implementations import BertWordPieceTokenizer

from attar.classic.files import (
    Architecture,
    ClassicFiles,
    classic_labels,
    classic_task,
    read_config,
    read_vocab,
)
from attar.classic.weights import architecture_of, fill_model, read_weights, reorder_logits, write_weights
from attar.errors import CheckpointError, RecipeError
from attar.models.checkpoint import Checkpoint
from attar.models.encoder_config import check_size
from attar.task import Task
from attar.text.encoding import InputSpec, TextEncoder

if TYPE_CHECKING:
    from transformers import PreTrainedModel

__all__ = ["build_classic", "load_classic", "save_classic", "start_encoder"]

_SETTINGS = (
    "vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size",
    "hidden_act", "hidden_dropout_prob", "attention_probs_dropout_prob",
    "max_position_embeddings", "type_vocab_size", "initializer_range",
)  # fmt: skip
_OWN_SETTINGS: Mapping[Architecture, tuple[str, ...]] = {
    # The norms of the original's BERT use 1e-12, whatever the file says.
    "bert": (),
    "electra": ("embedding_size", "layer_norm_eps"),
    "albert": (
        "embedding_size", "layer_norm_eps", "num_hidden_groups", "inner_group_num", "classifier_dropout_prob",
    ),
}  # fmt: skip


def build_classic(files: ClassicFiles, task: Task, max_tokens: int) -> Checkpoint:
    """A model of a classic config with random weights, and its encoder.

    Without ``architecture`` it is a BERT; without ``marks`` the term is marked, without ``lower_case`` the
    text lower-cased. ``max_tokens`` counts special tokens.

    Raises:
        CheckpointError: The config or the vocabulary cannot be used.
        RecipeError: The model has fewer than ``max_tokens`` positions.
    """
    task = classic_task(task, marks=files.marks is not False)
    tokenizer = _tokenizer(files)
    model = _random_model(files, files.architecture or "bert", len(task.labels))
    config = model.config
    if max_tokens > config.max_position_embeddings:
        raise RecipeError(
            f"max_tokens = {max_tokens}: {files.config} has {config.max_position_embeddings} positions; "
            "lower max_tokens"
        )
    if tokenizer.get_vocab_size() > config.vocab_size:
        raise CheckpointError(
            f"{files.vocab} has {tokenizer.get_vocab_size()} tokens, {files.config} says "
            f"{config.vocab_size}; take the vocab.txt that belongs to the model"
        )
    config.pad_token_id = tokenizer.token_to_id("[PAD]")
    types = config.type_vocab_size > 1
    spec = InputSpec.for_task(task, max_tokens, token_types=types, pooling="cls")
    return Checkpoint(model.eval(), TextEncoder(tokenizer, spec), task, {"role": "classic"})


def load_classic(files: ClassicFiles, task: Task, max_tokens: int) -> Checkpoint:
    """A classic checkpoint, on the CPU, in evaluation mode; its logits in the order of the task's labels.

    Raises:
        CheckpointError: A file cannot be used, the weights do not fit the config, or the pickle holds
            more than weights.
        RecipeError: The labels are not the task's, or the model has fewer than ``max_tokens``
            positions.
    """
    files = files.resolved(task)
    assert files.weights is not None, "the caller names the weights"
    theirs = classic_labels(task, files.labels)
    weights = read_weights(files.weights)
    architecture = files.architecture or architecture_of(weights, files.weights)
    checkpoint = build_classic(replace(files, architecture=architecture), task, max_tokens)
    fill_model(checkpoint.model, weights, files.weights, f"{files.config} and {len(theirs)} labels")
    reorder_logits(checkpoint.model.state_dict(), theirs, task.labels)
    notes = {"role": "classic", "weights": files.weights.name, "architecture": architecture}
    return replace(checkpoint, notes=notes)


def save_classic(checkpoint: Checkpoint, path: Path, labels: tuple[str, ...] = ()) -> None:
    """Write the weights of a BERT, ELECTRA or ALBERT in the original's format, atomically.

    ``labels`` is the order of the logits in the file; empty for the original's.

    Raises:
        CheckpointError: The model has another architecture.
    """
    model, task = checkpoint.model, checkpoint.task
    architecture = model.base_model_prefix
    if architecture not in get_args(Architecture) or model.config.model_type != architecture:
        raise CheckpointError(
            f"{path}: a classic checkpoint is BERT, ELECTRA or ALBERT; this model is "
            f"{model.config.model_type}"
        )
    weights = {name: value.detach().cpu().clone() for name, value in model.state_dict().items()}
    reorder_logits(weights, task.labels, classic_labels(task, labels))
    if architecture != "bert":
        # The original loads strictly, and its version of transformers saved this buffer.
        positions = torch.arange(model.config.max_position_embeddings)
        weights[f"{architecture}.embeddings.position_ids"] = positions.unsqueeze(0)
    write_weights(weights, path)


def start_encoder(checkpoint: Checkpoint, path: Path, *, embeddings_only: bool = False) -> None:
    """Load a model's encoder, in place, from a pretrained ``pytorch_model.bin`` or a ``gs*.pkl``.

    The head keeps its weights, and so does a pooler that the file lacks. Of a deeper model the first
    layers are loaded; with ``embeddings_only`` the embeddings and their norm alone.

    Raises:
        CheckpointError: The file cannot be used or lacks weights of the encoder.
    """
    model = checkpoint.model
    prefix = f"{model.base_model_prefix}.{'embeddings.' if embeddings_only else ''}"
    own = model.state_dict()
    weights = {n: value for n, value in read_weights(path).items() if n.startswith(prefix) and n in own}
    kept = {
        name: value
        for name, value in own.items()
        if not name.startswith(prefix) or (".pooler." in name and name not in weights)
    }
    fill_model(model, kept | weights, path, "the config")


def _random_model(files: ClassicFiles, architecture: Architecture, num_labels: int) -> PreTrainedModel:
    import transformers

    given = read_config(files.config)
    known = {name: given[name] for name in (*_SETTINGS, *_OWN_SETTINGS[architecture]) if name in given}
    kind = architecture.capitalize()
    try:
        config = getattr(transformers, f"{kind}Config")(**known, num_labels=num_labels)
        check_size(config, str(files.config))
        return getattr(transformers, f"{kind}ForSequenceClassification")(config)
    except CheckpointError:
        raise
    except Exception as error:  # transformers raises several errors for a bad config
        first_line = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise CheckpointError(f"{files.config}: not a config of {architecture}: {first_line}") from error


def _tokenizer(files: ClassicFiles) -> Tokenizer:
    made = BertWordPieceTokenizer(read_vocab(files.vocab), lowercase=files.lower_case is not False)
    return Tokenizer.from_str(made.to_str())
