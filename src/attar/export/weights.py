"""A classifier's weights in one layout, whatever its architecture.

BERT, RoBERTa, ERNIE, ELECTRA and ALBERT are the same post-norm encoder with other names for its parts,
another way to count positions, and another head. What is the same is written once in
``attar.export.graph``; what differs is read here. Layers that share their weights share the objects.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Literal

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
"""Names of a layer's linear layers in the graph, and their attributes of ``LayerWeights``."""
_BERT_PATHS = {
    "query": "attention.self.query",
    "key": "attention.self.key",
    "value": "attention.self.value",
    "attention_out": "attention.output.dense",
    "attention_norm": "attention.output.LayerNorm",
    "inner": "intermediate.dense",
    "outer": "output.dense",
    "out_norm": "output.LayerNorm",
}
_ALBERT_PATHS = {
    "query": "attention.query",
    "key": "attention.key",
    "value": "attention.value",
    "attention_out": "attention.dense",
    "attention_norm": "attention.LayerNorm",
    "inner": "ffn",
    "outer": "ffn_output",
    "out_norm": "full_layer_layer_norm",
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
    """y = x @ weight + bias, weight [in, out], bias [out]."""

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
    """One transformer layer: attention, add, norm, FFN, add, norm.

    The scores' factor 1 / sqrt(width of a head) is folded into ``query``. The last three are None, for
    scales of 1, unless ``attar.export.equalisation`` set them.

    Attributes:
        inner: From D to F; the first four are from D to D.
        outer: From F to D.
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
    projection, (pooler, pooler_activation, classifier) = _projection(body), _head(kind, model)
    return ClassifierWeights(
        words=_array(body.embeddings.word_embeddings.weight),
        positions=_positions(kind, body.embeddings),
        types=_array(body.embeddings.token_type_embeddings.weight),
        embedding_norm=_norm(body.embeddings.LayerNorm),
        projection=None if projection is None else _linear(projection),
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
    """The quantisable linear layers, by the names that the graph gives them."""
    return _by_name(weights.projection, weights.layers)


def linear_modules(model: PreTrainedModel) -> dict[str, nn.Linear]:
    """The modules behind the quantisable linear layers, by the same names."""
    return _by_name(_projection(model.base_model), _parts(model))


def _by_name(projection: Any, layers: Sequence[Any]) -> dict[str, Any]:  # noqa: ANN401 - weights or modules
    found = {} if projection is None else {"embeddings.projection": projection}
    for index, layer in enumerate(layers):
        for name, attribute in _LINEAR_NAMES.items():
            found[f"layer.{index}.{name}"] = getattr(layer, attribute)
    return found


def _array(tensor: Any) -> Array:  # noqa: ANN401 - a torch tensor, without importing torch
    return np.ascontiguousarray(tensor.detach().float().cpu().numpy())


def _linear(module: nn.Linear) -> Linear:
    return Linear(np.ascontiguousarray(_array(module.weight).T), _array(module.bias))


def query_factor(config: Any) -> np.float32:  # noqa: ANN401 - transformers' own
    """1 / sqrt(width of a head), which scales the attention scores; folded into ``query``."""
    return np.float32((config.hidden_size // config.num_attention_heads) ** -0.5)


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


def _projection(body: Any) -> Any:  # noqa: ANN401 - a linear module or None
    encoder = getattr(body, "encoder", None)
    return getattr(encoder, "embedding_hidden_mapping_in", None) or getattr(body, "embeddings_project", None)


def _parts(model: Any) -> list[SimpleNamespace]:  # noqa: ANN401 - one of ``_SUPPORTED``
    """Of each layer, first to last; shared layers share the object."""
    encoder, config = model.base_model.encoder, model.config
    if not type(model).__name__.startswith("Albert"):
        return [_modules(layer, _BERT_PATHS) for layer in encoder.layer]
    groups = [
        [_modules(layer, _ALBERT_PATHS) for layer in group.albert_layers]
        for group in encoder.albert_layer_groups
    ]
    per_group = config.num_hidden_layers / config.num_hidden_groups
    return [part for i in range(config.num_hidden_layers) for part in groups[int(i / per_group)]]


def _modules(layer: nn.Module, paths: Mapping[str, str]) -> SimpleNamespace:
    return SimpleNamespace(**{name: layer.get_submodule(path) for name, path in paths.items()})


def _layers(model: PreTrainedModel) -> list[LayerWeights]:
    read: dict[int, LayerWeights] = {}
    factor, parts = query_factor(model.config), _parts(model)
    for part in parts:
        if id(part) not in read:
            own: dict[str, Any] = {
                name: _norm(module) if name.endswith("norm") else _linear(module)
                for name, module in vars(part).items()
            }
            query = own["query"]
            read[id(part)] = LayerWeights(
                **own | {"query": Linear(query.weight * factor, query.bias * factor)}
            )
    return [read[id(part)] for part in parts]


def _head(kind: str, model: Any) -> tuple[nn.Linear, Activation, nn.Linear]:  # noqa: ANN401 - one of ``_SUPPORTED``
    if kind.startswith("Electra"):
        return model.classifier.dense, "gelu", model.classifier.out_proj
    if "Roberta" in kind:
        return model.classifier.dense, "tanh", model.classifier.out_proj
    pooler = model.base_model.pooler
    return getattr(pooler, "dense", pooler), "tanh", model.classifier
