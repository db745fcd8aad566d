"""Finer arithmetic, layer by layer: what the graph computes, and in which order it is spent."""

from __future__ import annotations

import numpy as np
import pytest

from attar.export.graph import build_graph
from attar.export.ladder import num_products, rungs
from attar.export.weights import linear_layers, linear_modules
from attar.models.checkpoint import predict_logits
from attar.scoring.session import OnnxModel


@pytest.fixture(scope="module", params=["bert", "albert"])
def made(request, checkpoint):
    return checkpoint(request.param)


@pytest.fixture(scope="module")
def form(made, int8_form):
    return int8_form(made.model.config.model_type)


def _error(form, made, examples, *, fine=False):
    model = OnnxModel(form.graph().SerializeToString(), pad=0, spec=made.encoder.spec)
    exact = OnnxModel(
        build_graph(form.weights, made.encoder.spec).SerializeToString(), pad=0, spec=made.encoder.spec
    )
    encodings = made.encoder.encode(examples)
    return float(np.linalg.norm(model.run_pass(encodings, fine=fine) - exact.run_pass(encodings)))


def test_layers_have_the_names_of_their_modules(made, form):
    assert list(linear_layers(form.weights)) == list(linear_modules(made.model))


def test_each_finer_part_takes_off_its_own_error(made, form, examples):
    def all_in(precision):
        return form.with_precision(dict.fromkeys(form.grids, precision))

    plain, weights, inputs, both, fp32 = (
        _error(all_in(one), made, examples) for one in ("w8a8", "w16a8", "w8a16", "w16a16", "fp32")
    )
    words = fp32  # all that is left is the word table's rounding
    assert words < plain
    assert both - words < 0.05 * plain
    assert min(weights, inputs) < plain
    # The high-precision pass has finer inputs already; finer weights are what it still gains from.
    assert _error(all_in("w16a8"), made, examples, fine=True) - words < 0.05 * plain


def test_rungs_climb_from_one_part_to_fp32(made, form, examples):
    encodings = made.encoder.encode(examples)
    found = list(rungs(form, predict_logits(made, examples), encodings))
    names = [rung.name for rung in found]
    parts = 2 * len({id(linear) for linear in linear_layers(form.weights).values()})
    assert names[0] == f"finer parts: 1 of {parts}"
    assert f"finer parts: {parts} of {parts}" in names
    assert names[-1].startswith("fp32 matrices")
    work = [num_products(rung.form) for rung in found]
    assert work == sorted(work)
    assert (num_products(form), work[-1]) == (1, 4)
    assert form.precision == "int8"
    assert {rung.form.precision for rung in found} == {"mixed"}
    errors = [_error(rung.form, made, examples) for rung in found]
    assert errors[-1] < 0.4 * _error(form, made, examples)
