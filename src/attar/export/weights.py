"""A classifier's weights in one layout, whatever its architecture.

BERT, RoBERTa, ERNIE, ELECTRA and ALBERT are the same post-norm
encoder with other names for its parts, another way to count positions, and another head. What is
the same is written once in ``attar.export.graph``; what differs is read here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
    "group_shared",
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
_LINEAR_NAMES = {
    "attention.query": "query",
    "attention.key": "key",
    "attention.value": "value",
    "attention.out": "attention_out",
    "inner": "inner",
    "outer": "outer",
}
"""Names of a layer's linear layers in the graph, and their attributes of ``LayerWeights`` and ``_Parts``."""
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

    The scores' factor 1 / sqrt(width of a head) is folded into ``query``. The last three are None, for
    scales of 1, unless ``attar.export.equalisation`` set them.

    Attributes:
        query: From D to D, as are the next three.
        key: As ``query``.
        value: As ``query``.
        attention_out: As ``query``.
        attention_norm: After the first addition.
        inner: From D to F.
        outer: From F to D.
        out_norm: After the second addition.
        hidden_scale: [D], multiplies the layer's input in the residual connection.
        attended_scale: [D], multiplies the first norm's output in the residual connection.
        inner_scale: [F], multiplies the activation's output.
    """

    query: Linear
    key: Linear
    value: Linear
    attention_out: Linear
    attention_norm: Norm
    inner: Linear
    outer: Linear
    out_norm: Norm
    hidden_scale: Array | None = None
    attended_scale: Array | None = None
    inner_scale: Array | None = None


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
        ArtifactError: Another architecture or an activation that the graph has no node for.
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


def group_shared(named: Mapping[str, object]) -> list[list[str]]:
    """Names of the same object together, in the order of their first appearance."""
    groups: dict[int, list[str]] = {}
    for name, value in named.items():
        groups.setdefault(id(value), []).append(name)
    return list(groups.values())


def linear_layers(weights: ClassifierWeights) -> dict[str, Linear]:
    """The quantisable linear layers, by the names that the graph gives them; shared ones are one object."""
    return _by_name(weights.projection, weights.layers)


def linear_modules(model: PreTrainedModel) -> dict[str, nn.Linear]:
    """The modules behind the quantisable linear layers, by the names that the graph gives them.

    Shared layers have one module under the name of each of their uses.
    """
    return _by_name(_projection_module(model.base_model), _parts(model))


def _by_name(projection: Any, layers: Sequence[Any]) -> dict[str, Any]:  # noqa: ANN401 - weights or modules
    found = {} if projection is None else {"embeddings.projection": projection}
    for index, layer in enumerate(layers):
        found |= {
            f"layer.{index}.{name}": getattr(layer, attribute) for name, attribute in _LINEAR_NAMES.items()
        }
    return found


def _array(tensor: Any) -> Array:  # noqa: ANN401 - a torch tensor, without importing torch
    return np.ascontiguousarray(tensor.detach().float().cpu().numpy())


def _linear(module: nn.Linear) -> Linear:
    return Linear(np.ascontiguousarray(_array(module.weight).T), _array(module.bias))


def query_factor(config: Any) -> np.float32:  # noqa: ANN401 - transformers' own
    """1 / sqrt(width of a head), which scales the attention scores; folded into ``query``."""
    return np.float32((config.hidden_size // config.num_attention_heads) ** -0.5)


def _query(module: nn.Linear, config: Any) -> Linear:  # noqa: ANN401 - transformers' own
    plain, factor = _linear(module), query_factor(config)
    return Linear(plain.weight * factor, plain.bias * factor)


def _norm(module: nn.LayerNorm) -> Norm:
    return Norm(_array(module.weight), _array(module.bias), float(module.eps))


def _positions(kind: str, embeddings: Any) -> Array:  # noqa: ANN401 - an architecture's module
    table = _array(embeddings.position_embeddings.weight)
    if "Roberta" in kind:
        # RoBERTa counts tokens from padding_idx + 1.
        table = table[embeddings.padding_idx + 1 :]
    if getattr(embeddings, "use_task_id", False):
        table = table + _array(embeddings.task_type_embeddings.weight)[0]
    return table


def _projection(body: Any) -> Linear | None:  # noqa: ANN401 - an architecture's module
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


def _parts(model: Any) -> list[_Parts]:  # noqa: ANN401 - one of ``_SUPPORTED``
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


def _head(kind: str, model: Any) -> tuple[nn.Linear, Activation, nn.Linear]:  # noqa: ANN401 - one of ``_SUPPORTED``
    if kind.startswith("Electra"):
        return model.classifier.dense, "gelu", model.classifier.out_proj
    if "Roberta" in kind:
        return model.classifier.dense, "tanh", model.classifier.out_proj
    pooler = model.base_model.pooler
    return getattr(pooler, "dense", pooler), "tanh", model.classifier
