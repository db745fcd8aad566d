"""A classifier's weights in one form, whatever its architecture.

First step of ``attar export``: BERT, RoBERTa, ERNIE, ELECTRA and ALBERT are the same post-norm
encoder with other names for its parts, another way to count positions, and another head. What is
the same is written once in ``attar.export.graph``; what differs is read here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from attar.errors import ArtifactError

if TYPE_CHECKING:
    from torch import nn
    from transformers import PreTrainedModel

__all__ = ["Activation", "ClassifierWeights", "LayerWeights", "Linear", "Norm", "read_weights"]

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
    """One transformer layer: attention, add, norm, FFN, add, norm.

    The scores' factor 1 / sqrt(width of a head) is inside ``query``.
    """

    query: Linear
    key: Linear
    value: Linear
    attention_out: Linear
    attention_norm: Norm
    inner: Linear
    outer: Linear
    out_norm: Norm


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
        layers=_albert_layers(body, config) if kind.startswith("Albert") else _bert_layers(body, config),
        heads=config.num_attention_heads,
        activation=activation,
        pooler=_linear(pooler),
        pooler_activation=pooler_activation,
        classifier=_linear(classifier),
    )


def _array(tensor: Any) -> Array:  # noqa: ANN401 - a torch tensor, without importing torch
    return np.ascontiguousarray(tensor.detach().float().cpu().numpy())


def _linear(module: nn.Linear) -> Linear:
    return Linear(np.ascontiguousarray(_array(module.weight).T), _array(module.bias))


def _query(module: nn.Linear, config: Any) -> Linear:  # noqa: ANN401 - transformers' own
    plain = _linear(module)
    shrink = np.float32((config.hidden_size // config.num_attention_heads) ** -0.5)
    return Linear(plain.weight * shrink, plain.bias * shrink)


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
    encoder = getattr(body, "encoder", None)
    module = getattr(encoder, "embedding_hidden_mapping_in", None) or getattr(
        body, "embeddings_project", None
    )
    return None if module is None else _linear(module)


def _bert_layers(body: Any, config: Any) -> list[LayerWeights]:  # noqa: ANN401 - transformers' own
    return [
        LayerWeights(
            query=_query(layer.attention.self.query, config),
            key=_linear(layer.attention.self.key),
            value=_linear(layer.attention.self.value),
            attention_out=_linear(layer.attention.output.dense),
            attention_norm=_norm(layer.attention.output.LayerNorm),
            inner=_linear(layer.intermediate.dense),
            outer=_linear(layer.output.dense),
            out_norm=_norm(layer.output.LayerNorm),
        )
        for layer in body.encoder.layer
    ]


def _albert_layers(body: Any, config: Any) -> list[LayerWeights]:  # noqa: ANN401 - transformers' own
    groups = [
        [
            LayerWeights(
                query=_query(layer.attention.query, config),
                key=_linear(layer.attention.key),
                value=_linear(layer.attention.value),
                attention_out=_linear(layer.attention.dense),
                attention_norm=_norm(layer.attention.LayerNorm),
                inner=_linear(layer.ffn),
                outer=_linear(layer.ffn_output),
                out_norm=_norm(layer.full_layer_layer_norm),
            )
            for layer in group.albert_layers
        ]
        for group in body.encoder.albert_layer_groups
    ]
    per_group = config.num_hidden_layers / config.num_hidden_groups
    return [layer for i in range(config.num_hidden_layers) for layer in groups[int(i / per_group)]]


def _head(kind: str, model: Any) -> tuple[nn.Linear, Activation, nn.Linear]:  # noqa: ANN401 - one of six
    if kind.startswith("Electra"):
        return model.classifier.dense, "gelu", model.classifier.out_proj
    if "Roberta" in kind:
        return model.classifier.dense, "tanh", model.classifier.out_proj
    pooler = model.base_model.pooler
    return getattr(pooler, "dense", pooler), "tanh", model.classifier
