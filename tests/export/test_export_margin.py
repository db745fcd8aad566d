"""The high-precision pass of an int8 graph: which rows it computes, and what it gains."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from attar.export.graph import build_graph
from attar.export.weights import read_weights
from attar.scoring.session import OnnxModel, margins


@pytest.fixture
def made(checkpoint):
    return checkpoint("bert")


@pytest.fixture
def model(quantized):
    return quantized("bert")


def _open(made, proto):
    return OnnxModel(proto.SerializeToString(), pad=0, spec=made.encoder.spec)


def test_rows_below_the_margin_are_computed_twice_and_no_others(made, model, examples):
    encodings = made.encoder.encode(examples)
    once = _open(made, replace(model, margin=0.0).graph())
    first, second = once.run_pass(encodings), once.run_pass(encodings, high_precision=True)
    margin = float(np.median(margins(first)))
    rows = np.flatnonzero(margins(first) < margin).tolist()
    assert 0 < len(rows) < len(first)
    twice = _open(made, replace(model, margin=margin).graph())
    assert twice.low_margin_rows(first) == rows
    wanted = first.copy()
    wanted[rows] = second[rows]
    assert twice.logits(encodings).tobytes() == wanted.tobytes()
    assert once.logits(encodings).tobytes() == first.tobytes()
    alone = np.concatenate([twice.logits([encoding], 24) for encoding in encodings])
    assert alone.tobytes() == wanted.tobytes()


def test_the_high_precision_pass_is_closer_and_the_margin_covers_the_first_ones_errors(made, model, examples):
    encodings = made.encoder.encode(examples)
    exact = _open(made, build_graph(read_weights(made.model), made.encoder.spec)).logits(encodings)
    session = model.session()
    first, second = session.run_pass(encodings), session.run_pass(encodings, high_precision=True)
    assert np.linalg.norm(second - exact) < 0.85 * np.linalg.norm(first - exact)
    differences = np.abs(margins(first) - margins(second))
    assert 0.95 < float((differences <= model.margin).mean()) < 1


def test_an_fp32_graph_has_one_pass(made, examples):
    model = _open(made, build_graph(read_weights(made.model), made.encoder.spec))
    logits = model.logits(made.encoder.encode(examples))
    assert model.low_margin_rows(np.zeros_like(logits)) == []
