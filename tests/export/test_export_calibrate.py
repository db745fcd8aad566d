from __future__ import annotations

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from attar.export import calibrate
from attar.export.calibrate import activation_ranges, best_range, layer_errors
from attar.export.graph import ActivationRange, build_graph, linear_inputs


def _squared_error(values, chosen):
    step, zero = chosen.scale_and_zero()
    grid = (np.clip(np.rint(values / step) + float(zero), 0, 255) - float(zero)) * step
    return float(((grid - values) ** 2).sum())


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
    proto = build_graph(made.model, made.encoder.spec)
    encodings = made.encoder.encode(examples[:30])
    padded = activation_ranges(proto, encodings, pad=0, spec=made.encoder.spec)
    monkeypatch.setattr(calibrate, "_BATCH", 1)
    alone = activation_ranges(proto, encodings, pad=0, spec=made.encoder.spec)
    assert set(padded) == set(linear_inputs(proto))
    for name, found in padded.items():
        np.testing.assert_allclose(found, alone[name], rtol=0.02, atol=1e-4)


def test_layer_errors_grow_with_a_bad_range(checkpoint, examples):
    made = checkpoint("bert")
    proto = build_graph(made.model, made.encoder.spec)
    encodings = made.encoder.encode(examples)
    ranges = activation_ranges(proto, encodings, pad=0, spec=made.encoder.spec)
    good = layer_errors(proto, ranges, encodings, pad=0, spec=made.encoder.spec)
    assert set(good) == set(ranges)
    assert max(good.values()) < 0.1
    bad = layer_errors(
        proto,
        ranges | {"layer.1.inner": ActivationRange(-500, 500)},
        encodings,
        pad=0,
        spec=made.encoder.spec,
    )
    assert max(bad, key=bad.__getitem__) == "layer.1.inner"
    assert {k: v for k, v in bad.items() if k != "layer.1.inner"} == {
        k: v for k, v in good.items() if k != "layer.1.inner"
    }


def test_a_layer_that_one_scale_does_not_serve_gets_one_for_each_row(checkpoint, examples):
    made = checkpoint("bert")
    proto = build_graph(made.model, made.encoder.spec)
    encodings = made.encoder.encode(examples)
    before = activation_ranges(proto, encodings, pad=0, spec=made.encoder.spec)
    assert "layer.0.outer" in before
    with torch.no_grad():
        # One neuron a hundred times as loud as the others, which most rows leave silent.
        inner = made.model.base_model.encoder.layer[0].intermediate.dense
        inner.weight[0] *= 100
    proto = build_graph(made.model, made.encoder.spec)
    after = activation_ranges(proto, encodings, pad=0, spec=made.encoder.spec)
    assert "layer.0.outer" not in after
    assert "layer.0.inner" in after
    errors = layer_errors(proto, after, encodings, pad=0, spec=made.encoder.spec)
    assert errors["layer.0.outer"] < 0.05
