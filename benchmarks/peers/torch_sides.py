"""Sides that run a checkpoint in torch: as the original system does, transformers' pipeline, dynamic int8."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from attar.bench.original import run_as_original
from attar.models.checkpoint import load_checkpoint, predict_logits
from attar.scoring.predictor import softmax
from attar.task import Example
from peers.sides import Predict
from peers.traffic import LONGEST

__all__ = ["open_dynamic", "open_original", "open_pipeline"]

_BATCH = 8


def open_original(folder: Path, threads: int) -> Predict:
    """How the original system scores: torch fp32, every input padded to 70 tokens, batches of 8."""
    torch.set_num_threads(threads)
    checkpoint = load_checkpoint(folder)
    return lambda examples: softmax(run_as_original(checkpoint, examples, _BATCH), 1.0)


def open_pipeline(folder: Path, threads: int) -> Predict:
    """``transformers.pipeline`` with its fast tokenizer, batches of 8, each padded to its longest."""
    from transformers import PreTrainedTokenizerFast, TextClassificationPipeline

    torch.set_num_threads(threads)
    checkpoint = load_checkpoint(folder)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=_with_template(folder),
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
    torch.set_num_threads(threads)
    checkpoint = load_checkpoint(folder)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch.ao.quantization is deprecated; it is what people use
        quantised = torch.ao.quantization.quantize_dynamic(  # type: ignore[no-untyped-call]
            checkpoint.model, {torch.nn.Linear}, dtype=torch.qint8, inplace=True
        )
    assert quantised is checkpoint.model

    return lambda examples: softmax(predict_logits(checkpoint, examples), 1.0)


def _with_template(folder: Path) -> Any:  # noqa: ANN401 - tokenizers has no types
    from tokenizers import Tokenizer, processors

    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    sep, cls = (tokenizer.token_to_id(name) for name in ("[SEP]", "[CLS]"))
    assert sep is not None
    assert cls is not None
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", sep), ("[CLS]", cls))
    return tokenizer


def _marked(example: Example) -> str:
    text, start, end = example.text, example.start, example.end
    return f"{text[:start]}_{text[start:end]}_{text[end:]}"
