"""What a student learns from: soft labels of a teacher and hard labels of people."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from attar.distillation.losses import soft_label_loss
from attar.recipe import DistillRecipe
from attar.task import Example, Task
from attar.training.fit import Objective
from attar.training.objectives import class_weights, hard_label_loss

__all__ = ["Distillation"]


class Distillation(Objective):
    """soft_weight * soft_label_loss + hard_weight * hard_label_loss.

    Args:
        task: Order of the classes.
        examples: The N training examples; one without a label has soft labels only.
        teacher_logits: [N, C], in their order.
        recipe: Temperature, weights of the losses and of the classes.
    """

    def __init__(
        self,
        task: Task,
        examples: Sequence[Example],
        teacher_logits: NDArray[np.float32],
        recipe: DistillRecipe,
    ) -> None:
        super().__init__()
        self.recipe = recipe
        labelled = [example for example in examples if example.label is not None]
        labels = torch.tensor([task.index_of(e) if e.label is not None else 0 for e in examples])
        self.labels = nn.Buffer(labels, persistent=False)
        has_label = torch.tensor([example.label is not None for example in examples])
        self.has_label = nn.Buffer(has_label, persistent=False)
        self.weights = nn.Buffer(class_weights(task, labelled, recipe.class_weights), persistent=False)
        self.teacher_logits = nn.Buffer(torch.from_numpy(teacher_logits), persistent=False)

    def forward(
        self, model: nn.Module, inputs: dict[str, torch.Tensor], rows: torch.Tensor
    ) -> dict[str, torch.Tensor]:
        """See ``Objective.forward``."""
        logits = model(**inputs).logits
        recipe = self.recipe
        soft = soft_label_loss(logits, self.teacher_logits[rows], recipe.temperature)
        hard = hard_label_loss(logits, self.labels[rows], self.weights) * self.has_label[rows]
        return {"soft": recipe.soft_weight * soft, "hard": recipe.hard_weight * hard}
