"""Fast CPU kernels: the same dropout and attention as torch, but for the random draws."""

import contextlib

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from transformers.integrations import sdpa_attention
from transformers.integrations.sdpa_attention import sdpa_attention_forward

from attar.training import fast_cpu
from attar.training.fast_cpu import fast_cpu_kernels, fast_dropout

KINDS = ("bert", "roberta", "ernie", "electra", "albert")


def batch(checkpoint, examples):
    from attar.models.checkpoint import batch_to

    return batch_to(checkpoint, checkpoint.encoder.encode(examples))


@given(
    shape=st.lists(st.integers(1, 7), min_size=1, max_size=4),
    share=st.floats(0, 0.95),
    dtype=st.sampled_from([torch.float32, torch.bfloat16]),
)
def test_a_value_is_zeroed_or_scaled_up(shape, share, dtype):
    torch.manual_seed(1)
    values = torch.ones(shape, dtype=dtype)
    found = fast_dropout(values, share)
    assert (found.dtype, found.shape) == (dtype, values.shape)
    shown = found[found != 0]
    torch.testing.assert_close(shown, torch.full_like(shown, 1 / (1 - share)), rtol=0.01, atol=0)


@pytest.mark.parametrize("share", [0.1, 0.5])
def test_the_share_and_the_expectation(share):
    torch.manual_seed(2)
    count = 1_000_000
    found = fast_dropout(torch.ones(count), share)
    deviation = (share * (1 - share) / count) ** 0.5
    assert abs(float((found == 0).float().mean()) - share) < 5 * deviation
    assert abs(float(found.mean()) - 1) < 5 * deviation / (1 - share)
    # Four values share a draw: neighbours must be independent.
    hidden = (found == 0).float().view(-1, 4) - share
    correlations = (hidden.T @ hidden / len(hidden)) / (share * (1 - share)) - torch.eye(4)
    assert float(correlations.abs().max()) < 0.01


def test_gradients_pass_where_values_passed():
    values = torch.randn(5, 7, requires_grad=True)
    torch.manual_seed(3)
    found = fast_dropout(values, 0.5)
    found.backward(torch.ones_like(found))
    torch.testing.assert_close(values.grad, torch.where(found == 0, 0.0, 2.0))


@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize(("dtype", "dropout"), [(torch.float32, 1e-9), (torch.bfloat16, 0.0)])
def test_the_attention_is_torchs(padded, dtype, dropout, monkeypatch):
    """With nothing to hide, the plain products' values and gradients are those of torch's own kernel."""
    module = nn.Module()
    module.is_causal = False
    draw = torch.Generator().manual_seed(4)
    states = [torch.randn(3, 2, 6, 8, generator=draw).to(dtype).requires_grad_() for _ in range(3)]
    mask = None
    if padded:
        mask = (torch.arange(6) < torch.tensor([6, 3, 1])[:, None])[:, None, None].expand(-1, -1, 6, -1)
    expected, _ = sdpa_attention_forward(module, *states, mask, scaling=0.3)
    monkeypatch.setattr(sdpa_attention, "sdpa_attention_forward", None)
    found, _ = fast_cpu._attention(module, *states, mask, dropout=dropout, scaling=0.3)
    close = {} if dtype == torch.float32 else {"rtol": 0.05, "atol": 0.05}
    torch.testing.assert_close(found, expected, **close)
    for ours, theirs in zip(
        torch.autograd.grad(found.square().sum(), states),
        torch.autograd.grad(expected.square().sum(), states),
        strict=True,
    ):
        torch.testing.assert_close(ours, theirs, **close)


def test_torchs_kernel_is_kept_where_it_is_faster():
    module = nn.Module()
    module.is_causal = False
    for dtype, gradient in ((torch.float32, True), (torch.bfloat16, False)):
        states = [torch.randn(1, 2, 3, 4).to(dtype).requires_grad_(gradient) for _ in range(3)]
        found, _ = fast_cpu._attention(module, *states, None, scaling=0.3)
        assert torch.equal(found, sdpa_attention_forward(module, *states, None, scaling=0.3)[0])


@pytest.mark.parametrize("kind", KINDS)
def test_only_the_draws_of_a_training_differ(kind, make_checkpoint, make_examples):
    checkpoint = make_checkpoint(kind, dropout=0.3)
    model, inputs = checkpoint.model, batch(checkpoint, make_examples(6))
    before = model(**inputs).logits
    names = list(model.state_dict())
    with fast_cpu_kernels(model):
        assert not any(type(module) is nn.Dropout for module in model.modules())
        assert list(model.state_dict()) == names
        assert torch.equal(model(**inputs).logits, before)  # evaluation mode: nothing is hidden
        model.train()
        seen = []
        for seed in (1, 1, 2):
            torch.manual_seed(seed)
            seen.append(model(**inputs).logits)
        assert torch.equal(seen[0], seen[1])
        assert not torch.allclose(seen[0], seen[2])
    assert not any(type(module) is fast_cpu._FastDropout for module in model.modules())
    assert model.config._attn_implementation == "sdpa"
    model.eval()
    assert torch.equal(model(**inputs).logits, before)
    assert not any(module.training for module in model.modules())


def test_the_expected_loss_is_that_of_torch(make_checkpoint, make_examples):
    """Means over many draws of what a model says with torch's dropout and with this."""
    checkpoint = make_checkpoint(dropout=0.2)
    model, inputs = checkpoint.model.train(), batch(checkpoint, make_examples(4))
    means, spreads = [], []
    for context in (contextlib.nullcontext(), fast_cpu_kernels(model)):
        torch.manual_seed(5)
        with context, torch.no_grad():
            drawn = torch.stack([model(**inputs).logits for _ in range(300)])
        means.append(drawn.mean(0))
        spreads.append(drawn.std(0))
    error = (spreads[0] ** 2 + spreads[1] ** 2).sqrt() / 300**0.5
    assert float(((means[0] - means[1]) / error).abs().max()) < 5
    assert float((spreads[0] / spreads[1]).log().abs().max()) < 0.35


def test_it_goes_when_a_training_fails(make_checkpoint):
    model = make_checkpoint(dropout=0.1).model
    with pytest.raises(RuntimeError, match="stop"), fast_cpu_kernels(model):
        raise RuntimeError("stop")
    assert sum(type(module) is nn.Dropout for module in model.modules()) > 0
    assert model.config._attn_implementation == "sdpa"


def test_another_attention_is_left_alone(make_checkpoint, make_examples):
    checkpoint = make_checkpoint(dropout=0.1)
    model = checkpoint.model
    model.set_attn_implementation("eager")
    with fast_cpu_kernels(model):
        assert model.config._attn_implementation == "eager"
        model.train()(**batch(checkpoint, make_examples(2)))
    assert model.config._attn_implementation == "eager"
