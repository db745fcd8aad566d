"""A classifier's weights in one form, whatever its architecture.

First step of ``attar export``: BERT, RoBERTa, ERNIE, ELECTRA and ALBERT are the same post-norm
encoder with other names for its parts, another way to count positions, and another head. What is
the same is written once in ``attar.export.graph``; what differs is read here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from attar.errors import ArtifactError

if TYPE_CHECKING:
    from torch import nn
    from transformers import PreTrainedModel

__all__ = [
    "Activation",
    "ClassifierWeights",
    "LayerWeights",
    "Linear",
    "Norm",
    "linear_layers",
    "linear_modules",
    "query_factor",
    "read_weights",
]

Array = NDArray[np.float32]
Activation = Literal["gelu", "gelu_tanh", "relu", "tanh"]

_ACTIVATIONS: dict[str, Activation] = {
    "gelu": "gelu",
    "gelu_python": "gelu",
    "gelu_new": "gelu_tanh",
    "gelu_pytorch_tanh": "gelu_tanh",
    "relu": "relu",
}
_SUPPORTED = (
    "BertForSequenceClassification",
    "RobertaForSequenceClassification",
    "XLMRobertaForSequenceClassification",
    "ErnieForSequenceClassification",
    "ElectraForSequenceClassification",
    "AlbertForSequenceClassification",
)


@dataclass(frozen=True, slots=True, eq=False)
class Linear:
    """y = x @ weight + bias, weight [in, out], bias [out]. Shared layers share the object."""

    weight: Array
    bias: Array


@dataclass(frozen=True, slots=True, eq=False)
class Norm:
    """Layer normalisation over the last axis."""

    scale: Array
    bias: Array
    epsilon: float


@dataclass(frozen=True, slots=True, eq=False)
class LayerWeights:
    """One transformer layer: attention, add, norm, FFN, add, norm. Shared layers share the object.

    The scores' factor 1 / sqrt(width of a head) is inside ``query``. The last three are None, for
    factors of 1, unless ``attar.export.equalisation`` set them.

    Attributes:
        query: From D to D, as are the next three.
        key: See there.
        value: See there.
        attention_out: See there.
        attention_norm: After the first addition.
        inner: From D to F.
        outer: From F to D.
        out_norm: After the second addition.
        hidden_factors: [D], times the layer's input where it is added.
        attended_factors: [D], times the first norm's output where it is added.
        inner_factors: [F], times the activation's output.
    """

    query: Linear
    key: Linear
    value: Linear
    attention_out: Linear
    attention_norm: Norm
    inner: Linear
    outer: Linear
    out_norm: Norm
    hidden_factors: Array | None = None
    attended_factors: Array | None = None
    inner_factors: Array | None = None


@dataclass(frozen=True, slots=True, eq=False)
class ClassifierWeights:
    """A whole sequence classifier.

    Attributes:
        words: [V, E] word embeddings.
        positions: [P, E], row 0 for the first token; a constant task type is added in.
        types: [S, E] embeddings of the segments.
        embedding_norm: Over E.
        projection: From E to D, or None where they are equal.
        layers: First to last.
        heads: H of them in every layer.
        activation: Between the FFN's two linear layers.
        pooler: Applied to the [CLS] row.
        pooler_activation: After the pooler.
        classifier: From D to C logits.
    """

    words: Array
    positions: Array
    types: Array
    embedding_norm: Norm
    projection: Linear | None
    layers: Sequence[LayerWeights]
    heads: int
    activation: Activation
    pooler: Linear
    pooler_activation: Activation
    classifier: Linear


def read_weights(model: PreTrainedModel) -> ClassifierWeights:
    """Read a ``transformers`` sequence classifier.

    Raises:
        ArtifactError: Another architecture or an activation that the graph has no form for.
    """
    kind = type(model).__name__
    if kind not in _SUPPORTED:
        raise ArtifactError(f"cannot export a {kind}; supported are {', '.join(_SUPPORTED)}")
    config: Any = model.config
    activation = _ACTIVATIONS.get(config.hidden_act)
    if activation is None:
        raise ArtifactError(
            f"cannot export hidden_act = {config.hidden_act!r}; supported are {', '.join(_ACTIVATIONS)}"
        )
    body: Any = model.base_model
    pooler, pooler_activation, classifier = _head(kind, model)
    return ClassifierWeights(
        words=_array(body.embeddings.word_embeddings.weight),
        positions=_positions(kind, body.embeddings),
        types=_array(body.embeddings.token_type_embeddings.weight),
        embedding_norm=_norm(body.embeddings.LayerNorm),
        projection=_projection(body),
        layers=_layers(model),
        heads=config.num_attention_heads,
        activation=activation,
        pooler=_linear(pooler),
        pooler_activation=pooler_activation,
        classifier=_linear(classifier),
    )


def linear_layers(weights: ClassifierWeights) -> dict[str, Linear]:
    """The quantisable linear layers, by the names that the graph gives them; shared ones are one object."""
    found = {} if weights.projection is None else {"embeddings.projection": weights.projection}
    for index, layer in enumerate(weights.layers):
        found |= {
            f"layer.{index}.attention.query": layer.query,
            f"layer.{index}.attention.key": layer.key,
            f"layer.{index}.attention.value": layer.value,
            f"layer.{index}.attention.out": layer.attention_out,
            f"layer.{index}.inner": layer.inner,
            f"layer.{index}.outer": layer.outer,
        }
    return found


def linear_modules(model: PreTrainedModel) -> dict[str, nn.Linear]:
    """The modules behind the quantisable linear layers, by the names that the graph gives them.

    Shared layers have one module, which stands under the name of each of their uses.
    """
    found = {}
    projection = _projection_module(model.base_model)
    if projection is not None:
        found["embeddings.projection"] = projection
    for index, parts in enumerate(_parts(model)):
        found |= {
            f"layer.{index}.attention.query": parts.query,
            f"layer.{index}.attention.key": parts.key,
            f"layer.{index}.attention.value": parts.value,
            f"layer.{index}.attention.out": parts.attention_out,
            f"layer.{index}.inner": parts.inner,
            f"layer.{index}.outer": parts.outer,
        }
    return found


def _array(tensor: Any) -> Array:  # noqa: ANN401 - a torch tensor, without importing torch
    return np.ascontiguousarray(tensor.detach().float().cpu().numpy())


def _linear(module: nn.Linear) -> Linear:
    return Linear(np.ascontiguousarray(_array(module.weight).T), _array(module.bias))


def query_factor(config: Any) -> np.float32:  # noqa: ANN401 - transformers' own
    """What the scores are multiplied by, 1 / sqrt(width of a head); it stands inside ``query``."""
    return np.float32((config.hidden_size // config.num_attention_heads) ** -0.5)


def _query(module: nn.Linear, config: Any) -> Linear:  # noqa: ANN401 - transformers' own
    plain, factor = _linear(module), query_factor(config)
    return Linear(plain.weight * factor, plain.bias * factor)


def _norm(module: nn.LayerNorm) -> Norm:
    return Norm(_array(module.weight), _array(module.bias), float(module.eps))


def _positions(kind: str, embeddings: Any) -> Array:  # noqa: ANN401 - one of five modules
    table = _array(embeddings.position_embeddings.weight)
    if "Roberta" in kind:
        # RoBERTa counts tokens from padding_idx + 1.
        table = table[embeddings.padding_idx + 1 :]
    if getattr(embeddings, "use_task_id", False):
        table = table + _array(embeddings.task_type_embeddings.weight)[0]
    return table


def _projection(body: Any) -> Linear | None:  # noqa: ANN401 - one of five modules
    module = _projection_module(body)
    return None if module is None else _linear(module)


def _projection_module(body: Any) -> Any:  # noqa: ANN401 - a linear module or None
    encoder = getattr(body, "encoder", None)
    return getattr(encoder, "embedding_hidden_mapping_in", None) or getattr(body, "embeddings_project", None)


class _Parts(NamedTuple):
    """The modules of one layer."""

    query: Any
    key: Any
    value: Any
    attention_out: Any
    attention_norm: Any
    inner: Any
    outer: Any
    out_norm: Any


def _parts(model: Any) -> list[_Parts]:  # noqa: ANN401 - one of six
    """Of each layer, first to last; shared layers share the tuple."""
    encoder = model.base_model.encoder
    if type(model).__name__.startswith("Albert"):
        groups = [
            [_albert_parts(layer) for layer in group.albert_layers] for group in encoder.albert_layer_groups
        ]
        count = model.config.num_hidden_layers
        per_group = count / model.config.num_hidden_groups
        return [part for i in range(count) for part in groups[int(i / per_group)]]
    return [_bert_parts(layer) for layer in encoder.layer]


def _bert_parts(layer: Any) -> _Parts:  # noqa: ANN401 - transformers' own
    attention = layer.attention
    return _Parts(
        attention.self.query,
        attention.self.key,
        attention.self.value,
        attention.output.dense,
        attention.output.LayerNorm,
        layer.intermediate.dense,
        layer.output.dense,
        layer.output.LayerNorm,
    )


def _albert_parts(layer: Any) -> _Parts:  # noqa: ANN401 - transformers' own
    attention = layer.attention
    return _Parts(
        attention.query,
        attention.key,
        attention.value,
        attention.dense,
        attention.LayerNorm,
        layer.ffn,
        layer.ffn_output,
        layer.full_layer_layer_norm,
    )


def _layers(model: PreTrainedModel) -> list[LayerWeights]:
    read: dict[int, LayerWeights] = {}
    parts = _parts(model)
    for part in parts:
        if id(part) not in read:
            read[id(part)] = LayerWeights(
                query=_query(part.query, model.config),
                key=_linear(part.key),
                value=_linear(part.value),
                attention_out=_linear(part.attention_out),
                attention_norm=_norm(part.attention_norm),
                inner=_linear(part.inner),
                outer=_linear(part.outer),
                out_norm=_norm(part.out_norm),
            )
    return [read[id(part)] for part in parts]


def _head(kind: str, model: Any) -> tuple[nn.Linear, Activation, nn.Linear]:  # noqa: ANN401 - one of six
    if kind.startswith("Electra"):
        return model.classifier.dense, "gelu", model.classifier.out_proj
    if "Roberta" in kind:
        return model.classifier.dense, "tanh", model.classifier.out_proj
    pooler = model.base_model.pooler
    return getattr(pooler, "dense", pooler), "tanh", model.classifier
