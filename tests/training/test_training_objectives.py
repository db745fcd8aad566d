"""Cross-entropy and its variants for rare labels, by hand and against torch and scikit-learn."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import log_loss
from sklearn.utils.class_weight import compute_class_weight
from torch import nn

from attar.recipe.load import FitRecipe
from attar.task import Example, Task
from attar.training.objectives import (
    HardLabels,
    LabelLoss,
    class_weights,
    focal_loss,
    hard_label_loss,
    label_log_shares,
    logit_adjusted_loss,
)

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
    objective = HardLabels(TASK, rows, FitRecipe(class_weights="balanced"))
    logits = torch.randn(3, 3)
    chosen = torch.tensor([3, 0, 2])
    losses = objective(Constant(), {"logits": logits}, chosen)
    expected = nn.CrossEntropyLoss(class_weights(TASK, rows, "balanced"), reduction="none")
    assert set(losses) == {"hard"}
    torch.testing.assert_close(losses["hard"], expected(logits, torch.tensor([2, 0, 1])))
    assert objective.state_dict() == {}  # recomputed from the data, never part of a state


def test_label_log_shares_by_hand():
    assert label_log_shares(TASK, examples((1, 2, 5))).exp().tolist() == pytest.approx([1 / 8, 2 / 8, 5 / 8])
    assert label_log_shares(TASK, examples((1, 0, 2))).exp().tolist() == pytest.approx([1 / 4, 1 / 4, 2 / 4])
    halved = [replace(example, weight=0.5) for example in examples((1, 2, 5))]
    torch.testing.assert_close(label_log_shares(TASK, halved), label_log_shares(TASK, examples((1, 2, 5))))


def test_logit_adjusted_loss_by_hand():
    # Equal logits, shares 1/4 and 3/4: the shifted model already gives the rare label 1/4.
    shares = torch.tensor([0.25, 0.75]).log()
    loss = logit_adjusted_loss(torch.zeros(2, 2), torch.tensor([0, 1]), torch.tensor([1.0, 2.0]), shares, 1.0)
    assert loss.tolist() == pytest.approx([math.log(4), 2 * math.log(4 / 3)])
    # tau = 2 shifts by the squares: 1/16 against 9/16.
    loss = logit_adjusted_loss(torch.zeros(1, 2), torch.tensor([0]), torch.ones(2), shares, 2.0)
    assert loss.item() == pytest.approx(math.log(10))


def test_logits_learnt_under_the_adjustment_are_those_of_equally_frequent_labels():
    """One feature, p(x = 1 | a) = 0.8 and p(x = 1 | b) = 0.4, b nine times as frequent as a."""
    shares, table = torch.tensor([0.1, 0.9]), nn.Parameter(torch.zeros(2, 2))
    given = torch.tensor([[0.2, 0.8], [0.6, 0.4]])  # [label, x]
    optimiser = torch.optim.LBFGS([table], max_iter=200, line_search_fn="strong_wolfe")

    def closure():
        optimiser.zero_grad()
        loss = torch.zeros(())
        for label in (0, 1):
            each = logit_adjusted_loss(table, torch.full((2,), label), torch.ones(2), shares.log(), 1.0)
            loss = loss + (shares[label] * given[label] * each).sum()
        loss.backward()
        return loss

    optimiser.step(closure)
    balanced = given.T / given.T.sum(1, keepdim=True)
    torch.testing.assert_close(table.detach().softmax(-1), balanced, atol=1e-3, rtol=0)


def test_focal_loss_by_hand():
    logits = torch.tensor([[0.0, math.log(3.0)], [0.0, math.log(3.0)]])  # p = 1/4, 3/4
    loss = focal_loss(logits, torch.tensor([1, 0]), torch.tensor([10.0, 2.0]), 2.0)
    assert loss.tolist() == pytest.approx([2 / 16 * math.log(4 / 3), 10 * 9 / 16 * math.log(4)])


def test_focal_loss_of_what_is_certain_has_a_gradient():
    logits = torch.tensor([[200.0, 0.0], [0.0, 200.0]], requires_grad=True)
    loss = focal_loss(logits, torch.tensor([0, 0]), torch.ones(2), 1.0)
    loss.sum().backward()
    assert loss.tolist() == pytest.approx([0, 200])
    assert torch.isfinite(logits.grad).all()


@given(st.integers(0, 10_000))
def test_without_strength_both_are_cross_entropy(seed):
    generator = torch.Generator().manual_seed(seed)
    logits = 3 * torch.randn(7, 3, generator=generator)
    labels, weights = torch.randint(0, 3, (7,), generator=generator), torch.rand(3, generator=generator)
    plain = hard_label_loss(logits, labels, weights)
    torch.testing.assert_close(focal_loss(logits, labels, weights, 0.0), plain)
    torch.testing.assert_close(logit_adjusted_loss(logits, labels, weights, torch.randn(3), 0.0), plain)
    # A shift that is the same for all labels is none.
    torch.testing.assert_close(logit_adjusted_loss(logits, labels, weights, torch.ones(3), 3.0), plain)
    assert (focal_loss(logits, labels, weights, 2.0) <= plain).all()


def test_the_recipe_names_the_loss():
    rows = [*examples((2, 1, 4)), Example("x", 0, 1)]
    logits, chosen = torch.randn(4, 3), torch.tensor([3, 0, 7, 2])
    labels, weights = torch.tensor([2, 0, 0, 1]), class_weights(TASK, rows[:-1], "sqrt")
    shares = label_log_shares(TASK, rows[:-1])
    expected = {
        "ce": hard_label_loss(logits, labels, weights),
        "logit_adjusted": logit_adjusted_loss(logits, labels, weights, shares, 0.7),
        "focal": focal_loss(logits, labels, weights, 1.5),
    }
    for kind, loss in expected.items():
        recipe = FitRecipe(hard_loss=kind, adjust_tau=0.7, focal_gamma=1.5)
        found = LabelLoss(TASK, rows, recipe)(logits, chosen)
        assert found[2] == 0  # it has no label
        torch.testing.assert_close(found[[0, 1, 3]], loss[[0, 1, 3]])
