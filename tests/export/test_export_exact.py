"""An example's probs are the same bytes, whatever else is in the batch."""

from __future__ import annotations

import numpy as np
import pytest

from attar.scoring.predictor import Predictor, softmax
from attar.scoring.session import OnnxModel
from attar.text.encoding import InputSpec

COUNT = 400


@pytest.fixture(scope="module")
def many(short_examples):
    return short_examples(COUNT, 5)


@pytest.fixture(scope="module", params=["entity_start", "cls"])
def artifact(request, exported):
    return exported(request.param)


def test_twenty_ways_to_score_the_same_examples_give_the_same_bytes(artifact, checkpoint, many):
    predictor = Predictor(artifact, workers=1, deduplicate=False)
    wanted = predictor.predict_probs(many)
    assert wanted.shape == (COUNT, 3)
    assert len(np.unique(wanted, axis=0)) > COUNT // 2
    ways = 0

    def same(found):
        nonlocal ways
        ways += 1
        assert found.tobytes() == wanted.tobytes()

    rng = np.random.default_rng(6)
    for workers in (1, 2, 3):  # shuffled
        order = rng.permutation(COUNT)
        found = np.empty_like(wanted)
        with_threads = Predictor(artifact, workers=workers)
        found[order] = with_threads.predict_probs([many[i] for i in order])
        with_threads.close()
        same(found)
    for size in (1, 7, 64, COUNT - 1):  # split
        parts = [predictor.predict_probs(many[i : i + size]) for i in range(0, COUNT, size)]
        same(np.concatenate(parts))

    pooling = InputSpec.from_json(artifact.input).pooling
    encoder = checkpoint("bert", pooling).encoder
    encodings = encoder.encode(many)
    model = OnnxModel(artifact.model_path, pad=encoder.pad, spec=encoder.spec)
    for size in (1, 2, 3, 5, 8, 16, 33, 250):  # batched as they come, padded to the longest of the batch
        same(_scored(model, artifact, [encodings[i : i + size] for i in range(0, COUNT, size)]))
    for size, length in ((1, 24), (4, 24), (50, 24), (300, 24)):  # padded to the longest input there is
        same(_scored(model, artifact, [encodings[i : i + size] for i in range(0, COUNT, size)], length))
    cuts = np.sort(rng.choice(np.arange(1, COUNT), 100, replace=False)).tolist()
    bounds = zip([0, *cuts], [*cuts, COUNT], strict=True)
    same(_scored(model, artifact, [encodings[a:b] for a, b in bounds]))
    assert ways == 20


def _scored(model, artifact, batches, length=None):
    return softmax(np.concatenate([model.logits(batch, length) for batch in batches]), artifact.temperature)
