from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from attar.export.calibrate import activation_ranges, best_range, layer_errors
from attar.export.graph import ActivationRange, build_graph


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


def test_ranges_do_not_see_padding(checkpoint, examples):
    made = checkpoint("bert")
    proto = build_graph(made.model, max_positions=24, token_types=True, quantisation=None)
    encodings = made.encoder.encode(examples)
    short, long = (min(encodings, key=lambda e: len(e.ids)), max(encodings, key=lambda e: len(e.ids)))
    apart = [activation_ranges(proto, [e], pad=0, token_types=True) for e in (short, long)]
    together = activation_ranges(proto, [short, long], pad=0, token_types=True)
    assert set(together) == set(apart[0])
    # A third example would be seen only as padding here; the extremes stay those of the two.
    for name, found in together.items():
        assert found.high <= 1.3 * max(a[name].high for a in apart) + 1e-6


def test_layer_errors_grow_with_a_bad_range(checkpoint, examples):
    made = checkpoint("bert")
    proto = build_graph(made.model, max_positions=24, token_types=True, quantisation=None)
    encodings = made.encoder.encode(examples)
    ranges = activation_ranges(proto, encodings, pad=0, token_types=True)
    good = layer_errors(proto, ranges, encodings, pad=0, token_types=True)
    assert set(good) == set(ranges)
    assert max(good.values()) < 0.1
    bad = layer_errors(
        proto, ranges | {"layer.1.inner": ActivationRange(-500, 500)}, encodings, pad=0, token_types=True
    )
    assert max(bad, key=bad.__getitem__) == "layer.1.inner"
    assert {k: v for k, v in bad.items() if k != "layer.1.inner"} == {
        k: v for k, v in good.items() if k != "layer.1.inner"
    }
