from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from attar.export.quant_params import ActivationRange, QuantParams, quantise_rows, weight_scales


def test_zero_is_exact():
    for low, high in ((-1.0, 3.0), (0.5, 2.0), (-3.0, -1.0), (0.0, 0.0)):
        chosen = ActivationRange(low, high)
        scale, zero_point = chosen.scale_and_zero_point()
        assert scale > 0
        assert (0 - float(zero_point)) * scale <= low + scale
        assert (255 - float(zero_point)) * scale >= high - scale
        assert chosen.fake_quantise(np.zeros(1, np.float32)) == 0


def test_values_are_rounded_and_clipped():
    chosen = ActivationRange(-1.0, 1.55)
    found = chosen.fake_quantise(np.array([0.004, 0.006, -7, 7], np.float32))
    np.testing.assert_allclose(found, [0, 0.01, -1, 1.55], atol=1e-6)


def test_rows_are_within_half_a_scale():
    rows = np.random.default_rng(0).normal(size=(7, 5)).astype(np.float32)
    rows[2] = 0
    values, scales = quantise_rows(rows)
    assert (values.dtype, scales.shape) == (np.int8, (7, 1))
    assert (np.abs(values * scales - rows) <= scales / 2 + 1e-7).all()
    assert np.abs(values).max() == 127


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 40))
def test_split_channels_reach_further_and_share_their_weights(seed, largest):
    rng = np.random.default_rng(seed)
    weights = rng.normal(size=(6, 4)).astype(np.float32)
    weights[1] *= largest
    splits = np.array([1, largest, 1, 3, 1, 1])
    params = QuantParams(ActivationRange(-1, 1), weight_scales(weights, splits), splits)
    nearest = params.round_to_nearest(weights)
    assert (np.abs(nearest * params.scales - weights) <= params.scales / 2 * 1.001 + 1e-7).all()
    quantised = params.quantise(weights)
    assert (
        np.abs(quantised - nearest) <= splits[:, None]
    ).all()  # at most one less a channel, for its neighbour
    spread = params.split(quantised)
    assert spread.dtype == np.int8
    assert spread.shape == (splits.sum(), 4)
    summed = np.zeros_like(quantised)
    np.add.at(summed, params.channel_map, spread)
    np.testing.assert_array_equal(summed, quantised)
    assert (np.abs(spread.astype(int)) <= 127).all()
