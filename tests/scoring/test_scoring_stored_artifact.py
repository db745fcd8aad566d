"""An artifact of an earlier attar still gives the labels and probs that it gave then.

``fixtures/artifact`` is a student of 2 layers x 24, trained on a part of corpus/cosmetics and exported in
int8 by the commit 599567c; ``fixtures/predictions.json`` holds twenty reviews of that corpus, one of which
is due for the high-precision pass, with the labels and probs of that commit.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import attar
from attar.scoring.verify import verify

FIXTURES = Path(__file__).with_name("fixtures")
TOLERANCE = 1e-6
"""For probs. Measured on these reviews: 0 between AVX-512 VNNI and AVX2 (benchmarks/without_vnni.py, and
qemu-x86_64 -cpu Haswell), 6e-8 to SSE (-cpu Westmere), and 6e-8 to forty graphs whose norms differ in
their last bits (``attar.export.checks``). One quantised weight off by one moves them by up to 5e-4."""


@pytest.fixture(scope="module")
def stored():
    return json.loads((FIXTURES / "predictions.json").read_text("utf-8"))


@pytest.mark.parametrize("workers", [1, 2])
def test_labels_and_probs_are_those_of_the_export(stored, workers):
    predictor = attar.load(FIXTURES / "artifact", workers=workers)
    found = predictor.predict(
        [row["text"] for row in stored],
        [row["text"][row["start"] : row["end"]] for row in stored],
        [(row["start"], row["end"]) for row in stored],
    )
    predictor.close()
    assert [one.label for one in found] == [row["label"] for row in stored]
    assert {row["label"] for row in stored} == set(predictor.task.labels)
    probs = [list(one.probs.values()) for one in found]
    np.testing.assert_allclose(probs, [row["probs"] for row in stored], rtol=0, atol=TOLERANCE)


def test_its_stored_inputs_give_the_stored_logits():
    found = verify(FIXTURES / "artifact").compared
    assert (found.num, found.changed, found.passed) == (64, 0, True)
