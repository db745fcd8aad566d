from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from attar.export import observers as taps_module
from attar.export.calibration import activation_ranges, best_range, channel_statistics, layer_errors, observe
from attar.export.equalisation import equalise
from attar.export.equalisation_scales import choose_shifts
from attar.export.gptq import InputProducts, round_weights, rounded_table
from attar.export.graph import build_graph, linear_inputs
from attar.export.observers import Calibration, Observers
from attar.export.quant_params import ActivationRange, QuantParams, weight_steps
from attar.export.quantisation import post_training_quantize
from attar.export.weights import read_weights
from attar.scoring.session import OnnxModel


def _calibration(made, examples):
    return Calibration(made.encoder.encode(examples), 0, made.encoder.spec)


def _taps(made, examples):
    calibration = _calibration(made, examples)
    return Observers(build_graph(read_weights(made.model), calibration.spec), calibration)


def _observed(taps):
    seen = channel_statistics(taps)
    return observe(taps, {name: (float(one.low.min()), float(one.high.max())) for name, one in seen.items()})


def _ranges(taps):
    return activation_ranges(_observed(taps), taps.inputs)


def _grids(taps):
    ones = {name: np.ones(len(matrix), np.int64) for name, matrix in taps.weights.items()}
    ranges = _ranges(taps)
    return {n: QuantParams(ranges[n], weight_steps(m), ones[n]) for n, m in taps.weights.items()}


def _make_loud(model):
    """One channel of the hidden states and one neuron far louder than the others."""
    with torch.no_grad():
        for layer in model.base_model.encoder.layer:
            layer.attention.output.LayerNorm.weight[3] *= 40
            layer.attention.output.LayerNorm.bias[5] += 20
            layer.intermediate.dense.weight[0] *= 100
    return model


def _squared_error(values, chosen):
    return float(np.square(chosen.rounded(values.astype(np.float32)) - values).sum())


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


def test_ranges_do_not_see_padding(checkpoint, examples, monkeypatch):
    made = checkpoint("bert")
    padded = _ranges(_taps(made, examples[:30]))
    monkeypatch.setattr(taps_module, "_BATCH", 1)
    taps = _taps(made, examples[:30])
    alone = _ranges(taps)
    assert set(padded) == set(taps.inputs) == set(taps.weights)
    for name, found in padded.items():
        np.testing.assert_allclose(found, alone[name], rtol=0.02, atol=1e-4)


def test_statistics_are_those_of_all_rows_and_the_sample_is_the_same_each_time(checkpoint, examples):
    taps = _taps(checkpoint("bert"), examples)
    first, second = channel_statistics(taps), channel_statistics(taps)
    rows: dict[str, list] = {}
    for tensor, values in taps.values("all"):
        rows.setdefault(tensor, []).append(values)
    for tensor, one in first.items():
        whole = np.concatenate(rows[tensor])
        np.testing.assert_array_equal(one.low, whole.min(0))
        np.testing.assert_array_equal(one.high, whole.max(0))
        np.testing.assert_allclose(one.total, whole.sum(0), rtol=1e-4, atol=1e-2)
        assert one.count == len(whole)
        assert 50 < len(one.rows) <= len(whole)
        np.testing.assert_array_equal(one.rows, second[tensor].rows)


def test_observed_products_and_histograms_are_those_of_all_rows(checkpoint, examples):
    taps = _taps(checkpoint("bert"), examples[:40])
    observed = _observed(taps)
    rows: dict[str, list] = {}
    for tensor, values in taps.values("all"):
        rows.setdefault(tensor, []).append(values)
    for tensor, one in observed.items():
        whole = np.concatenate(rows[tensor])
        np.testing.assert_allclose(one.squares, whole.T @ whole, rtol=1e-3, atol=1e-2)
        assert one.counts.sum() == whole.size
        assert (one.low, one.high) == (min(whole.min(), 0), max(whole.max(), 0))


def test_layer_errors_grow_with_a_bad_range(checkpoint, examples):
    taps = _taps(checkpoint("bert"), examples)
    grids = _grids(taps)
    good = layer_errors(taps, grids)
    assert set(good) == set(taps.inputs)
    assert max(good.values()) < 0.1
    coarse = replace(grids["layer.1.inner"], range=ActivationRange(-500, 500))
    bad = layer_errors(taps, grids | {"layer.1.inner": coarse})
    assert max(bad, key=bad.__getitem__) == "layer.1.inner"
    assert {k: v for k, v in bad.items() if k != "layer.1.inner"} == {
        k: v for k, v in good.items() if k != "layer.1.inner"
    }


@pytest.mark.parametrize("kind", ["bert", "roberta", "ernie", "electra", "albert"])
def test_an_equalised_classifier_gives_the_same_answers(checkpoint, examples, kind):
    made = checkpoint(kind)
    weights, calibration = read_weights(made.model), _calibration(made, examples)
    spec = calibration.spec
    plain = build_graph(weights, spec)
    taps = Observers(plain, calibration)
    shifts = choose_shifts(taps, channel_statistics(taps), weights)
    assert any((shift.hidden.width != 1).any() for shift in shifts)
    equal = equalise(weights, shifts)
    assert len({id(layer) for layer in equal.layers}) == len({id(layer) for layer in weights.layers})
    proto = build_graph(equal, spec)
    assert set(linear_inputs(proto)) == set(linear_inputs(plain))
    wanted, found = (
        OnnxModel(graph.SerializeToString(), pad=0, spec=spec).logits(calibration.encodings)
        for graph in (plain, proto)
    )
    np.testing.assert_allclose(found, wanted, atol=2e-5)


def test_loud_channels_and_neurons_are_equalised(checkpoint, examples):
    made = checkpoint("bert")
    _make_loud(made.model)
    taps = _taps(made, examples)
    before = layer_errors(taps, _grids(taps))
    form = post_training_quantize(read_weights(made.model), _calibration(made, examples))
    after = form.errors()
    for name in ("layer.0.inner", "layer.0.outer", "layer.1.inner", "layer.1.outer"):
        assert after[name] < 0.7 * before[name]
    assert max(after.values()) < 0.06
    assert form.shifts[0].copies.argmax() == 0
    assert form.shifts[0].copies[0] > 1


def test_rounding_by_columns_is_nearer_for_the_inputs_it_knows():
    rng = np.random.default_rng(0)
    inputs = (rng.normal(size=(400, 24)) @ rng.normal(size=(24, 24))).astype(np.float32)
    weights = rng.normal(size=(24, 10)).astype(np.float32)
    grid = QuantParams(ActivationRange(-1, 1), 8 * weight_steps(weights), np.ones(24, np.int64))
    table = rounded_table(weights, InputProducts(inputs.T @ inputs), grid)

    def error(codes):
        return np.linalg.norm(inputs @ (codes * grid.steps - weights))

    assert error(table) < 0.7 * error(grid.codes(weights))
    assert np.abs(table).max() <= 127


def test_shared_weights_are_rounded_once(checkpoint, examples):
    taps = _taps(checkpoint("albert"), examples)
    grids = round_weights(taps, _grids(taps), _observed(taps))
    assert grids["layer.0.inner"].table is grids["layer.1.inner"].table
    assert grids["layer.0.inner"].table is not grids["layer.0.outer"].table
