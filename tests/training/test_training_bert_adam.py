"""The original's Adam against plain arithmetic, and what the loop needs of it."""

import copy

import numpy as np
import pytest
import torch
from torch import nn

from attar.recipe.load import FitRecipe
from attar.training.optimisers import BertAdam, build_optimiser

STEPS = 50


class ByHand:
    """One parameter, one step at a time, in double precision."""

    def __init__(self, value, decay, max_norm):
        self.value = value.astype(np.float64)
        self.decay, self.max_norm = decay, max_norm
        self.mean, self.square = np.zeros_like(self.value), np.zeros_like(self.value)

    def step(self, gradient, rate):
        gradient = gradient.astype(np.float64)
        norm = np.sqrt((gradient**2).sum())
        if norm > self.max_norm:
            gradient = gradient * (self.max_norm / (norm + 1e-6))
        self.mean = 0.9 * self.mean + 0.1 * gradient
        self.square = 0.999 * self.square + 0.001 * gradient**2
        update = self.mean / (np.sqrt(self.square) + 1e-6) + self.decay * self.value
        self.value = self.value - rate * update


def parameters(dtype=torch.float32):
    rng = np.random.default_rng(3)
    return [
        nn.Parameter(torch.tensor(rng.normal(0, 0.05, shape), dtype=dtype))
        for shape in ((31, 17), (17,), (5, 3, 2), ())
    ]


def gradients(step, scale):
    rng = np.random.default_rng((7, step))
    return [rng.normal(0, scale, shape) for shape in ((31, 17), (17,), (5, 3, 2), ())]


@pytest.mark.parametrize(("dtype", "closeness"), [(torch.float32, 1e-6), (torch.float64, 1e-11)])
@pytest.mark.parametrize("scale", [1e-4, 0.3, 20.0])
@pytest.mark.parametrize("max_norm", [1.0, 0.1])
def test_fifty_steps_are_those_by_hand(dtype, closeness, scale, max_norm):
    ours = parameters(dtype)
    decays = [0.01, 0.0, 0.01, 0.0]
    theirs = [
        ByHand(p.detach().numpy().copy(), decay, max_norm) for p, decay in zip(ours, decays, strict=True)
    ]
    groups = [{"params": ours[::2], "weight_decay": 0.01}, {"params": ours[1::2], "weight_decay": 0.0}]
    optimiser = BertAdam(groups, 1e-3, max_norm=max_norm)
    for step in range(STEPS):
        rate = 1e-3 * step / STEPS  # as a schedule sets it, the first step at 0
        for group in optimiser.param_groups:
            group["lr"] = rate
        for parameter, reference, gradient in zip(ours, theirs, gradients(step, scale), strict=True):
            parameter.grad = torch.tensor(gradient, dtype=dtype)
            reference.step(parameter.grad.numpy(), rate)
        optimiser.step()
    for parameter, reference in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(parameter.detach().numpy(), reference.value, rtol=0, atol=closeness)
    assert (ours[0] - parameters(dtype)[0]).abs().max() > 1e-4


def test_each_gradient_is_clipped_alone():
    long, short = nn.Parameter(torch.zeros(4)), nn.Parameter(torch.zeros(4))
    long.grad, short.grad = torch.full((4,), 50.0), torch.full((4,), 0.1)
    BertAdam([long, short], 1e-3).step()
    assert float(long.grad.norm()) == pytest.approx(1.0, rel=1e-5)
    assert torch.equal(short.grad, torch.full((4,), 0.1))


def test_parameters_without_a_gradient_stay():
    used, unused = parameters()[0], parameters()[0]
    before = unused.detach().clone()
    optimiser = BertAdam([used, unused], 1e-2)
    used.grad = torch.ones_like(used)
    optimiser.step()
    assert torch.equal(unused, before)
    assert set(optimiser.state) == {used}
    optimiser.zero_grad()
    optimiser.step()
    assert torch.equal(unused, before)


def test_a_state_resumes_exactly(tmp_path):
    def train(values, optimiser, steps):
        for step in steps:
            for parameter, gradient in zip(values, gradients(step, 0.5), strict=True):
                parameter.grad = torch.tensor(gradient, dtype=torch.float32)
            optimiser.step()

    whole = parameters()
    train(whole, BertAdam(whole, 1e-3), range(20))
    first = parameters()
    optimiser = BertAdam(first, 1e-3)
    train(first, optimiser, range(8))
    torch.save([optimiser.state_dict(), [p.detach() for p in first]], tmp_path / "state.pt")
    state, values = torch.load(tmp_path / "state.pt", weights_only=True)
    again = [nn.Parameter(value) for value in values]
    resumed = BertAdam(again, 99.0)
    resumed.load_state_dict(state)
    train(again, resumed, range(8, 20))
    for ours, theirs in zip(again, whole, strict=True):
        assert torch.equal(ours, theirs)


def test_a_closure_is_called_with_gradients():
    value = nn.Parameter(torch.tensor([2.0]))
    optimiser = BertAdam([value], 0.1)

    def closure():
        loss = (value**2).sum()
        loss.backward()
        return loss.item()

    assert optimiser.step(closure) == 4.0
    # The clipped gradient is 1: the first step is 0.1 g / sqrt(0.001 g^2), and the decay.
    assert value.item() == pytest.approx(2 - 0.1 * (0.1 / 0.001**0.5 + 0.01 * 2), rel=1e-4)


def test_long_trainings_keep_the_correction_away():
    """A float32 counter stops at 2^24; the updates must not notice."""
    early, late = nn.Parameter(torch.ones(3)), nn.Parameter(torch.ones(3))
    first, second = BertAdam([early], 1e-3), BertAdam([late], 1e-3)
    for optimiser, parameter in ((first, early), (second, late)):
        parameter.grad = torch.full((3,), 0.2)
        optimiser.step()
    second.state[late]["step"].fill_(2.0**24)
    for optimiser in (first, second):
        optimiser.step()
    assert torch.equal(early, late)


class Layers(nn.Module):
    """Parameters named as transformers names them."""

    def __init__(self):
        super().__init__()
        self.dense = nn.Linear(3, 3)
        self.LayerNorm = nn.LayerNorm(3)
        self.frozen = nn.Linear(3, 3).requires_grad_(False)


@pytest.mark.parametrize("kind", ["adamw", "bert_adam"])
def test_biases_and_norms_do_not_decay(kind):
    model, objective = Layers(), nn.Linear(3, 2)
    optimiser = build_optimiser(
        model, objective, FitRecipe(optimiser=kind, weight_decay=0.3, max_grad_norm=0.7)
    )
    decayed, plain = optimiser.param_groups
    assert [p.shape for p in decayed["params"]] == [model.dense.weight.shape, objective.weight.shape]
    assert (decayed["weight_decay"], plain["weight_decay"]) == (0.3, 0.0)
    assert len(plain["params"]) == 4
    assert isinstance(optimiser, BertAdam) == (kind == "bert_adam")
    assert getattr(optimiser, "max_norm", 0.7) == 0.7


def test_a_scaler_gives_it_true_gradients():
    """Under fp16 the loss is scaled; what is clipped must not be."""
    plain, scaled = nn.Parameter(torch.ones(4)), nn.Parameter(torch.ones(4))
    gradient = torch.tensor([0.3, -0.2, 0.1, 0.05])
    plain.grad = gradient.clone()
    BertAdam([plain], 1e-2).step()
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    optimiser = BertAdam([scaled], 1e-2)
    scaler.scale((scaled * gradient).sum()).backward()
    scaler.step(optimiser)
    assert torch.allclose(plain, scaled, rtol=0, atol=1e-7)
    before = copy.deepcopy(scaled)
    scaler.update()
    optimiser.zero_grad()
    scaler.scale((scaled * torch.inf).sum()).backward()
    scaler.step(optimiser)
    assert torch.equal(before, scaled)
