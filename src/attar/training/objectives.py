"""Learning from labels: weighted cross-entropy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812 - the field's usual name

from attar.task import Example, Task
from attar.training.fit import Objective

__all__ = ["HardLabels", "class_weights", "hard_label_loss"]


def class_weights(
    task: Task, examples: Sequence[Example], kind: Literal["none", "sqrt", "balanced"]
) -> torch.Tensor:
    """Weights [C] of the classes: (N / (C n_c))^p with p = 0, 0.5 or 1; n_c adds up the examples' weights.

    A class without examples weighs 1. Their mean over the examples is 1 for "balanced" and near it
    for "sqrt", so the learning rate keeps its meaning.
    """
    counts = torch.zeros(len(task.labels))
    for example in examples:
        counts[task.index_of(example)] += example.weight
    power = {"none": 0.0, "sqrt": 0.5, "balanced": 1.0}[kind]
    weights = (counts.sum() / (len(counts) * counts.clamp(min=1))) ** power
    return torch.where(counts > 0, weights, torch.ones_like(weights))


def hard_label_loss(logits: torch.Tensor, labels: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """Weighted cross-entropy of each example.

    Args:
        logits: [B, C].
        labels: [B] class indices.
        weights: [C].

    Returns:
        [B]: -weights[y] log softmax(logits)[y]; no reduction.
    """
    return F.cross_entropy(logits.float(), labels, reduction="none") * weights[labels]


class HardLabels(Objective):
    """Cross-entropy with the labels of the training examples, times the examples' own weights."""

    def __init__(
        self, task: Task, examples: Sequence[Example], kind: Literal["none", "sqrt", "balanced"]
    ) -> None:
        super().__init__()
        labels = torch.tensor([task.index_of(example) for example in examples])
        self.labels = nn.Buffer(labels, persistent=False)
        self.weights = nn.Buffer(class_weights(task, examples, kind), persistent=False)
        shares = torch.tensor([example.weight for example in examples])
        self.shares = nn.Buffer(shares, persistent=False)

    def forward(
        self, model: nn.Module, inputs: dict[str, torch.Tensor], rows: torch.Tensor
    ) -> dict[str, torch.Tensor]:
        """See ``Objective.forward``."""
        loss = hard_label_loss(model(**inputs).logits, self.labels[rows], self.weights)
        return {"hard": loss * self.shares[rows]}
