"""Distillation losses: by hand, against torch, against the papers, and what padding may change."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F  # noqa: N812 - the field's usual name

from attar.distillation.dynamic import cwsm_temperature, flsw_temperature
from attar.distillation.losses.attention import (
    attention_ce,
    attention_ce_mean,
    attention_mse,
    attention_mse_sum,
)
from attar.distillation.losses.hidden import cosine_loss, flow_loss, gram_loss, hidden_mse, pkd_loss
from attar.distillation.losses.logits import logit_mse, soft_cross_entropy, soft_label_loss
from attar.distillation.losses.masked import lengths_of, pair_share, token_share
from attar.distillation.losses.relations import (
    contrastive_loss,
    relation_heads,
    relation_loss,
    rkd_angle_loss,
    rkd_distance_loss,
)

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


# Without T^2, and on the logits -----------------------------------------------------------------


@given(SEEDS, TEMPERATURES)
def test_the_cross_entropy_is_the_divergence_without_the_square_plus_the_teachers_entropy(seed, temperature):
    student, teacher = pairs(seed)
    p = F.softmax(teacher / temperature, dim=-1)
    entropy = -(p * p.clamp(min=1e-30).log()).sum(-1)
    expected = soft_label_loss(student, teacher, temperature) / temperature**2 + entropy
    torch.testing.assert_close(
        soft_cross_entropy(student, teacher, temperature), expected, rtol=1e-3, atol=1e-4
    )


def test_logit_mse_by_hand():
    student, teacher = torch.tensor([[1.0, 3.0], [0.0, 0.0]]), torch.tensor([[3.0, 3.0], [6.0, 2.0]])
    assert logit_mse(student, teacher).tolist() == [2.0, 20.0]
    assert logit_mse(student, teacher, 2.0).tolist() == [0.5, 5.0]


@pytest.mark.parametrize("loss", [soft_label_loss, soft_cross_entropy, logit_mse])
def test_every_example_may_have_its_own_temperature(loss):
    student, teacher = pairs(2)
    temperatures = torch.tensor([0.5, 1.0, 2.0, 4.0, 8.0, 16.0])
    together = loss(student, teacher, temperatures)
    alone = [loss(student[[i]], teacher[[i]], float(t)) for i, t in enumerate(temperatures)]
    torch.testing.assert_close(together, torch.cat(alone))
    torch.testing.assert_close(loss(student, teacher, torch.tensor(3.0)), loss(student, teacher, 3.0))


def test_dynamic_temperatures_cool_what_is_hard():
    teacher = torch.tensor([[4.0, 0.0, 0.0]]).expand(3, 3)
    student = torch.tensor([[4.0, 0.0, 0.0], [1.0, 1.0, 1.0], [0.0, 4.0, 0.0]]).requires_grad_()
    focal = flsw_temperature(student, teacher, 8.0, beta=2.0, gamma=1.0)
    assert focal[0] > focal[1] > focal[2]
    confident = cwsm_temperature(student, 8.0, beta=2.0)
    assert confident[0] == confident[2] > confident[1]
    for temperatures in (focal, confident):
        assert temperatures.mean().item() == pytest.approx(8.0)
        assert not temperatures.requires_grad


# On tokens: padding ------------------------------------------------------------------------------

LENGTHS = (5, 2, 4)
MASK = torch.arange(5) < torch.tensor(LENGTHS)[:, None]
STATES = {
    "hidden_mse": hidden_mse,
    "cosine": cosine_loss,
    "pkd": lambda s, t, _: pkd_loss(s, t),
    "gram": lambda s, t, m: gram_loss((s, s), (t, t), m),
    "gram of a length": lambda s, t, m: gram_loss((s, s), (t, t.flip(-1)), m, length=70),
    "flow": lambda s, t, m: flow_loss((s, s.flip(-1)), (t, t), m),
    "relation": relation_loss,
    "distance": lambda s, t, _: rkd_distance_loss(s, t),
    "angle": lambda s, t, _: rkd_angle_loss(s, t),
    "contrastive": lambda s, t, _: contrastive_loss(s, t),
}
SCORES = {
    "attention_mse": attention_mse,
    "attention_mse_sum": attention_mse_sum,
    "attention_ce": attention_ce,
    "attention_ce_mean": attention_ce_mean,
}
AMONG_EXAMPLES = ("distance", "angle", "contrastive")


def drawn(*shape, seed):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def inputs(name, seed, tokens=5):
    shape = (3, 2, tokens, tokens) if name in SCORES else (3, tokens, 8)
    return drawn(*shape, seed=seed), drawn(*shape, seed=seed + 1)


def longer(values, name, extra, fill):
    return F.pad(values, (0, extra, 0, extra) if name in SCORES else (0, 0, 0, extra), value=fill)


@pytest.mark.parametrize("name", [*STATES, *SCORES])
@settings(max_examples=25)  # of each loss
@given(seed=SEEDS, extra=st.integers(1, 4), fill=st.floats(-1e4, 1e4))
def test_padding_changes_nothing(name, seed, extra, fill):
    loss = (STATES | SCORES)[name]
    student, teacher = inputs(name, seed)
    expected = loss(student, teacher, MASK)
    assert expected.shape == (3,)
    padded = loss(
        longer(student, name, extra, fill), longer(teacher, name, extra, -fill), F.pad(MASK, (0, extra))
    )
    torch.testing.assert_close(padded, expected)

    # Nor does what stands at the positions that are padding already.
    dirty = [x.clone() for x in (student, teacher)]
    for i, length in enumerate(LENGTHS):
        for x, value in zip(dirty, (fill, 2 * fill), strict=True):
            x[i, ..., length:, :] = value
            if name in SCORES:
                x[i, ..., length:] = value
    torch.testing.assert_close(loss(*dirty, MASK), expected)


@pytest.mark.parametrize("name", [*STATES, *SCORES])
@settings(max_examples=25)  # of each loss
@given(seed=SEEDS)
def test_an_example_is_worth_the_same_in_any_batch(name, seed):
    loss = (STATES | SCORES)[name]
    student, teacher = inputs(name, seed)
    together = loss(student, teacher, MASK)
    order = torch.tensor([2, 0, 1])
    torch.testing.assert_close(loss(student[order], teacher[order], MASK[order]), together[order])
    if name not in AMONG_EXAMPLES:
        for i, length in enumerate(LENGTHS):
            cut = [
                x[i : i + 1, :, :length, :length] if name in SCORES else x[i : i + 1, :length]
                for x in (student, teacher)
            ]
            whole = torch.ones(1, length, dtype=torch.bool)
            torch.testing.assert_close(loss(*cut, whole), together[i : i + 1])


@pytest.mark.parametrize("name", sorted({*STATES, *SCORES} - {"pkd", *AMONG_EXAMPLES}))
def test_without_a_mask_padding_counts(name):
    loss = (STATES | SCORES)[name]
    student, teacher = inputs(name, 4)
    assert ((loss(student, teacher, None) - loss(student, teacher, MASK)).abs()[1:] > 1e-4).all()


@pytest.mark.parametrize("name", [*STATES, *SCORES])
def test_equal_models_have_nothing_to_learn(name):
    loss = (STATES | SCORES)[name]
    student, teacher = (x.clone() for x in inputs(name, 5)[:1] * 2)
    student.requires_grad_()
    value = loss(student, teacher, MASK)
    value.sum().backward()
    if name in ("gram of a length", "flow", "contrastive"):  # the two sides are not built alike there
        assert (value > 0).all()
        return
    assert student.grad.abs().max() < 1e-4
    if not name.startswith("attention_ce"):
        assert value.abs().max() < 1e-5


@pytest.mark.parametrize("name", [*STATES, *SCORES])
def test_half_precision_states_are_computed_in_full(name):
    loss = (STATES | SCORES)[name]
    student, teacher = (x.bfloat16() for x in inputs(name, 6))
    value = loss(student, teacher, MASK)
    assert value.dtype == torch.float32
    torch.testing.assert_close(value, loss(student.float(), teacher.float(), MASK))


# By hand -----------------------------------------------------------------------------------------


def test_states_by_hand():
    student = torch.tensor([[[1.0, 0.0], [0.0, 2.0], [9.0, 9.0]]])
    teacher = torch.tensor([[[0.0, 1.0], [0.0, 1.0], [-9.0, 0.0]]])
    mask = torch.tensor([[True, True, False]])
    assert hidden_mse(student, teacher, mask).tolist() == [(2 + 1) / 4]
    assert cosine_loss(student, teacher, mask).tolist() == pytest.approx([(1 + 0) / 2])
    assert pkd_loss(student, teacher).tolist() == pytest.approx([2.0])
    # Grams: student [[1, 0], [0, 4]], teacher [[1, 1], [1, 1]].
    pairs_of = (student, student), (teacher, teacher)
    assert gram_loss(*pairs_of, mask).tolist() == [(0 + 1 + 1 + 9) / 4 / 4]
    assert gram_loss(*pairs_of, mask, length=10).tolist() == pytest.approx([(0 + 1 + 1 + 9) / 4 / 100])
    # Features: student [[1, 0], [0, 4]] / 2, teacher [[0, 0], [0, 2]] / 2.
    assert flow_loss(*pairs_of, mask).tolist() == [(0.25 + 0 + 0 + 1) / 4]


def test_attentions_by_hand():
    student = torch.tensor([[[[0.0, math.log(3.0)], [0.0, 0.0]]]])
    teacher = torch.tensor([[[[0.0, 0.0], [0.0, 0.0]]]])
    mask = torch.ones(1, 2, dtype=torch.bool)
    assert attention_mse(student, teacher, mask).tolist() == pytest.approx([math.log(3.0) ** 2 / 4])
    first = -0.5 * (math.log(0.25) + math.log(0.75))
    assert attention_ce(student, teacher, mask).tolist() == pytest.approx([(first + math.log(2.0)) / 2])


def test_relations_by_hand():
    # Two tokens, one head of width 1: scores x_i x_j.
    student, teacher = torch.tensor([[[1.0], [0.0]]]), torch.tensor([[[0.0], [0.0]]])
    q = math.e / (math.e + 1), 1 / (math.e + 1)
    divergence = 0.5 * math.log(0.5 / q[0]) + 0.5 * math.log(0.5 / q[1])  # of token 0; token 1: even both
    assert relation_loss(student, teacher, None, heads=1).tolist() == pytest.approx([divergence / 2])


@given(SEEDS, st.sampled_from([(6, 4, 2), (8, 12, 4), (5, 7, 1), (6, 6, 6)]))
def test_relations_as_the_paper_writes_them(seed, widths):
    of_student, of_teacher, heads = widths
    student, teacher = drawn(1, 4, of_student, seed=seed), drawn(1, 4, of_teacher, seed=seed + 1)
    divergence = nn.KLDivLoss(reduction="sum")
    total = 0.0
    for a in range(heads):
        relations = []
        for x in (student[0], teacher[0]):
            d = x.shape[1] // heads
            cut = x[:, a * d : (a + 1) * d]
            relations.append((cut @ cut.T / math.sqrt(d)).softmax(-1))
        total += divergence(relations[0].log(), relations[1]).item()
    ours = relation_loss(student, teacher, None, heads=heads)
    assert ours.tolist() == pytest.approx([total / heads / 4], rel=1e-4, abs=1e-6)


def test_relation_heads_divide_both_widths():
    assert relation_heads(384, 768) == 48
    assert relation_heads(312, 768) == 24
    assert relation_heads(312, 384) == 24
    assert relation_heads(128, 768) == 32
    assert relation_heads(35, 64) == 1
    drawn_pair = drawn(2, 3, 24, seed=1), drawn(2, 3, 36, seed=2)
    torch.testing.assert_close(relation_loss(*drawn_pair, None), relation_loss(*drawn_pair, None, heads=12))


def test_distances_between_examples_by_hand():
    # Student 0, 3, 4 on a line: distances 3, 4, 1 with mean 8/3; teacher an even triangle: 1, 1, 1.
    student = torch.tensor([[0.0], [3.0], [4.0]])
    teacher = torch.eye(3)

    def huber(x):
        return x * x / 2 if abs(x) < 1 else abs(x) - 0.5

    off = {(0, 1): 9 / 8 - 1, (0, 2): 12 / 8 - 1, (1, 2): 3 / 8 - 1}
    expected = [
        (huber(off[0, 1]) + huber(off[0, 2])) / 3,
        (huber(off[0, 1]) + huber(off[1, 2])) / 3,
        (huber(off[0, 2]) + huber(off[1, 2])) / 3,
    ]
    assert rkd_distance_loss(student, teacher).tolist() == pytest.approx(expected, rel=1e-5)


def test_angles_between_examples_by_hand():
    # Student 0, 1, 2 on a line: cosines 1, -1, 1; teacher a right angle at the first.
    student = torch.tensor([[0.0, 0.0], [1.0, 0.0], [2.0, 0.0]])
    teacher = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    half = math.sqrt(0.5)
    # Each example sees the pair of the others twice, itself never; the directions agree with themselves.
    expected = [2 * (1 - 0.5) / 9, 2 * (1 + half - 0.5) / 9, 2 * (1 - half) ** 2 / 2 / 9]
    assert rkd_angle_loss(student, teacher).tolist() == pytest.approx(expected, rel=1e-5)


def test_relations_between_examples_know_no_scale_and_no_turn():
    teacher = drawn(6, 5, 4, seed=3)
    turn = torch.linalg.qr(drawn(4, 4, seed=4))[0]
    moved = 7 * teacher @ turn + 3
    assert rkd_distance_loss(moved, teacher).abs().max() < 1e-8
    assert rkd_angle_loss(moved, teacher).abs().max() < 1e-8


def test_contrast_by_hand():
    student, teacher = torch.tensor([[2.0, 0.0], [0.0, 1.0]]), torch.tensor([[1.0, 0.0], [3.0, 0.0]])
    # Cosines: [1, 1] and [0, 0]: the teacher does not tell the examples apart.
    assert contrastive_loss(student, teacher).tolist() == pytest.approx([math.log(2)] * 2)
    # Cosines [1, 0] and [0, 1] at tau 0.5.
    expected = math.log(1 + math.exp(-2))
    assert contrastive_loss(student, torch.eye(2), 0.5).tolist() == pytest.approx([expected] * 2)


@pytest.mark.parametrize("name", AMONG_EXAMPLES)
def test_a_batch_of_one_or_of_equals_teaches_nothing_of_examples_and_breaks_nothing(name):
    for rows in (1, 3):
        student = drawn(1, 2, 8, seed=1).expand(rows, 2, 8).clone().requires_grad_()
        loss = STATES[name](student, drawn(1, 2, 8, seed=2).expand(rows, 2, 8), None)
        loss.sum().backward()
        assert torch.isfinite(student.grad).all()
        assert loss.tolist() == pytest.approx([math.log(rows) if name == "contrastive" else 0.0] * rows)


def test_texts_that_are_equal_but_for_rounding_have_no_direction():
    random = torch.Generator().manual_seed(0)
    teacher = torch.randn(6, 32, generator=random)
    teacher[5] = teacher[4] * (1 + 1e-3)
    student = torch.randn(6, 16, generator=random)
    student[5] = student[4] + 1e-7
    student.requires_grad_()
    rkd_angle_loss(student, teacher).mean().backward()
    assert student.grad.norm() < 1
    # Nearly equal to the student, but not to the teacher.
    student.grad = None
    rkd_angle_loss(student, torch.randn(6, 32, generator=random)).mean().backward()
    assert student.grad.norm() < 1


def test_grams_are_nst_with_a_polynomial_kernel():
    states = torch.randn(2, 5, 8, dtype=torch.float64)
    student, teacher = states.unbind(0)
    # Huang and Wang, equation 5: samples are the dimensions, vectors over the tokens.
    kernel = [[(a.T @ b) ** 2 for b in (student, teacher)] for a in (student, teacher)]
    mmd = (kernel[0][0] + kernel[1][1] - 2 * kernel[0][1]).sum() / 8**2
    found = gram_loss((student[None],) * 2, (teacher[None],) * 2, None)
    assert 5**2 * float(found) == pytest.approx(float(mmd), rel=1e-5)


def test_a_focal_temperature_of_equal_answers_is_finite():
    logits = 5000 * torch.randn(50, 3, generator=torch.Generator().manual_seed(1))
    assert flsw_temperature(logits, logits, 2.0, 1.0, 1.5).isfinite().all()


def test_shares_average_one_and_parts_add_up():
    lengths = lengths_of(MASK)
    assert lengths.tolist() == [5, 2, 4]
    for share in (token_share, pair_share):
        whole = share(lengths)
        assert whole.mean().item() == pytest.approx(1.0)
        torch.testing.assert_close(
            torch.cat([share(lengths[:1], lengths), share(lengths[1:], lengths)]), whole
        )
    assert lengths_of(torch.zeros(1, 4, dtype=torch.bool)).tolist() == [1]
