"""The soft-label loss: by hand, against torch, against the original system's library."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F  # noqa: N812 - the field's usual name

from attar.distillation.losses import soft_label_loss

SEEDS = st.integers(0, 10_000)
TEMPERATURES = st.floats(0.5, 20)


def pairs(seed, scale=3.0, shape=(6, 3)):
    generator = torch.Generator().manual_seed(seed)
    return (scale * torch.randn(2, *shape, generator=generator)).unbind(0)


def test_by_hand():
    # At T = 2 the teacher says 3/4 and 1/4, the student 1/2 and 1/2.
    teacher, student = torch.tensor([[2 * math.log(3.0), 0.0]]), torch.zeros(1, 2)
    expected = 4 * (0.75 * math.log(0.75 / 0.5) + 0.25 * math.log(0.25 / 0.5))
    assert soft_label_loss(student, teacher, 2.0).tolist() == pytest.approx([expected])


@given(SEEDS, TEMPERATURES)
def test_is_torchs_divergence_times_the_square_of_the_temperature(seed, temperature):
    student, teacher = pairs(seed)
    log_q, log_p = (F.log_softmax(logits / temperature, -1) for logits in (student, teacher))
    theirs = nn.KLDivLoss(reduction="none", log_target=True)(log_q, log_p).sum(-1)
    ours = soft_label_loss(student, teacher, temperature)
    assert ours.shape == (6,)
    torch.testing.assert_close(ours, theirs * temperature**2, rtol=1e-4, atol=1e-5)


@given(SEEDS, TEMPERATURES)
def test_is_textbrewers_kd_ce_less_the_teachers_entropy_times_the_square(seed, temperature):
    student, teacher = pairs(seed)

    # textbrewer.losses.kd_ce_loss, with one temperature for the batch: a cross-entropy with soft
    # targets, averaged over the batch, without the factor T^2.
    p_t = F.softmax(teacher / temperature, dim=-1)
    kd_ce = -(p_t * F.log_softmax(student / temperature, dim=-1)).sum(dim=-1).mean()

    # It differs from ours by the teacher's entropy, which no gradient sees, and by T^2.
    entropy = -(p_t * p_t.log()).sum(-1).mean()
    ours = soft_label_loss(student, teacher, temperature).mean()
    torch.testing.assert_close(ours, (kd_ce - entropy) * temperature**2, rtol=1e-3, atol=1e-4)


@given(SEEDS, st.sampled_from([1.0, 2.0, 8.0]))
def test_its_gradient_is_that_of_textbrewer_times_the_square(seed, temperature):
    student, teacher = pairs(seed)
    ours, theirs = (student.clone().requires_grad_() for _ in range(2))
    soft_label_loss(ours, teacher, temperature).mean().backward()
    p_t = F.softmax(teacher / temperature, dim=-1)
    (-(p_t * F.log_softmax(theirs / temperature, dim=-1)).sum(dim=-1).mean()).backward()
    torch.testing.assert_close(ours.grad, theirs.grad * temperature**2, rtol=1e-4, atol=1e-6)


@given(SEEDS)
def test_the_gradient_keeps_its_size_at_high_temperatures(seed):
    # Hinton et al. 2015, section 2.1: for T large against the logits, T^2 times the gradient tends
    # to the difference of the centred logits over C, whatever T is.
    student, teacher = pairs(seed, scale=1.0)
    centred = [logits - logits.mean(-1, keepdim=True) for logits in (student, teacher)]
    limit = (centred[0] - centred[1]) / 3
    for temperature in (100.0, 400.0):
        asked = student.clone().requires_grad_()
        soft_label_loss(asked, teacher, temperature).sum().backward()
        torch.testing.assert_close(asked.grad, limit, rtol=0, atol=0.1)


@given(SEEDS, TEMPERATURES)
def test_is_zero_for_equal_answers_and_never_below(seed, temperature):
    student, teacher = pairs(seed)
    assert (soft_label_loss(student, teacher, temperature) > -1e-5).all()
    shifted = teacher + 7.0  # a constant changes no answer
    assert soft_label_loss(shifted, teacher, temperature).abs().max() < 1e-4 * temperature**2


def test_half_precision_is_computed_in_full():
    student, teacher = (logits.bfloat16() for logits in pairs(1))
    loss = soft_label_loss(student, teacher, 4.0)
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, soft_label_loss(student.float(), teacher.float(), 4.0))


def test_sure_teachers_give_finite_losses():
    loss = soft_label_loss(torch.tensor([[-200.0, 200.0]]), torch.tensor([[200.0, -200.0]]), 1.0)
    assert torch.isfinite(loss).all()
    assert loss.item() == pytest.approx(400.0)
