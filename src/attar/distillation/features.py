"""What a model computes on the way to its logits: hidden states, attentions, queries, keys, values.

``forward_with_features`` runs a BERT, RoBERTa, ERNIE, ELECTRA or ALBERT classifier once and captures
what matches want of it. Queries, keys and values are the outputs of their linear layers, and the
attentions are computed from those, so that it works with every attention kernel, those that never
hold the attentions included. ALBERT's one shared layer is captured once for each layer.
"""

from __future__ import annotations

import contextlib
import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence, Set
from typing import Any

import torch
from torch import nn

from attar.distillation.matches import Feature, Features
from attar.errors import RecipeError
from attar.recipe.load import AttentionForm

__all__ = ["forward_with_features"]

_PROJECTIONS = ("query", "key", "value")
# What the original BERT adds to the score of a padded key.
_PADDED_KEY = -10000.0


def forward_with_features(
    model: nn.Module,
    inputs: dict[str, torch.Tensor],
    layers: Mapping[Feature, Sequence[int]],
    form: AttentionForm = "scores",
) -> tuple[torch.Tensor, Features]:
    """Run a classifier and capture features of some of its layers.

    Args:
        model: A ``transformers`` sequence classifier, bare or wrapped for several processes.
        inputs: Its keyword arguments, [B, T] each.
        layers: Feature -> numbers of the layers to capture; 0 is the embeddings (hidden states only).
        form: What the attentions are. "scores": q k^T / sqrt(d) before the softmax, -10000 added
            at padded keys; "probs": after it, without dropout; "scores_sum" and "probs_sum": their
            sums over the heads.

    Returns:
        Logits [B, C], and the features in single precision; a layer that is not there is left out.

    Raises:
        RecipeError: The architecture has no layers of that kind.
    """
    bare: Any = getattr(model, "module", model)
    needed = layers.keys() & {*_PROJECTIONS}
    if "attention" in layers:
        needed |= {"query", "key"}
    with _captured(bare, needed) as record:
        output = model(**inputs, output_hidden_states="hidden" in layers)
    heads, mask = int(bare.config.num_attention_heads), inputs["attention_mask"]

    def feature_of(feature: Feature, number: int) -> torch.Tensor:
        if feature == "hidden":
            states: torch.Tensor = output.hidden_states[number]
            return states.float()
        if feature == "attention":
            return _attentions(record["query"][number - 1], record["key"][number - 1], heads, mask, form)
        return record[feature][number - 1].float()

    depth = bare.config.num_hidden_layers
    return output.logits, {
        feature: {number: feature_of(feature, number) for number in numbers if number <= depth}
        for feature, numbers in layers.items()
    }


@contextlib.contextmanager
def _captured(model: nn.Module, names: Set[str]) -> Iterator[dict[str, list[torch.Tensor]]]:
    """While it is open, the outputs of the named projections, layer after layer."""
    record: dict[str, list[torch.Tensor]] = defaultdict(list)
    with contextlib.ExitStack() as hooks:
        for module in _attention_modules(model) if names else ():
            for name in names:

                def capture(_module: nn.Module, _inputs: Any, output: torch.Tensor, name: str = name) -> None:  # noqa: ANN401 - torch passes any
                    record[name].append(output)

                hooks.callback(module.get_submodule(name).register_forward_hook(capture).remove)
        yield record


def _attention_modules(model: nn.Module) -> list[nn.Module]:
    modules = [
        module
        for module in model.modules()
        if all(isinstance(getattr(module, name, None), nn.Linear) for name in _PROJECTIONS)
    ]
    if not modules:
        raise RecipeError(
            f"{type(model).__name__}: its layers have no separate query, key and value; only matches of "
            "hidden states are possible"
        )
    return modules


def _attentions(
    queries: torch.Tensor, keys: torch.Tensor, num_heads: int, mask: torch.Tensor, form: AttentionForm
) -> torch.Tensor:
    """[B, T, D] queries and keys -> [B, H, T, T], or [B, T, T] summed over the heads."""
    batch, tokens, width = queries.shape
    q, k = (x.float().view(batch, tokens, num_heads, -1).transpose(1, 2) for x in (queries, keys))
    with torch.autocast(q.device.type, enabled=False):
        scores = q @ k.transpose(-1, -2) / math.sqrt(width // num_heads)
    scores = scores + (1.0 - mask.float())[:, None, None, :] * _PADDED_KEY
    found = scores.softmax(-1) if form.startswith("probs") else scores
    return found.sum(1) if form.endswith("sum") else found
