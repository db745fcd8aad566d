"""Weighted cross-entropy, by hand and against torch and scikit-learn."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import log_loss
from sklearn.utils.class_weight import compute_class_weight
from torch import nn

from attar.task import Example, Task
from attar.training.objectives import HardLabels, class_weights, hard_label_loss

TASK = Task("t", ("a", "b", "c"))


def examples(counts):
    return [Example("x", 0, 1, label) for label, n in zip(TASK.labels, counts, strict=True) for _ in range(n)]


def test_class_weights_by_hand():
    rows = examples((1, 2, 6))  # N / (C n) = 3, 1.5, 0.5
    assert class_weights(TASK, rows, "none").tolist() == [1, 1, 1]
    assert class_weights(TASK, rows, "balanced").tolist() == [3, 1.5, 0.5]
    assert class_weights(TASK, rows, "sqrt").tolist() == pytest.approx([3**0.5, 1.5**0.5, 0.5**0.5])


def test_a_class_without_examples_weighs_one():
    for kind in ("none", "sqrt", "balanced"):
        weights = class_weights(TASK, examples((4, 0, 4)), kind)
        assert weights[1] == 1
        assert torch.isfinite(weights).all()


@given(st.lists(st.integers(1, 40), min_size=3, max_size=3))
def test_balanced_is_that_of_scikit_learn(counts):
    rows = examples(counts)
    theirs = compute_class_weight("balanced", classes=np.array(TASK.labels), y=[e.label for e in rows])
    ours = class_weights(TASK, rows, "balanced")
    np.testing.assert_allclose(ours.numpy(), theirs, rtol=1e-6)
    assert (ours * torch.tensor(counts)).sum().item() / sum(counts) == pytest.approx(1, rel=1e-5)


def test_hard_label_loss_by_hand():
    logits = torch.tensor([[0.0, math.log(3.0)], [1.0, 1.0]])
    loss = hard_label_loss(logits, torch.tensor([1, 0]), torch.tensor([10.0, 2.0]))
    assert loss.tolist() == pytest.approx([2 * math.log(4 / 3), 10 * math.log(2)])


@given(st.integers(0, 10_000))
def test_hard_label_loss_is_that_of_torch_and_scikit_learn(seed):
    generator = torch.Generator().manual_seed(seed)
    logits = 3 * torch.randn(7, 3, generator=generator)
    labels = torch.randint(0, 3, (7,), generator=generator)
    weights = torch.rand(3, generator=generator) + 0.1
    ours = hard_label_loss(logits, labels, weights)
    torch.testing.assert_close(ours, nn.CrossEntropyLoss(weights, reduction="none")(logits, labels))
    plain = hard_label_loss(logits, labels, torch.ones(3))
    probs = logits.double().softmax(-1)
    expected = log_loss(labels, probs / probs.sum(-1, keepdim=True), labels=[0, 1, 2], normalize=False)
    assert plain.sum().item() == pytest.approx(expected, rel=1e-5)


def test_half_precision_is_computed_in_full():
    logits = torch.tensor([[30.0, 0.0]], dtype=torch.bfloat16)
    loss = hard_label_loss(logits, torch.tensor([0]), torch.ones(2))
    assert loss.dtype == torch.float32
    assert 0 <= loss.item() < 1e-6


def test_the_objective_looks_labels_up_by_row():
    class Constant(nn.Module):
        def forward(self, logits):
            return type("Out", (), {"logits": logits})

    rows = examples((2, 1, 1))
    objective = HardLabels(TASK, rows, "balanced")
    logits = torch.randn(3, 3)
    chosen = torch.tensor([3, 0, 2])
    losses = objective(Constant(), {"logits": logits}, chosen)
    expected = nn.CrossEntropyLoss(class_weights(TASK, rows, "balanced"), reduction="none")
    assert set(losses) == {"hard"}
    torch.testing.assert_close(losses["hard"], expected(logits, torch.tensor([2, 0, 1])))
    assert objective.state_dict() == {}  # made anew from the data, never part of a state
