"""Frozen layers computed once, and a last layer for one token: the same logits and gradients."""

import logging

import numpy as np
import pytest
import torch

from attar.errors import RecipeError
from attar.models.checkpoint import batch_to, predict_logits
from attar.models.encoders import freeze_first
from attar.training.frozen import FrozenLayers, trainable_part

KINDS = ("bert", "roberta", "electra", "electra-small", "ernie")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("num_frozen", [0, 1, 2])
def test_the_trainable_part_gives_the_same_logits(make_checkpoint, make_examples, kind, num_frozen):
    whole, examples = make_checkpoint(kind), make_examples(20)
    expected = predict_logits(whole, examples)
    part = trainable_part(whole, num_frozen, bf16=False)
    np.testing.assert_allclose(predict_logits(part, examples), expected, atol=1e-5)
    if num_frozen:
        part.inputs.precompute(whole.encoder.encode(examples), torch.device("cpu"))
        np.testing.assert_allclose(predict_logits(part, examples), expected, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("num_frozen", [0, 1])
def test_it_gives_the_whole_model_the_same_gradients(make_checkpoint, make_examples, kind, num_frozen):
    whole, examples = make_checkpoint(kind), make_examples(9)
    if num_frozen:
        freeze_first(whole.model, num_frozen)
    encodings = whole.encoder.encode(examples)
    found = []
    for checkpoint in (whole, trainable_part(whole, num_frozen, bf16=False)):
        whole.model.zero_grad()
        logits = checkpoint.model(**batch_to(checkpoint, encodings)).logits
        (logits * torch.arange(3.0)).square().sum().backward()
        found.append({n: p.grad.clone() for n, p in whole.model.named_parameters() if p.grad is not None})
    first, second = found
    # A gradient of 0 and none are the same to an optimiser without decay of it.
    assert {name for name, grad in first.items() if grad.any()} == {n for n, g in second.items() if g.any()}
    for name, gradient in second.items():
        torch.testing.assert_close(gradient, first[name], rtol=1e-3, atol=2e-4)


def test_training_the_part_trains_the_whole_and_keeps_its_parameter_names(make_checkpoint, make_examples):
    whole, examples = make_checkpoint(), make_examples(6)
    names = list(whole.model.state_dict())
    part = trainable_part(whole, 1, bf16=False)
    with torch.no_grad():
        for parameter in part.model.parameters():
            parameter.mul_(1.1)
    assert list(whole.model.state_dict()) == names
    np.testing.assert_allclose(predict_logits(whole, examples), predict_logits(part, examples), atol=1e-5)
    assert "embeddings" not in " ".join(part.model.state_dict())


def test_frozen_layers_are_computed_once(make_checkpoint, make_examples, monkeypatch):
    whole, examples = make_checkpoint(), make_examples(12)
    part, encodings = trainable_part(whole, 1, bf16=False), whole.encoder.encode(examples)
    part.inputs.precompute(encodings, torch.device("cpu"))
    monkeypatch.setattr(part.inputs, "_compute", None)  # a call would fail
    part.inputs.precompute(encodings[:5], torch.device("cpu"))
    predict_logits(part, examples)


def test_they_run_without_dropout(make_checkpoint, make_examples):
    whole, examples = make_checkpoint(dropout=0.5), make_examples(8)
    expected = predict_logits(trainable_part(whole, 1, bf16=False), examples)
    part = trainable_part(whole, 1, bf16=False)
    part.model.train()
    part.inputs.precompute(whole.encoder.encode(examples), torch.device("cpu"))
    np.testing.assert_allclose(predict_logits(part, examples), expected, atol=1e-5)


def test_what_does_not_fit_is_computed_each_time(make_checkpoint, make_examples, caplog):
    whole, examples = make_checkpoint(), make_examples(12)
    encodings = whole.encoder.encode(examples)
    room = sum(4 * 32 * len(e.ids) for e in encodings[:7]) / 1e9
    frozen = FrozenLayers(whole, 1, bf16=False, limit_gb=room)
    with caplog.at_level(logging.WARNING):
        frozen.precompute(encodings, torch.device("cpu"))
    assert "of 5 of 12 examples" in caplog.text
    everything = FrozenLayers(whole, 1, bf16=False)
    everything.precompute(encodings, torch.device("cpu"))
    for name, value in frozen(encodings, "cpu").items():
        torch.testing.assert_close(value, everything(encodings, "cpu")[name], rtol=1e-3, atol=2e-4)


def test_an_albert_is_left_as_it_is(make_checkpoint):
    whole = make_checkpoint("albert")
    assert trainable_part(whole, 0, bf16=False) is whole
    with pytest.raises(RecipeError, match="freeze"):
        trainable_part(whole, 1, bf16=False)
