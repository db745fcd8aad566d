"""What a graph gives that is no logits, and an interrupt while it computes."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest

from attar.artifact import load_artifact
from attar.errors import ArtifactError
from attar.scoring import onnx_scorer as module
from attar.scoring.predictor import Predictor
from attar.scoring.session import OnnxModel, _Opened
from attar.text.encoding import Encoding, InputSpec

SPEC = InputSpec("single", 16)
ONE = [Encoding(np.array([1, 2, 3], np.int32), 3)]


class Fake:
    """Stands for ONNX Runtime's session: gives what it is told, or calls it."""

    def __init__(self, logits):
        self.logits = logits

    def run(self, _names, inputs):
        found = self.logits(len(inputs["input_ids"])) if callable(self.logits) else self.logits
        return [np.array(found, np.float32)]


def model_giving(logits):
    made = OnnxModel(b"", pad=0, spec=SPEC)
    made._opened = _Opened(Fake(logits), None)
    return made


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_logits_that_are_not_finite_are_an_error(bad):
    with pytest.raises(ArtifactError, match=r"the exported graph gives logits that are not finite.*again"):
        model_giving([[0.0, bad, 1.0]]).logits(ONE)


@pytest.mark.parametrize("logits", [[0.0, 1.0], [[0.0, 1.0], [1.0, 0.0]], 1.0, [[[0.0]]]])
def test_logits_of_another_shape_are_an_error(logits):
    with pytest.raises(ArtifactError, match=r"logits of shape \[.*for 1 inputs"):
        model_giving(logits).logits(ONE)


def test_what_the_runtime_cannot_compute_is_an_error():
    def fails(_):
        raise RuntimeError("[ONNXRuntimeError] : 6 : Non-zero status code")

    with pytest.raises(ArtifactError, match=r"cannot compute it \(\[ONNXRuntimeError\].*export again"):
        model_giving(fails).logits(ONE)


@pytest.mark.parametrize("workers", [1, 2])
def test_an_interrupt_ends_within_a_batch(artifact_folder, some_examples, monkeypatch, workers):
    """Of the many batches of a chunk only those that are being computed are computed to the end."""
    monkeypatch.setattr(module, "_BATCH_TOKENS", 50)
    predictor = Predictor(load_artifact(artifact_folder), workers)
    computed = []

    def logits(count):
        computed.append(count)
        if threading.current_thread() is threading.main_thread():
            raise KeyboardInterrupt
        time.sleep(0.01)
        return np.zeros((count, 3))

    predictor.scorer._model._opened = _Opened(Fake(logits), None)
    if workers > 1:  # the main thread waits for the others when the signal comes
        result = module.Future.result
        monkeypatch.setattr(module.Future, "result", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        predictor.predict_logits(some_examples(400, 1))
    if workers > 1:
        monkeypatch.setattr(module.Future, "result", result)
    predictor.close()
    assert len(computed) <= 5
