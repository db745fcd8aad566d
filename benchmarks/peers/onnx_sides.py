"""Sides that run an exported graph: attar's artifacts, plain ONNX Runtime, OpenVINO after NNCF.

The other runtimes get attar's own fp32 graph, whose last layer computes [CLS] alone: they are
faster on it than on what torch's exporter writes.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from attar.scoring.predictor import length_batches, softmax
from attar.task import Example
from attar.text.encoding import InputSpec, TextEncoder, model_inputs
from peers.sides import Predict
from peers.traffic import LONGEST, TASK, read_examples

__all__ = ["open_attar", "open_onnxruntime", "open_openvino", "prepare_openvino"]

_CALIBRATION = 300


def open_attar(folder: Path, threads: int) -> Predict:
    """An artifact as ``attar.load`` opens it; repeated pairs are computed again, to be fair."""
    from attar.artifact import load_artifact
    from attar.scoring.predictor import Predictor

    return Predictor(load_artifact(folder), workers=threads, deduplicate=False).predict_probs


def open_onnxruntime(models: Path, threads: int) -> Predict:
    """The fp32 graph: a session with one thread, called by one worker a core."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    session = ort.InferenceSession(str(models / "student.onnx"), options, providers=["CPUExecutionProvider"])
    encoder = _encoder(models)
    pool = ThreadPoolExecutor(threads)

    def predict(examples: Sequence[Example]) -> NDArray[np.float32]:
        encodings = encoder.encode(examples)
        batches = list(length_batches(encodings))

        def run(rows: list[int]) -> Any:  # noqa: ANN401 - what a session gives
            inputs = model_inputs([encodings[i] for i in rows], encoder.pad, encoder.spec)
            return session.run(["logits"], inputs)[0]

        logits = np.concatenate(list(pool.map(run, batches)))
        return softmax(_in_order(logits, batches), 1.0)

    return predict


def prepare_openvino(models: Path) -> None:
    """NNCF's post-training quantisation (its transformer preset) of the fp32 graph, once."""
    import nncf  # type: ignore[import-not-found]
    import openvino as ov  # type: ignore[import-not-found]

    target = models / "openvino" / "student.xml"
    if target.is_file():
        return
    encoder = _encoder(models)
    examples = read_examples(models / "examples.json")[:_CALIBRATION]
    samples = [model_inputs([encoding], encoder.pad, encoder.spec) for encoding in encoder.encode(examples)]
    logging.getLogger("nncf").setLevel(logging.ERROR)
    quantised = nncf.quantize(
        ov.Core().read_model(models / "student.onnx"),
        nncf.Dataset(samples),
        model_type=nncf.ModelType.TRANSFORMER,
        subset_size=len(samples),
    )
    ov.save_model(quantised, target)


def open_openvino(models: Path, threads: int) -> Predict:
    """OpenVINO, one stream a core with one thread each, asynchronous, batches sorted by length."""
    import openvino as ov
    from openvino import properties

    compiled = ov.Core().compile_model(
        models / "openvino" / "student.xml",
        "CPU",
        {
            properties.num_streams(): threads,
            properties.inference_num_threads(): threads,
            properties.hint.performance_mode(): properties.hint.PerformanceMode.THROUGHPUT,
            properties.hint.enable_cpu_pinning(): False,
        },
    )
    encoder = _encoder(models)
    collected: dict[int, NDArray[np.float32]] = {}

    def keep(request: Any, index: int) -> None:  # noqa: ANN401 - openvino's own class
        collected[index] = request.get_output_tensor(0).data.copy()

    queue = ov.AsyncInferQueue(compiled, threads)
    queue.set_callback(keep)

    def predict(examples: Sequence[Example]) -> NDArray[np.float32]:
        encodings = encoder.encode(examples)
        batches = list(length_batches(encodings))
        for index, rows in enumerate(batches):
            inputs = model_inputs([encodings[i] for i in rows], encoder.pad, encoder.spec)
            queue.start_async(inputs, index)
        queue.wait_all()
        logits = np.concatenate([collected.pop(index) for index in range(len(batches))])
        return softmax(_in_order(logits, batches), 1.0)

    return predict


def _encoder(models: Path) -> TextEncoder:
    tokenizer = Tokenizer.from_file(str(models / "student" / "tokenizer.json"))
    return TextEncoder(tokenizer, InputSpec.for_task(TASK, LONGEST, token_types=True, pooling="cls"))


def _in_order(logits: NDArray[np.float32], batches: Sequence[Sequence[int]]) -> NDArray[np.float32]:
    placed = np.empty_like(logits)
    placed[[i for rows in batches for i in rows]] = logits
    return placed
