"""What is captured is what transformers itself shows, for every architecture and attention kernel."""

import math

import pytest
import torch

from attar.distillation.features import forward_with_features
from attar.errors import RecipeError
from attar.models.checkpoint import batch_to

KINDS = ("bert", "roberta", "electra", "electra-small", "albert", "ernie")
EVERY = {"hidden": (0, 1, 2), "attention": (1, 2), "query": (1, 2), "key": (1, 2), "value": (1, 2)}


@pytest.fixture(params=KINDS)
def checkpoint(request, make_checkpoint):
    return make_checkpoint(request.param)


@pytest.fixture
def inputs(checkpoint, make_examples):
    padded = batch_to(checkpoint, checkpoint.encoder.encode(make_examples(6)))
    assert 0 in padded["attention_mask"]
    return padded


@torch.no_grad()
def test_hidden_states_and_probs_are_those_of_transformers(checkpoint, inputs):
    logits, features = forward_with_features(checkpoint.model, inputs, EVERY, "probs")
    checkpoint.model.set_attn_implementation("eager")
    theirs = checkpoint.model(**inputs, output_hidden_states=True, output_attentions=True)
    torch.testing.assert_close(logits, theirs.logits, rtol=1e-4, atol=1e-5)
    assert list(features["hidden"]) == [0, 1, 2]
    assert list(features["attention"]) == [1, 2]
    for ours, their in zip(features["hidden"].values(), theirs.hidden_states, strict=True):
        torch.testing.assert_close(ours, their, rtol=1e-4, atol=1e-5)
    real = inputs["attention_mask"].bool()
    for ours, their in zip(features["attention"].values(), theirs.attentions, strict=True):
        assert ours.shape == (6, 4, real.shape[1], real.shape[1])
        rows = real[:, None, :].expand(-1, 4, -1)
        torch.testing.assert_close(ours[rows], their[rows], rtol=1e-4, atol=1e-5)
        assert ours[..., :][(~real)[:, None, None, :].expand_as(ours)].abs().max() == 0


@pytest.mark.parametrize("kernel", ["eager", "sdpa"])
@torch.no_grad()
def test_the_kernel_makes_no_difference(checkpoint, inputs, kernel):
    checkpoint.model.set_attn_implementation("eager")
    _, eager = forward_with_features(checkpoint.model, inputs, EVERY)
    checkpoint.model.set_attn_implementation(kernel)
    _, other = forward_with_features(checkpoint.model, inputs, EVERY)
    real = inputs["attention_mask"].bool()
    for name in ("hidden", "query", "key", "value"):
        for ours, theirs in zip(eager[name].values(), other[name].values(), strict=True):
            torch.testing.assert_close(ours[real], theirs[real], rtol=1e-4, atol=1e-4)


@torch.no_grad()
def test_scores_are_scaled_products_and_their_softmax_the_probs(checkpoint, inputs):
    _, features = forward_with_features(checkpoint.model, inputs, EVERY, "scores")
    _, probs = forward_with_features(checkpoint.model, inputs, EVERY, "probs")
    query, key = (x.view(6, -1, 4, 8)[2, :, 1] for x in (features["query"][2], features["key"][2]))
    count = int(inputs["attention_mask"][2].sum())
    by_hand = query @ key.T / math.sqrt(8)
    torch.testing.assert_close(features["attention"][2][2, 1, :, :count], by_hand[:, :count])
    torch.testing.assert_close(features["attention"][2][2, 1, :, count:], by_hand[:, count:] - 10000)
    torch.testing.assert_close(features["attention"][1].softmax(-1), probs["attention"][1])


@torch.no_grad()
def test_sums_over_the_heads(checkpoint, inputs):
    for form in ("scores", "probs"):
        _, apart = forward_with_features(checkpoint.model, inputs, EVERY, form)
        _, summed = forward_with_features(checkpoint.model, inputs, EVERY, f"{form}_sum")
        torch.testing.assert_close(summed["attention"][2], apart["attention"][2].sum(1))


def test_only_what_is_wanted_is_kept(checkpoint, inputs):
    _, features = forward_with_features(checkpoint.model, inputs, {"hidden": (2,), "value": (1,)})
    assert {name: list(layers) for name, layers in features.items()} == {"hidden": [2], "value": [1]}
    _, features = forward_with_features(checkpoint.model, inputs, {"attention": (2,)})
    assert {name: list(layers) for name, layers in features.items()} == {"attention": [2]}
    # No hook stays behind.
    linears = [m for m in checkpoint.model.modules() if isinstance(m, torch.nn.Linear)]
    assert not any(linear._forward_hooks for linear in linears)


def test_gradients_flow_through_what_was_captured(checkpoint, inputs):
    _, features = forward_with_features(checkpoint.model.train(), inputs, EVERY)
    table = checkpoint.model.get_input_embeddings().weight
    for states in (features["hidden"][2], features["attention"][2], features["value"][1]):
        checkpoint.model.zero_grad()
        states.square().sum().backward(retain_graph=True)
        assert table.grad.abs().sum() > 0


def test_a_shared_layer_speaks_once_for_each_layer(make_checkpoint, make_examples):
    checkpoint = make_checkpoint("albert")
    inputs = batch_to(checkpoint, checkpoint.encoder.encode(make_examples(3)))
    with torch.no_grad():
        _, features = forward_with_features(checkpoint.model, inputs, EVERY)
        layer = checkpoint.model.albert.encoder.albert_layer_groups[0].albert_layers[0].attention
        for number in (0, 1):
            torch.testing.assert_close(features["query"][number + 1], layer.query(features["hidden"][number]))
    assert not torch.allclose(features["query"][1], features["query"][2])


def test_half_precision_is_given_in_single(make_checkpoint, make_examples):
    checkpoint = make_checkpoint()
    inputs = batch_to(checkpoint, checkpoint.encoder.encode(make_examples(3)))
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        _, features = forward_with_features(checkpoint.model, inputs, EVERY)
    assert {x.dtype for group in features.values() for x in group.values()} == {torch.float32}


def test_an_architecture_without_separate_queries_is_refused(make_model):
    class Fused(torch.nn.Module):
        config = make_model("bert").config

    with pytest.raises(RecipeError, match=r"Fused: .*only matches of hidden states"):
        forward_with_features(Fused(), {}, {"query": (1,)})
