"""Quantised models: the simulation that trains them, what training gains, and their size."""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import onnx
import pytest
import torch

from attar.export.graph import build_graph
from attar.export.observers import Observers
from attar.export.qat import FakeQuantLinear, fake_quantised
from attar.export.quant_params import ActivationRange, QuantParams, weight_scales
from attar.export.quantisation import fake_quant_layers, qat_settings, train_quantization_aware
from attar.export.weights import linear_layers, linear_modules, read_weights
from attar.models.checkpoint import predict_logits
from attar.recipe.load import ExportRecipe
from attar.scoring.session import OnnxModel
from attar.text.encoding import InputSpec

ARCHITECTURES = ("bert", "roberta", "ernie", "electra", "albert")


def _logits(proto, made, examples):
    model = OnnxModel(proto.SerializeToString(), pad=0, spec=made.encoder.spec)
    return model.logits(made.encoder.encode(examples))


def _copied(made):
    return replace(made, model=copy.deepcopy(made.model))


@pytest.mark.parametrize("kind", ARCHITECTURES)
def test_the_simulation_computes_what_the_int8_graph_does(checkpoint, quantized, examples, kind):
    made = checkpoint(kind)
    model = quantized(kind)
    wanted, exact = _logits(model.graph(), made, examples), predict_logits(made, examples)
    student = _copied(made)
    layers = list(fake_quant_layers(model, student))
    assert len(layers) == len({id(module) for module in linear_modules(student.model).values()})
    with fake_quantised(student.model.get_input_embeddings(), layers):
        found = predict_logits(student, examples)
    # One value on the other side of a rounding step changes all that follow.
    assert np.median(np.abs(found - wanted).max(1)) < 0.1 * np.median(np.abs(exact - wanted).max(1))
    plain = predict_logits(student, examples)
    assert np.abs(plain - found).max() > 1e-3
    np.testing.assert_allclose(plain, exact, atol=0.3 * np.abs(exact).max())


def test_a_simulated_layer_is_restored(checkpoint, quantized, examples):
    made = checkpoint("bert")
    before = predict_logits(made, examples[:5])
    student = _copied(made)
    layers = list(fake_quant_layers(quantized("bert"), student))
    with pytest.raises(ZeroDivisionError), fake_quantised(student.model.get_input_embeddings(), layers):
        raise ZeroDivisionError
    assert not any("forward" in module.__dict__ for module in student.model.modules())
    np.testing.assert_array_equal(predict_logits(made, examples[:5]), before)


def test_gradients_pass_straight_through_within_the_range():
    ones = torch.ones(2)
    simulated = FakeQuantLinear(
        shift=torch.tensor([1.0, 0.0]), scale=2 * ones, input_scale=torch.tensor(0.1),
        zero_point=torch.tensor(100.0), weight_scales=torch.full((3,), 0.01), limits=127 * ones,
    )  # fmt: skip
    inputs = torch.tensor([[1.51, 500.0]], requires_grad=True)
    weight = torch.tensor([[0.1, 0.2], [0.3, 9.0], [0.0, -0.1]], requires_grad=True)
    bias = torch.zeros(3, requires_grad=True)
    out = simulated(inputs, weight, bias)
    # (1.51 - 1) / 2 = 0.255 -> 0.3; 500 is clipped to 255 = 15.5; 2 * 9 to 127 * 0.01.
    values = torch.tensor([0.3, 15.5])
    weights = torch.tensor([[0.2, 0.4], [0.6, 1.27], [0.0, -0.2]])
    torch.testing.assert_close(out, (weights @ values + weight.detach() @ simulated.shift)[None])
    out.sum().backward()
    torch.testing.assert_close(inputs.grad, torch.tensor([[0.8 / 2, 0.0]]))
    wanted = 2 * values.repeat(3, 1) + simulated.shift
    wanted[1, 1] = 0.0
    torch.testing.assert_close(weight.grad, wanted)


def _coarse(model):
    """The same model at about four bits, so that there is something to learn."""
    observers = Observers(build_graph(model.weights, model.calibration.spec), model.calibration)
    params = {}
    for name, own in model.params.items():
        low, high = own.input_range
        wide = ActivationRange(16 * low, 16 * high) if name.endswith("outer") else own.input_range
        coarse = QuantParams(wide, 12 * own.scales, own.splits)
        params[name] = replace(coarse, quantised=coarse.quantise(observers.weights[name]))
    return replace(model, params=params)


def test_training_brings_int8_closer_and_leaves_the_checkpoint_alone(
    checkpoint, quantized, examples, tmp_path
):
    made = checkpoint("bert")
    model = _coarse(quantized("bert"))
    exact = predict_logits(made, examples)
    weights = {name: value.clone() for name, value in made.model.state_dict().items()}
    settings = qat_settings(ExportRecipe(qat_epochs=12, qat_learning_rate=1e-3))
    trained = train_quantization_aware(model, made, examples, examples[:40], settings, tmp_path)
    before, after = (np.linalg.norm(_logits(one.graph(), made, examples) - exact) for one in (model, trained))
    assert after < 0.7 * before
    assert trained.equalisation is model.equalisation
    assert all(torch.equal(weights[name], value) for name, value in made.model.state_dict().items())
    assert (tmp_path / "metrics.jsonl").read_text("utf-8").count("dev/score") == 12


def test_a_t4_tiny_with_5000_tokens_is_at_most_7_5_megabytes(make_model):
    shape = {"hidden_size": 312, "num_hidden_layers": 4, "num_attention_heads": 12, "intermediate_size": 1200}
    weights = read_weights(make_model(vocab_size=5000, **shape))
    spec = InputSpec("marked_pair", 70, None, token_types=True, pooling="entity_start")
    params = {}
    for name, linear in linear_layers(weights).items():
        splits = np.ones(len(linear.weight), np.int64)
        if name.endswith("outer"):
            splits[0] += 12
        params[name] = QuantParams(ActivationRange(-1, 1), weight_scales(linear.weight, splits), splits)
    proto = build_graph(weights, spec, params)
    assert 6e6 < len(proto.SerializeToString()) <= 7.5e6
    assert [(entry.domain, entry.version) for entry in proto.opset_import] == [("", 21), ("com.microsoft", 1)]
    words = next(constant for constant in proto.graph.initializer if constant.name == "words")
    assert words.data_type == onnx.TensorProto.INT8
