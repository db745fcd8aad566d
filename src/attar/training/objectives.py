"""Training objectives, and losses of hard labels, also imbalanced ones.

Each loss is a pure function of logits [B, C], labels [B] (class indices) and the classes' weights [C], and
gives [B] without reduction; ``LabelLoss`` computes the one that the recipe names. ``HardLabels`` is the
objective of a teacher and of a student that is fine-tuned without one; distillation adds ``LabelLoss`` to
its own losses.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Literal

import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812 - the field's usual name

from attar.errors import RecipeError
from attar.recipe.load import FitRecipe
from attar.task import Example, Task

__all__ = [
    "HardLabels",
    "LabelLoss",
    "Objective",
    "class_weights",
    "focal_loss",
    "hard_label_loss",
    "label_log_shares",
    "logit_adjusted_loss",
]


class Objective(nn.Module, ABC):
    """What a training minimises: named losses of a batch.

    Subclasses may hold parameters (projections between widths, say); the loop trains them too, and sets
    the first two attributes before each step.

    Attributes:
        progress: Steps done / steps in all.
        batch_lengths: [N] tokens of every example of the global batch, of which ``forward`` gets a part.
        reads_layers: Whether it needs more of the model than its logits.
    """

    progress: float = 0.0
    reads_layers: bool = False
    batch_lengths: torch.Tensor | None = None

    @abstractmethod
    def forward(
        self, model: nn.Module, inputs: dict[str, torch.Tensor], rows: torch.Tensor
    ) -> dict[str, torch.Tensor]:
        """Run the model in the training's precision and compute the losses in fp32.

        Args:
            model: The model in training.
            inputs: Its keyword arguments, [B, T] each.
            rows: [B] indices of the examples, to look their targets up.

        Returns:
            Named losses, [B] each, already weighted: their sum is what is minimised.
        """

    def row_labels(self) -> list[int]:
        """Class index of each training example, for the recipe's ``sampling``.

        Raises:
            RecipeError: The objective has no labels.
        """
        raise RecipeError("this training has no labels to sample by; set sampling = 'shuffled'")


def class_weights(
    task: Task, examples: Sequence[Example], kind: Literal["none", "sqrt", "balanced"]
) -> torch.Tensor:
    """Weights [C] of the classes: (N / (C n_c))^p with p = 0, 0.5 or 1; n_c adds up the examples' weights.

    A class without examples weighs 1. Their mean over the examples is 1 for "balanced" and near it
    for "sqrt", so the learning rate keeps its meaning.
    """
    counts = _label_counts(task, examples)
    power = {"none": 0.0, "sqrt": 0.5, "balanced": 1.0}[kind]
    weights = (counts.sum() / (len(counts) * counts)) ** power
    return torch.where(counts > 0, weights, torch.ones_like(weights))


def label_log_shares(task: Task, examples: Sequence[Example]) -> torch.Tensor:
    """[C]: log(n_c / N), n_c adding up the examples' weights; a label without examples counts as one."""
    counts = _label_counts(task, examples)
    counts = torch.where(counts > 0, counts, torch.ones_like(counts))
    return (counts / counts.sum()).log()


def _label_counts(task: Task, examples: Sequence[Example]) -> torch.Tensor:
    counts = torch.zeros(len(task.labels))
    for example in examples:
        counts[task.index_of(example)] += example.weight
    return counts


def hard_label_loss(logits: torch.Tensor, labels: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """Weighted cross-entropy of each example: -weights[y] log softmax(logits)[y]."""
    return F.cross_entropy(logits.float(), labels, reduction="none") * weights[labels]


def logit_adjusted_loss(
    logits: torch.Tensor, labels: torch.Tensor, weights: torch.Tensor, log_shares: torch.Tensor, tau: float
) -> torch.Tensor:
    """Cross-entropy of logits that are shifted by how frequent their labels are.

    -weights[y] log softmax(logits + tau log pi)[y], pi the labels' shares of the training examples:
    the model need not learn the shares, so that argmax(logits) at tau = 1 is the label under equally
    frequent labels, which minimises the balanced error (Menon et al. 2021, arXiv:2007.07314, equation
    10, where all weights are 1). tau = 0 is ``hard_label_loss``; ``log_shares`` [C] are log pi.
    """
    return hard_label_loss(logits.float() + tau * log_shares, labels, weights)


def focal_loss(
    logits: torch.Tensor, labels: torch.Tensor, weights: torch.Tensor, gamma: float
) -> torch.Tensor:
    """Cross-entropy that counts examples less the better they are classified.

    -weights[y] (1 - p_y)^gamma log p_y with p = softmax(logits) (Lin et al. 2017, arXiv:1708.02002,
    equation 5, its alpha being the weights). gamma = 0 is ``hard_label_loss``; from 1 on the gradient is
    finite everywhere.
    """
    loss = F.cross_entropy(logits.float(), labels, reduction="none")
    return (-torch.expm1(-loss)) ** gamma * loss * weights[labels]


class LabelLoss(nn.Module):
    """The recipe's loss of the training examples' labels, times the examples' weights.

    Args:
        task: Order of the classes.
        examples: The N training examples; one without a label has no loss.
        recipe: Its ``hard_loss``, ``class_weights``, ``adjust_tau`` and ``focal_gamma``.

    Attributes:
        labels: [N] class indices; 0 where there is no label.
        known: [N] whether there is one.
    """

    def __init__(self, task: Task, examples: Sequence[Example], recipe: FitRecipe) -> None:
        super().__init__()
        self.recipe = recipe
        labelled = [example for example in examples if example.label is not None]
        known = torch.tensor([example.label is not None for example in examples])
        labels = [task.index_of(e) if e.label is not None else 0 for e in examples]
        shares = torch.tensor([example.weight for example in examples]) * known
        self.known = nn.Buffer(known, persistent=False)
        self.labels = nn.Buffer(torch.tensor(labels), persistent=False)
        self.shares = nn.Buffer(shares, persistent=False)
        self.weights = nn.Buffer(class_weights(task, labelled, recipe.class_weights), persistent=False)
        self.log_shares = nn.Buffer(label_log_shares(task, labelled), persistent=False)

    def forward(self, logits: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
        """[B] losses of the logits [B, C] of the examples ``rows`` [B]."""
        labels, recipe = self.labels[rows], self.recipe
        match recipe.hard_loss:
            case "ce":
                loss = hard_label_loss(logits, labels, self.weights)
            case "logit_adjusted":
                loss = logit_adjusted_loss(logits, labels, self.weights, self.log_shares, recipe.adjust_tau)
            case "focal":
                loss = focal_loss(logits, labels, self.weights, recipe.focal_gamma)
        return loss * self.shares[rows]


class HardLabels(Objective):
    """``LabelLoss`` and nothing else."""

    def __init__(self, task: Task, examples: Sequence[Example], recipe: FitRecipe) -> None:
        super().__init__()
        self.hard = LabelLoss(task, examples, recipe)

    def forward(
        self, model: nn.Module, inputs: dict[str, torch.Tensor], rows: torch.Tensor
    ) -> dict[str, torch.Tensor]:
        """See ``Objective.forward``."""
        return {"hard": self.hard(model(**inputs).logits, rows)}

    def row_labels(self) -> list[int]:
        """See ``Objective.row_labels``."""
        return [int(label) for label in self.hard.labels]
