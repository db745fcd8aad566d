"""What the student minimises: both losses, weighted, looked up by row."""

import numpy as np
import pytest
import torch
from torch import nn

from attar.distillation.losses import soft_label_loss
from attar.distillation.objective import Distillation
from attar.recipe import DistillRecipe
from attar.task import Example, task_by_name
from attar.training.objectives import class_weights, hard_label_loss

TASK = task_by_name("cosmetics")


class Echo(nn.Module):
    """A model whose logits are its input."""

    def forward(self, logits):
        return type("Out", (), {"logits": logits})


@pytest.mark.parametrize(("soft", "hard"), [(1.0, 0.5), (0.3, 0.0), (0.0, 2.0)])
def test_losses_are_weighted_and_looked_up(make_examples, soft, hard):
    examples = make_examples(9)
    teacher = np.random.default_rng(0).normal(size=(9, 3)).astype(np.float32)
    recipe = DistillRecipe(temperature=3, soft_weight=soft, hard_weight=hard, class_weights="balanced")
    objective = Distillation(TASK, examples, teacher, recipe)
    rows, logits = torch.tensor([8, 0, 4, 4]), torch.randn(4, 3)
    losses = objective(Echo(), {"logits": logits}, rows)
    labels = torch.tensor([TASK.index_of(examples[i]) for i in rows])
    weights = class_weights(TASK, examples, "balanced")
    torch.testing.assert_close(
        losses["soft"], soft * soft_label_loss(logits, torch.from_numpy(teacher)[rows], 3.0)
    )
    torch.testing.assert_close(losses["hard"], hard * hard_label_loss(logits, labels, weights))
    assert set(losses) == {"soft", "hard"}
    assert objective.state_dict() == {}


def test_examples_without_a_label_have_soft_labels_only(make_examples):
    labelled = make_examples(6)
    examples = [*labelled, *(Example(e.text, e.start, e.end) for e in make_examples(4, seed=3))]
    teacher = np.random.default_rng(0).normal(size=(10, 3)).astype(np.float32)
    recipe = DistillRecipe(soft_weight=1.0, hard_weight=1.0, class_weights="balanced")
    rows, logits = torch.tensor([2, 7, 9, 5]), torch.randn(4, 3)
    losses = Distillation(TASK, examples, teacher, recipe)(Echo(), {"logits": logits}, rows)
    alone = Distillation(TASK, labelled, teacher[:6], recipe)(
        Echo(), {"logits": logits[[0, 3]]}, rows[[0, 3]]
    )
    assert losses["hard"][[1, 2]].tolist() == [0, 0]
    torch.testing.assert_close(losses["hard"][[0, 3]], alone["hard"])
    assert (losses["soft"] > 0).all()
