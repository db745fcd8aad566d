"""The int8 form, the training that learns it, and the file that holds it."""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import onnx
import pytest
import torch

from attar.export.graph import build_graph
from attar.export.observers import Observers
from attar.export.qat import RoundedLinear, rounded_forward
from attar.export.quant_params import ActivationRange, QuantParams, weight_steps
from attar.export.quantisation import TuningData, _rounded_layers, train_quantization_aware
from attar.export.weights import linear_modules, read_weights
from attar.models.checkpoint import predict_logits
from attar.recipe.load import DistillRecipe
from attar.scoring.session import OnnxModel
from attar.text.encoding import InputSpec

ARCHITECTURES = ("bert", "roberta", "ernie", "electra", "albert")


def _logits(proto, made, examples):
    model = OnnxModel(proto.SerializeToString(), pad=0, spec=made.encoder.spec)
    return model.logits(made.encoder.encode(examples))


def _copied(made):
    return replace(made, model=copy.deepcopy(made.model))


@pytest.mark.parametrize("kind", ARCHITECTURES)
def test_training_computes_what_the_int8_graph_does(checkpoint, int8_form, examples, kind):
    made = checkpoint(kind)
    form = int8_form(kind)
    wanted, exact = _logits(form.graph(), made, examples), predict_logits(made, examples)
    student = _copied(made)
    layers = list(_rounded_layers(form, student))
    assert len(layers) == len({id(module) for module in linear_modules(student.model).values()})
    with rounded_forward(student.model.get_input_embeddings(), layers):
        found = predict_logits(student, examples)
    # One value that falls on the other side of a rounding moves all that follow it.
    assert np.median(np.abs(found - wanted).max(1)) < 0.1 * np.median(np.abs(exact - wanted).max(1))
    plain = predict_logits(student, examples)
    assert np.abs(plain - found).max() > 1e-3
    np.testing.assert_allclose(plain, exact, atol=0.3 * np.abs(exact).max())


def test_a_changed_layer_is_as_it_was_afterwards(checkpoint, int8_form, examples):
    made = checkpoint("bert")
    before = predict_logits(made, examples[:5])
    student = _copied(made)
    layers = list(_rounded_layers(int8_form("bert"), student))
    with pytest.raises(ZeroDivisionError), rounded_forward(student.model.get_input_embeddings(), layers):
        raise ZeroDivisionError
    assert not any("forward" in module.__dict__ for module in student.model.modules())
    np.testing.assert_array_equal(predict_logits(made, examples[:5]), before)


def test_gradients_pass_straight_through_within_the_range():
    ones = torch.ones(2)
    rounded = RoundedLinear(
        centre=torch.tensor([1.0, 0.0]), width=2 * ones, step=torch.tensor(0.1), zero=torch.tensor(100.0),
        steps=torch.full((3,), 0.01), reach=127 * ones,
    )  # fmt: skip
    inputs = torch.tensor([[1.51, 500.0]], requires_grad=True)
    weight = torch.tensor([[0.1, 0.2], [0.3, 9.0], [0.0, -0.1]], requires_grad=True)
    bias = torch.zeros(3, requires_grad=True)
    out = rounded(inputs, weight, bias)
    # (1.51 - 1) / 2 = 0.255 -> 0.3; 500 is clipped to code 255 = 15.5; 2 * 9 to 127 * 0.01.
    grid = torch.tensor([0.3, 15.5])
    table = torch.tensor([[0.2, 0.4], [0.6, 1.27], [0.0, -0.2]])
    torch.testing.assert_close(out, (table @ grid + weight.detach() @ rounded.centre)[None])
    out.sum().backward()
    torch.testing.assert_close(inputs.grad, torch.tensor([[0.8 / 2, 0.0]]))
    wanted = 2 * grid.repeat(3, 1) + rounded.centre
    wanted[1, 1] = 0.0
    torch.testing.assert_close(weight.grad, wanted)


def _coarse(form):
    """The same form on grids of about four bits, so that there is something to learn."""
    taps = Observers(build_graph(form.weights, form.calibration.spec), form.calibration)
    grids = {}
    for name, grid in form.grids.items():
        low, high = grid.range
        wide = ActivationRange(16 * low, 16 * high) if name.endswith("outer") else grid.range
        coarse = QuantParams(wide, 12 * grid.steps, grid.copies)
        grids[name] = replace(coarse, table=coarse.codes(taps.weights[name]))
    return replace(form, grids=grids)


def test_tuning_brings_int8_nearer_and_leaves_the_checkpoint_alone(checkpoint, int8_form, examples, tmp_path):
    made = checkpoint("bert")
    form = _coarse(int8_form("bert"))
    exact = predict_logits(made, examples)
    before = {name: value.clone() for name, value in made.model.state_dict().items()}
    settings = DistillRecipe(
        epochs=12, learning_rate=1e-3, weight_decay=0, keep="last", precision="fp32", head_init="random"
    )
    data = TuningData(examples, examples[:40], settings, tmp_path)
    tuned = train_quantization_aware(form, made, data)
    plain, learnt = (np.linalg.norm(_logits(one.graph(), made, examples) - exact) for one in (form, tuned))
    assert learnt < 0.7 * plain
    assert tuned.shifts is form.shifts
    assert all(torch.equal(before[name], value) for name, value in made.model.state_dict().items())
    assert (tmp_path / "metrics.jsonl").read_text("utf-8").count("dev/score") == 12


def test_a_t4_tiny_with_5000_tokens_is_at_most_7_5_megabytes():
    from transformers import BertConfig, BertForSequenceClassification

    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=5000, hidden_size=312, num_hidden_layers=4, num_attention_heads=12,
        intermediate_size=1200, num_labels=3,
    )  # fmt: skip
    weights = read_weights(BertForSequenceClassification(config).eval())
    spec = InputSpec("marked_pair", 70, None, token_types=True, pooling="entity_start")
    grids = {}
    for index, layer in enumerate(weights.layers):
        parts = {
            "attention.query": layer.query, "attention.key": layer.key, "attention.value": layer.value,
            "attention.out": layer.attention_out, "inner": layer.inner, "outer": layer.outer,
        }  # fmt: skip
        for part, linear in parts.items():
            copies = np.ones(len(linear.weight), np.int64)
            if part == "outer":
                copies[0] += 12
            steps = weight_steps(linear.weight, copies)
            grids[f"layer.{index}.{part}"] = QuantParams(ActivationRange(-1, 1), steps, copies)
    proto = build_graph(weights, spec, grids)
    assert 6e6 < len(proto.SerializeToString()) <= 7.5e6
    assert [(entry.domain, entry.version) for entry in proto.opset_import] == [("", 21), ("com.microsoft", 1)]
    words = next(constant for constant in proto.graph.initializer if constant.name == "words")
    assert words.data_type == onnx.TensorProto.INT8
