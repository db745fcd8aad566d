from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from attar.export.calibration import (
    activation_ranges,
    best_range,
    channel_statistics,
    layer_errors,
    tensor_statistics,
)
from attar.export.equalisation import choose_equalisation, equalise
from attar.export.gptq import InverseHessian, gptq, quantise_weights
from attar.export.graph import build_graph, linear_nodes
from attar.export.observers import Calibration, Observers
from attar.export.quant_params import ActivationRange, QuantParams, weight_scales
from attar.export.quantisation import post_training_quantize
from attar.export.weights import read_weights
from attar.scoring.session import OnnxModel


def _calibration(made, examples):
    return Calibration(made.encoder.encode(examples), 0, made.encoder.spec)


def _observers(made, examples, **options):
    calibration = _calibration(made, examples)
    return Observers(build_graph(read_weights(made.model), calibration.spec), calibration, **options)


def _statistics(observers):
    seen = channel_statistics(observers)
    return tensor_statistics(
        observers, {name: (float(one.low.min()), float(one.high.max())) for name, one in seen.items()}
    )


def _ranges(observers):
    return activation_ranges(_statistics(observers), observers.inputs)


def _params(observers):
    ones = {name: np.ones(len(matrix), np.int64) for name, matrix in observers.weights.items()}
    ranges = _ranges(observers)
    return {n: QuantParams(ranges[n], weight_scales(m), ones[n]) for n, m in observers.weights.items()}


def _add_outliers(model):
    """Give one channel of the hidden states and one neuron far larger values than the others."""
    with torch.no_grad():
        for layer in model.base_model.encoder.layer:
            layer.attention.output.LayerNorm.weight[3] *= 40
            layer.attention.output.LayerNorm.bias[5] += 20
            layer.intermediate.dense.weight[0] *= 100
    return model


def _squared_error(values, chosen):
    return float(np.square(chosen.fake_quantise(values.astype(np.float32)) - values).sum())


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10_000), st.floats(1, 200))
def test_best_range_is_no_worse_than_the_extremes(seed, outlier):
    rng = np.random.default_rng(seed)
    values = np.append(rng.normal(size=5000), [outlier, -1.0])
    low, high = min(values.min(), 0.0), max(values.max(), 0.0)
    counts = np.histogram(values, bins=2048, range=(low, high))[0]
    chosen = best_range(counts, low, high)
    assert low <= chosen.low <= 0 <= chosen.high <= high
    assert _squared_error(values, chosen) <= 1.05 * _squared_error(values, ActivationRange(low, high))


def test_best_range_clips_a_lone_outlier():
    values = np.append(np.random.default_rng(0).normal(size=1_000_000), [12.0])
    counts = np.histogram(values, bins=2048, range=(values.min(), 12.0))[0]
    chosen = best_range(counts, float(values.min()), 12.0)
    assert chosen.high < 8
    assert _squared_error(values, chosen) < 0.7 * _squared_error(values, ActivationRange(values.min(), 12.0))


def test_best_range_of_zeros():
    assert best_range(np.zeros(8, np.int64), 0.0, 0.0) == (0.0, 0.0)


def test_ranges_do_not_see_padding(checkpoint, examples):
    made = checkpoint("bert")
    padded = _ranges(_observers(made, examples[:30]))
    observers = _observers(made, examples[:30], batch_size=1)
    alone = _ranges(observers)
    assert set(padded) == set(observers.inputs) == set(observers.weights)
    for name, found in padded.items():
        np.testing.assert_allclose(found, alone[name], rtol=0.02, atol=1e-4)


def test_statistics_are_those_of_all_rows_and_the_sample_is_the_same_each_time(checkpoint, examples):
    observers = _observers(checkpoint("bert"), examples)
    first, second = channel_statistics(observers), channel_statistics(observers)
    rows: dict[str, list] = {}
    for tensor, values in observers.values("all"):
        rows.setdefault(tensor, []).append(values)
    for tensor, one in first.items():
        whole = np.concatenate(rows[tensor])
        np.testing.assert_array_equal(one.low, whole.min(0))
        np.testing.assert_array_equal(one.high, whole.max(0))
        np.testing.assert_allclose(one.total, whole.sum(0), rtol=1e-4, atol=1e-2)
        assert one.count == len(whole)
        assert 50 < len(one.rows) <= len(whole)
        np.testing.assert_array_equal(one.rows, second[tensor].rows)


def test_gram_matrices_and_histograms_are_those_of_all_rows(checkpoint, examples):
    observers = _observers(checkpoint("bert"), examples[:40])
    statistics = _statistics(observers)
    rows: dict[str, list] = {}
    for tensor, values in observers.values("all"):
        rows.setdefault(tensor, []).append(values)
    for tensor, one in statistics.items():
        whole = np.concatenate(rows[tensor])
        np.testing.assert_allclose(one.gram, whole.T @ whole, rtol=1e-3, atol=1e-2)
        assert one.histogram.sum() == whole.size
        assert (one.low, one.high) == (min(whole.min(), 0), max(whole.max(), 0))


def test_layer_errors_grow_with_a_bad_range(checkpoint, examples):
    observers = _observers(checkpoint("bert"), examples)
    params = _params(observers)
    good = layer_errors(observers, params)
    assert set(good) == set(observers.inputs)
    assert max(good.values()) < 0.1
    coarse = replace(params["layer.1.inner"], input_range=ActivationRange(-500, 500))
    bad = layer_errors(observers, params | {"layer.1.inner": coarse})
    assert max(bad, key=bad.__getitem__) == "layer.1.inner"
    assert {k: v for k, v in bad.items() if k != "layer.1.inner"} == {
        k: v for k, v in good.items() if k != "layer.1.inner"
    }


@pytest.mark.parametrize("kind", ["bert", "roberta", "ernie", "electra", "albert"])
def test_an_equalised_classifier_gives_the_same_logits(checkpoint, examples, kind):
    made = checkpoint(kind)
    weights, calibration = read_weights(made.model), _calibration(made, examples)
    spec = calibration.spec
    plain = build_graph(weights, spec)
    observers = Observers(plain, calibration)
    equalisation = choose_equalisation(observers, channel_statistics(observers), weights)
    assert any((layer.hidden.scale != 1).any() for layer in equalisation)
    equalised = equalise(weights, equalisation)
    assert len({id(layer) for layer in equalised.layers}) == len({id(layer) for layer in weights.layers})
    proto = build_graph(equalised, spec)
    assert set(linear_nodes(proto)) == set(linear_nodes(plain))
    wanted, found = (
        OnnxModel(graph.SerializeToString(), pad=0, spec=spec).logits(calibration.encodings)
        for graph in (plain, proto)
    )
    np.testing.assert_allclose(found, wanted, atol=2e-5)


def test_outlier_channels_and_neurons_are_equalised(checkpoint, examples):
    made = checkpoint("bert")
    _add_outliers(made.model)
    observers = _observers(made, examples)
    before = layer_errors(observers, _params(observers))
    model = post_training_quantize(read_weights(made.model), _calibration(made, examples))
    after = model.layer_errors()
    for name in ("layer.0.inner", "layer.0.outer", "layer.1.inner", "layer.1.outer"):
        assert after[name] < 0.7 * before[name]
    assert max(after.values()) < 0.06
    assert model.equalisation[0].splits.argmax() == 0
    assert model.equalisation[0].splits[0] > 1


def test_gptq_is_closer_than_rounding_for_the_inputs_it_knows():
    rng = np.random.default_rng(0)
    inputs = (rng.normal(size=(400, 24)) @ rng.normal(size=(24, 24))).astype(np.float32)
    weights = rng.normal(size=(24, 10)).astype(np.float32)
    params = QuantParams(ActivationRange(-1, 1), 8 * weight_scales(weights), np.ones(24, np.int64))
    quantised = gptq(weights, InverseHessian(inputs.T @ inputs), params)

    def error(values):
        return np.linalg.norm(inputs @ (values * params.scales - weights))

    assert error(quantised) < 0.7 * error(params.quantise(weights))
    assert np.abs(quantised).max() <= 127


def test_shared_weights_are_quantised_once(checkpoint, examples):
    observers = _observers(checkpoint("albert"), examples)
    params = quantise_weights(observers, _params(observers), _statistics(observers))
    assert params["layer.0.inner"].quantised is params["layer.1.inner"].quantised
    assert params["layer.0.inner"].quantised is not params["layer.0.outer"].quantised
