"""Mixed precision: what the graph computes, and in which order layers are upgraded."""

from __future__ import annotations

import numpy as np
import pytest

from attar.export.graph import build_graph
from attar.export.mixed_precision import mixed_precision_candidates, relative_cost
from attar.export.weights import linear_layers, linear_modules
from attar.models.checkpoint import predict_logits
from attar.scoring.session import OnnxModel


@pytest.fixture(scope="module", params=["bert", "albert"])
def made(request, checkpoint):
    return checkpoint(request.param)


@pytest.fixture(scope="module")
def model(made, quantized):
    return quantized(made.model.config.model_type)


def _error(model, made, examples, *, high_precision=False):
    session = model.session()
    exact = OnnxModel(
        build_graph(model.weights, made.encoder.spec).SerializeToString(), pad=0, spec=made.encoder.spec
    )
    encodings = made.encoder.encode(examples)
    return float(
        np.linalg.norm(session.run_pass(encodings, high_precision=high_precision) - exact.run_pass(encodings))
    )


def test_layers_have_the_names_of_their_modules(made, model):
    assert list(linear_layers(model.weights)) == list(linear_modules(made.model))


def test_each_upgrade_removes_its_own_error(made, model, examples):
    def all_in(precision):
        return model.with_precision(dict.fromkeys(model.params, precision))

    plain, weights, inputs, both, fp32 = (
        _error(all_in(one), made, examples) for one in ("w8a8", "w16a8", "w8a16", "w16a16", "fp32")
    )
    words = fp32  # all that is left is the error of the word embeddings
    assert words < plain
    assert both - words < 0.05 * plain
    assert min(weights, inputs) < plain
    # The high-precision pass has 16-bit inputs already; 16-bit weights still help it.
    assert _error(all_in("w16a8"), made, examples, high_precision=True) - words < 0.05 * plain


def test_candidates_go_from_one_upgrade_to_fp32(made, model, examples):
    encodings = made.encoder.encode(examples)
    found = list(mixed_precision_candidates(model, predict_logits(made, examples), encodings))
    names = [name for name, _ in found]
    parts = 2 * len({id(linear) for linear in linear_layers(model.weights).values()})
    assert names[0] == f"16-bit parts: 1 of {parts}"
    assert f"16-bit parts: {parts} of {parts}" in names
    assert names[-1].startswith("fp32 matrices")
    work = [relative_cost(candidate) for _, candidate in found]
    assert work == sorted(work)
    assert (relative_cost(model), work[-1]) == (1, 4)
    assert model.precision == "int8"
    assert {candidate.precision for _, candidate in found} == {"mixed"}
    errors = [_error(candidate, made, examples) for _, candidate in found]
    assert errors[-1] < 0.4 * _error(model, made, examples)
