"""Every loss and every preset against textbrewer 0.2.1.post1, on the same tensors."""

import itertools
import warnings

import pytest
import torch
from torch.nn.functional import pad
from transformers import BertConfig, BertForSequenceClassification

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # textbrewer compares strings by identity
    import textbrewer
    from textbrewer import losses as theirs
    from textbrewer.projections import linear_projection

from attar.distillation.dynamic import WEIGHT_SCHEDULES, cwsm_temperature, flsw_temperature, scheduled_weight
from attar.distillation.losses import attention as attention_losses
from attar.distillation.losses import hidden as hidden_losses
from attar.distillation.losses.logits import logit_mse, soft_cross_entropy
from attar.distillation.losses.masked import lengths_of, pair_share, token_share
from attar.distillation.match_losses import MatchLosses
from attar.distillation.matches import PRESET_MATCHES, with_projections

B, T, D, H = 4, 9, 12, 3
LENGTHS = torch.tensor([9, 4, 7, 1])
MASK = torch.arange(T) < LENGTHS[:, None]
HIDDEN = ((hidden_losses.hidden_mse, theirs.hid_mse_loss), (hidden_losses.cosine_loss, theirs.cos_loss))
ATTENTION = (
    (attention_losses.attention_mse, theirs.att_mse_loss, pair_share),
    (attention_losses.attention_mse_sum, theirs.att_mse_sum_loss, pair_share),
    (attention_losses.attention_ce, theirs.att_ce_loss, token_share),
    (attention_losses.attention_ce_mean, theirs.att_ce_mean_loss, token_share),
)


def close(ours, other):
    torch.testing.assert_close(ours, other, rtol=1e-5, atol=1e-5)


def drawn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def scores(seed, heads=H, mask=MASK):
    """Attention scores as the original's models give them: -10000 on every padded key."""
    return drawn(B, heads, T, T, seed=seed) - 1e4 * (~mask[:, None, None]).float()


def batch_mean(values, share=None):
    return (values if share is None else values * share(lengths_of(MASK))).mean()


# Logits ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("temperature", [1.0, 8.0, torch.tensor([0.5, 2.0, 8.0, 30.0])])
def test_losses_on_logits(temperature):
    logits = 3 * drawn(B, 3, seed=1), 3 * drawn(B, 3, seed=2), temperature
    close(soft_cross_entropy(*logits).mean(), theirs.kd_ce_loss(*logits))
    close(logit_mse(*logits).mean(), theirs.kd_mse_loss(*logits))


@pytest.mark.parametrize(("beta", "gamma"), [(1, 1), (2, 2), (0.5, 3)])
def test_dynamic_temperatures(beta, gamma):
    student, teacher = 3 * drawn(B, 3, seed=3), 3 * drawn(B, 3, seed=4)
    flsw, cwsm = (textbrewer.TEMPERATURE_SCHEDULER[key] for key in (("flsw", beta, gamma), ("cwsm", beta)))
    close(flsw_temperature(student, teacher, 8.0, beta, gamma), flsw(student, teacher, 8.0))
    close(cwsm_temperature(student, 8.0, beta), cwsm(student, teacher, 8.0))


def test_temperatures_stay_above_zero_where_textbrewers_do_not():
    # On purpose: a negative temperature would teach the opposite of what the teacher says.
    unsure, sure = torch.zeros(1, 3), torch.tensor([[50.0, 0.0, 0.0]]).expand(9, 3)
    student = torch.cat([unsure, sure])
    reference = textbrewer.TEMPERATURE_SCHEDULER["cwsm", 2](student, student, 1.0)
    ours = cwsm_temperature(student, 1.0, 2)
    assert reference.min() < 0
    assert ours.min() == pytest.approx(0.1)
    close(ours[1:], reference[1:])


@pytest.mark.parametrize("name", ["linear_decay", "linear_growth"])
def test_weight_schedules(name):
    for progress in (0.0, 0.25, 1.0):
        assert scheduled_weight(name, progress) == textbrewer.WEIGHT_SCHEDULER[name](progress)
    assert set(WEIGHT_SCHEDULES) - set(textbrewer.WEIGHT_SCHEDULER) == {"constant"}
    assert scheduled_weight("constant", 0.7) == 1


# Hidden states -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("ours", "reference"), HIDDEN)
def test_losses_on_states_with_and_without_a_mask(ours, reference):
    student, teacher = drawn(B, T, D, seed=5), drawn(B, T, D, seed=6)
    close(batch_mean(ours(student, teacher, MASK), token_share), reference(student, teacher, mask=MASK))
    close(batch_mean(ours(student, teacher, None)), reference(student, teacher))


def test_first_token():
    student, teacher = drawn(B, T, D, seed=5), drawn(B, T, D, seed=6)
    close(hidden_losses.pkd_loss(student, teacher).mean(), theirs.pkd_loss(student, teacher, MASK))
    vectors = student[:, 0], teacher[:, 0]
    close(hidden_losses.pkd_loss(*vectors).mean(), theirs.pkd_loss(*vectors))


def pairs(width):
    return drawn(B, T, width, seed=7), drawn(B, T, width, seed=8)


def test_gram_matrices():
    student, teacher = pairs(D), pairs(2 * D)
    ours = hidden_losses.gram_loss(student, teacher, MASK, length=T)
    close(batch_mean(ours, pair_share), theirs.mmd_loss(student, teacher, mask=MASK))
    close(hidden_losses.gram_loss(student, teacher, None, length=T).mean(), theirs.mmd_loss(student, teacher))


def test_gram_matrices_do_not_feel_the_padding_as_textbrewers_do():
    # On purpose: theirs divides by the padded length, so the same reviews in a longer batch teach
    # less. Ours gives, from a batch cut to its longest review, what theirs gives from one padded
    # to the original's --max_seq_length.
    student, teacher = pairs(D), pairs(2 * D)
    longer = [tuple(pad(x, (0, 0, 0, 5), value=3.0) for x in side) for side in (student, teacher)]
    padded = pad(MASK, (0, 5))
    reference = theirs.mmd_loss(*longer, mask=padded)
    close(reference * (T + 5) ** 2, theirs.mmd_loss(student, teacher, mask=MASK) * T**2)
    close(batch_mean(hidden_losses.gram_loss(student, teacher, MASK, length=T + 5), pair_share), reference)
    by_width = hidden_losses.gram_loss(student, teacher, MASK)
    close(hidden_losses.gram_loss(*longer, padded), by_width)


def test_flow():
    student, teacher = pairs(D), pairs(D)[::-1]
    masked = hidden_losses.flow_loss(student, teacher, MASK)
    close(masked.mean(), theirs.fsp_loss(student, teacher, mask=MASK))
    close(hidden_losses.flow_loss(student, teacher, None).mean(), theirs.fsp_loss(student, teacher))


# Attentions --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("ours", "reference", "share"), ATTENTION)
def test_losses_on_attention_scores(ours, reference, share):
    student, teacher = scores(9), scores(10)
    close(batch_mean(ours(student, teacher, MASK), share), reference(student, teacher, mask=MASK))
    close(batch_mean(ours(student, teacher, None)), reference(student, teacher))


@pytest.mark.parametrize(("ours", "reference", "share"), ATTENTION)
def test_losses_on_attentions_summed_over_the_heads(ours, reference, share):
    student, teacher = scores(9).sum(1), scores(10).sum(1)
    close(batch_mean(ours(student, teacher, None)), reference(student, teacher))
    if reference in (theirs.att_mse_sum_loss, theirs.att_ce_mean_loss):  # the others cannot, with a mask
        close(batch_mean(ours(student, teacher, MASK), share), reference(student, teacher, mask=MASK))


@pytest.mark.parametrize(("ours", "reference", "share"), [ATTENTION[1], ATTENTION[3]])
def test_losses_on_other_numbers_of_heads(ours, reference, share):
    student, teacher = scores(9, heads=2), scores(10, heads=5)
    close(batch_mean(ours(student, teacher, MASK), share), reference(student, teacher, mask=MASK))


@pytest.mark.parametrize(("ours", "reference", "share"), ATTENTION)
def test_losses_on_attention_probabilities(ours, reference, share):
    student, teacher = scores(9).softmax(-1), scores(10).softmax(-1)
    if share is pair_share:
        close(batch_mean(ours(student, teacher, MASK), share), reference(student, teacher, mask=MASK))
        return
    # On purpose: their softmax of probabilities gives a padded key, whose probability is 0, the
    # weight exp(0), so that padding leaks in. Where there is none, the two agree.
    loss = ours(student, teacher, MASK)
    assert (batch_mean(loss, share) - reference(student, teacher, mask=MASK)).abs() > 0.1
    for i, length in enumerate(LENGTHS):
        alone = [x[i : i + 1, :, :length, :length] for x in (student, teacher)]
        close(loss[i], reference(*alone, mask=torch.ones(1, length)))


@pytest.mark.parametrize(("ours", "reference", "share"), ATTENTION)
def test_padding_hidden_under_the_lowest_number_gives_the_same_and_no_nan(ours, reference, share):
    # transformers adds the lowest float where the original added -10000.
    kept = drawn(B, H, T, T, seed=9), drawn(B, H, T, T, seed=10)
    hidden = torch.zeros(B, 1, 1, T).masked_fill(~MASK[:, None, None], torch.finfo(torch.float32).min)
    student, teacher = (x + hidden for x in kept)
    student.requires_grad_()
    loss = batch_mean(ours(student, teacher, MASK), share)
    loss.backward()
    close(loss.detach(), reference(scores(9), scores(10), mask=MASK))
    assert torch.isfinite(student.grad).all()


# Presets -----------------------------------------------------------------------------------------


def as_theirs(match):
    def layer(number):
        if match.loss not in ("mmd", "nst", "gram", "fsp"):
            return number
        return list(number) if isinstance(number, tuple) else [number, number]

    entry = {
        "feature": match.feature, "loss": match.loss, "weight": match.weight,
        "layer_T": layer(match.teacher_layer), "layer_S": layer(match.student_layer),
    }  # fmt: skip
    return entry | ({"proj": ["linear", *match.projection]} if match.projection else {})


def distiller(matches, folder, teacher=None, student=None, adaptor=None):
    return textbrewer.GeneralDistiller(
        textbrewer.TrainingConfig(device="cpu", output_dir=str(folder)),
        textbrewer.DistillationConfig(temperature=8, intermediate_matches=[as_theirs(m) for m in matches]),
        teacher, student, adaptor, adaptor,
    )  # fmt: skip


def with_the_same_projections(losses, reference):
    for ours, other in zip(losses.projections, reference.projs, strict=True):
        if other is not None:
            ours.load_state_dict(other.state_dict())
            torch.nn.init.normal_(ours.bias)
            other.bias.data.copy_(ours.bias.data)
    return losses


def random_features(width, seed):
    """Of 12 layers, the way each library takes them."""
    hidden = [drawn(B, T, width, seed=seed + k) for k in range(13)]
    attention = [scores(seed + 20 + k) for k in range(12)]
    ours = {"hidden": dict(enumerate(hidden)), "attention": dict(enumerate(attention, 1))}
    return ours, {"hidden": hidden, "attention": [None, *attention]}


@pytest.mark.parametrize("masked", [True, False])
@pytest.mark.parametrize("name", sorted(PRESET_MATCHES))
def test_preset(name, masked, tmp_path):
    matches = PRESET_MATCHES[name]
    width = (matches[0].projection or (768, 768))[0]
    student, student_dict = random_features(width, 100)
    teacher, teacher_dict = random_features(768, 200)
    tensors = [*student["hidden"].values(), *student["attention"].values()]
    for tensor in tensors:
        tensor.requires_grad_()
    reference = distiller(matches, tmp_path)
    losses = with_the_same_projections(MatchLosses(matches, width, 768, max_tokens=T), reference)

    mask = {"inputs_mask": MASK} if masked else {}
    total, parts = reference.compute_loss(student_dict | mask, teacher_dict)
    ours = losses(student, teacher, MASK if masked else None)

    close(torch.stack([value.mean() for value in ours.values()]), torch.stack(list(parts.values())))
    expected = torch.autograd.grad(total, tensors, allow_unused=True)
    got = torch.autograd.grad(sum(value.mean() for value in ours.values()), tensors, allow_unused=True)
    for mine, other in zip(got, expected, strict=True):
        assert (mine is None) == (other is None)
        if mine is not None:
            close(mine, other)
    assert sum(gradient is not None for gradient in expected) >= len(matches)


def test_projections_start_as_textbrewers_do():
    matches = PRESET_MATCHES["L4t_hidden_mse"]
    torch.manual_seed(5)
    ours = MatchLosses(matches, 312, 768).projections
    torch.manual_seed(5)
    reference = [linear_projection(312, 768) for _ in matches]
    for mine, other in zip(ours, reference, strict=True):
        close(mine.weight, other.weight)
        assert mine.bias.abs().max() == other.bias.abs().max() == 0
    assert ours[0].weight.std().item() == pytest.approx(0.02, rel=0.02)


# The whole of `--matches L4t_hidden_mse L4_hidden_smmd --temperature 8` ---------------------------


def tiny(layers, width, seed):
    torch.manual_seed(seed)
    config = BertConfig(
        vocab_size=60, hidden_size=width, num_hidden_layers=layers, num_attention_heads=4,
        intermediate_size=2 * width, max_position_embeddings=T, num_labels=3,
    )  # fmt: skip
    return BertForSequenceClassification(config).eval()


def adaptor(batch, outputs):
    return {"logits": outputs.logits, "hidden": outputs.hidden_states, "inputs_mask": batch["attention_mask"]}


def test_the_readmes_distillation_on_whole_models(tmp_path):
    teacher, student = tiny(12, 32, 1), tiny(4, 24, 2)
    matches = with_projections((*PRESET_MATCHES["L4t_hidden_mse"], *PRESET_MATCHES["L4_hidden_smmd"]), 24, 32)
    batch = {
        "input_ids": torch.randint(5, 60, (B, T), generator=torch.Generator().manual_seed(3)),
        "attention_mask": MASK.long(),
    }
    reference = distiller(matches, tmp_path, teacher, student, adaptor)
    losses = with_the_same_projections(MatchLosses(matches, 24, 32, max_tokens=T), reference)
    trained = [*student.parameters(), *itertools.chain(*(p.parameters() for p in reference.projs if p))]
    total, _ = reference.train_on_batch(batch, {"output_hidden_states": True})
    expected = torch.autograd.grad(total, trained, allow_unused=True)

    ours, aims = (model(**batch, output_hidden_states=True) for model in (student, teacher))
    features = ({"hidden": dict(enumerate(model.hidden_states))} for model in (ours, aims))
    parts = losses(*features, batch["attention_mask"])
    parts["soft"] = soft_cross_entropy(ours.logits, aims.logits, 8.0)
    assert len(parts) == 11
    loss = sum(value.mean() for value in parts.values())
    close(loss, total)
    mine = torch.autograd.grad(loss, [*student.parameters(), *losses.parameters()], allow_unused=True)
    for got, other in zip(mine, expected, strict=True):
        assert (got is None) == (other is None)
        if got is not None:
            close(got, other)
    assert all(parameter.grad is None for parameter in teacher.parameters())
