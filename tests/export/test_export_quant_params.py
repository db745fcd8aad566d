from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from attar.export.quant_params import ActivationRange, QuantParams, symmetric_int8, weight_steps


def test_ranges_put_zero_on_the_grid():
    for low, high in ((-1.0, 3.0), (0.5, 2.0), (-3.0, -1.0), (0.0, 0.0)):
        chosen = ActivationRange(low, high)
        step, zero = chosen.scale_and_zero()
        assert step > 0
        assert (0 - float(zero)) * step <= low + step
        assert (255 - float(zero)) * step >= high - step
        assert chosen.rounded(np.zeros(1, np.float32)) == 0


def test_values_are_rounded_to_the_grid_and_clipped():
    chosen = ActivationRange(-1.0, 1.55)
    found = chosen.rounded(np.array([0.004, 0.006, -7, 7], np.float32))
    np.testing.assert_allclose(found, [0, 0.01, -1, 1.55], atol=1e-6)


def test_symmetric_int8_is_within_half_a_step():
    rows = np.random.default_rng(0).normal(size=(7, 5)).astype(np.float32)
    rows[2] = 0
    table, steps = symmetric_int8(rows)
    assert (table.dtype, steps.shape) == (np.int8, (7, 1))
    assert (np.abs(table * steps - rows) <= steps / 2 + 1e-7).all()
    assert np.abs(table).max() == 127


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 40))
def test_copies_reach_further_and_share_their_codes(seed, loudest):
    rng = np.random.default_rng(seed)
    weights = rng.normal(size=(6, 4)).astype(np.float32)
    weights[1] *= loudest
    copies = np.array([1, loudest, 1, 3, 1, 1])
    grid = QuantParams(ActivationRange(-1, 1), weight_steps(weights, copies), copies)
    nearest = grid.nearest(weights)
    assert (np.abs(nearest * grid.steps - weights) <= grid.steps / 2 * 1.001 + 1e-7).all()
    codes = grid.codes(weights)
    assert (np.abs(codes - nearest) <= copies[:, None]).all()  # a place at most one less, for its neighbour
    spread = grid.spread(codes)
    assert spread.dtype == np.int8
    assert spread.shape == (copies.sum(), 4)
    summed = np.zeros_like(codes)
    np.add.at(summed, grid.places, spread)
    np.testing.assert_array_equal(summed, codes)
    assert (np.abs(spread.astype(int)) <= 127).all()
