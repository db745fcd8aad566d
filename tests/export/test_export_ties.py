"""The second look of an int8 graph: who gets it, and what it is worth."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from attar.export.graph import build_graph
from attar.export.weights import read_weights
from attar.scoring.session import OnnxModel


@pytest.fixture
def made(checkpoint):
    return checkpoint("bert")


@pytest.fixture
def form(int8_form):
    return int8_form("bert")


def _open(made, proto):
    return OnnxModel(proto.SerializeToString(), pad=0, spec=made.encoder.spec)


def test_those_below_the_margin_are_looked_at_twice_and_no_others(made, form, examples):
    encodings = made.encoder.encode(examples)
    once = _open(made, replace(form, tie_margin=0.0).graph())
    quick, fine = once.run_pass(encodings), once.run_pass(encodings, fine=True)
    gaps = np.diff(np.sort(quick, 1)[:, -2:]).ravel()
    margin = float(np.median(gaps))
    ties = np.flatnonzero(gaps < margin).tolist()
    assert 0 < len(ties) < len(gaps)
    twice = _open(made, replace(form, tie_margin=margin).graph())
    assert twice.low_margin_rows(quick) == ties
    wanted = quick.copy()
    wanted[ties] = fine[ties]
    assert twice.logits(encodings).tobytes() == wanted.tobytes()
    assert once.logits(encodings).tobytes() == quick.tobytes()
    alone = np.concatenate([twice.logits([encoding], 24) for encoding in encodings])
    assert alone.tobytes() == wanted.tobytes()


def test_the_second_look_is_nearer_and_the_margin_covers_what_the_first_moved(made, form, examples):
    encodings = made.encoder.encode(examples)
    exact = _open(made, build_graph(read_weights(made.model), made.encoder.spec)).logits(encodings)
    model = _open(made, form.graph())
    quick, fine = model.run_pass(encodings), model.run_pass(encodings, fine=True)
    assert np.linalg.norm(fine - exact) < 0.85 * np.linalg.norm(quick - exact)
    moved = np.abs(np.diff(np.sort(quick, 1)[:, -2:]) - np.diff(np.sort(fine, 1)[:, -2:]))
    assert 0.95 < float((moved <= form.tie_margin).mean()) < 1


def test_an_fp32_graph_looks_once(made, examples):
    model = _open(made, build_graph(read_weights(made.model), made.encoder.spec))
    logits = model.logits(made.encoder.encode(examples))
    assert model.low_margin_rows(np.zeros_like(logits)) == []
