"""Flips, macro-F1, size and CPU time of each precision that an artifact can have.

    python benchmarks/precision.py CHECKPOINT --data DATA --recipe recipes/quickstart.toml \
        --results docs/lab-notes.md

Every model is compared with the checkpoint on the examples that `attar export` verifies on (2,000 of
dev, then train), and timed on one thread, all models in turn: int8, int8 after quantisation-aware
training (--qat-epochs 0 leaves that out), the first mixed-precision candidates of the export, and
each precision in all layers.
"""

from __future__ import annotations

import argparse
import logging
import tempfile
import time
from collections.abc import Sequence
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnx
from numpy.typing import NDArray
from peers.document import command_line, machine_line, markdown_table, publish

from attar.bench.timing import take_turns
from attar.export.graph import build_graph
from attar.export.mixed_precision import mixed_precision_candidates, relative_cost
from attar.export.observers import Calibration
from attar.export.parity import batched_logits
from attar.export.quant_params import LayerPrecision
from attar.export.quantisation import (
    QuantizedModel,
    post_training_quantize,
    qat_settings,
    train_quantization_aware,
)
from attar.export.weights import read_weights
from attar.metrics import scores
from attar.models.checkpoint import Checkpoint, load_checkpoint, predict_logits
from attar.recipe.load import ExportRecipe, load_recipe, make_recipe
from attar.records.prepared_folder import load_split
from attar.scoring.session import OnnxModel
from attar.system_info import system_info
from attar.task import Example

_IN_ALL_LAYERS: tuple[LayerPrecision, ...] = ("w16a8", "w8a16", "w16a16", "fp32")
_ROUNDS = 7
_TIMED = 200


class _Model(NamedTuple):
    name: str
    proto: onnx.ModelProto
    products: float | None


def main() -> None:
    """Measure one checkpoint in every precision."""
    parser = command_line(__doc__)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--recipe", type=Path, help="Takes [export] from it")
    parser.add_argument("--qat-epochs", type=float, default=2)
    parser.add_argument("--candidates", type=int, default=4, help="How many of mixed precision")
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO)
    checkpoint = load_checkpoint(args.checkpoint)
    dev, train = (load_split(args.data, name) for name in ("dev", "train"))
    recipe = load_recipe(args.recipe) if args.recipe else make_recipe({"name": "defaults"})
    examples = [*dev, *train][: recipe.export.parity_examples]
    models = _models(checkpoint, dev, train, recipe.export.calibration_examples, args)
    lines = _table(checkpoint, examples, len(dev), models)
    head = f"`python benchmarks/precision.py {args.checkpoint} ...` on {machine_line(system_info(), 1)}; "
    head += f"{len(examples):,} examples, {len(dev)} of dev."
    publish(args.results, "precision", "Precision, model by model", [head, "", *lines])


def _models(
    checkpoint: Checkpoint,
    dev: Sequence[Example],
    train: Sequence[Example],
    num_calibration: int,
    args: argparse.Namespace,
) -> list[_Model]:
    encoder = checkpoint.encoder
    spread = train[:: max(1, len(train) // num_calibration)][:num_calibration]
    calibration = Calibration(encoder.encode(spread), encoder.pad, encoder.spec)
    weights = read_weights(checkpoint.model)
    int8 = post_training_quantize(weights, calibration)
    found = [_of("int8 (w8a8)", int8)]
    if args.qat_epochs:
        settings = qat_settings(ExportRecipe(qat_epochs=args.qat_epochs))
        with tempfile.TemporaryDirectory() as state:
            trained = train_quantization_aware(int8, checkpoint, train, dev, settings, Path(state))
        found.append(_of(f"int8 after {args.qat_epochs:g} epochs of quantisation-aware training", trained))
    candidates = mixed_precision_candidates(int8, predict_logits(checkpoint, spread), calibration.encodings)
    found += [_of(*one) for one in islice(candidates, args.candidates)]
    for precision in _IN_ALL_LAYERS:
        model = int8.with_precision(dict.fromkeys(int8.params, precision)).with_margin()
        found.append(_of(f"{precision} everywhere", model))
    return [*found, _Model("fp32, the word embeddings too", build_graph(weights, encoder.spec), None)]


def _of(name: str, model: QuantizedModel) -> _Model:
    return _Model(name, model.graph(), relative_cost(model))


def _table(
    checkpoint: Checkpoint, examples: Sequence[Example], num_dev: int, models: Sequence[_Model]
) -> list[str]:
    encoder, task = checkpoint.encoder, checkpoint.task
    encodings = encoder.encode(examples)
    exact = predict_logits(checkpoint, examples)
    gold = np.array([task.index_of(example) for example in examples])
    sessions = [OnnxModel(m.proto.SerializeToString(), pad=encoder.pad, spec=encoder.spec) for m in models]
    turns = {
        model.name: partial(_cpu_seconds, session, encodings[:_TIMED])
        for model, session in zip(models, sessions, strict=True)
    }
    # The first round warms up.
    seconds = {name: np.median(taken[1:]) for name, taken in take_turns(turns, _ROUNDS + 1).items()}

    def flips(logits: NDArray[np.float32]) -> str:
        other = logits.argmax(1) != exact.argmax(1)
        return f"{100 * other.mean():.2f} / {100 * other[:num_dev].mean():.2f}"

    heads = (
        "", "flips of the first pass, all / dev, %", "flips, all / dev, %", "macro-F1",
        "mean change of a logit", "computed twice, %", "products", "CPU time", "file",
    )  # fmt: skip
    rows = []
    for model, session in zip(models, sessions, strict=True):
        first = batched_logits(session.run_pass, encodings)
        both = batched_logits(session.logits, encodings)
        rows.append(
            [
                model.name,
                flips(first),
                flips(both),
                f"{100 * scores(task, gold, both).macro_f1:.2f}",
                f"{np.abs(both - exact).mean():.4f}",
                f"{100 * len(session.low_margin_rows(first)) / len(first):.1f}",
                "" if model.products is None else f"{model.products:.2f}",
                f"{seconds[model.name] / seconds[models[0].name]:.2f}",
                f"{model.proto.ByteSize() / 1e6:.1f} MB",
            ]
        )
    return markdown_table(heads, rows)


def _cpu_seconds(session: OnnxModel, encodings: Sequence[Any]) -> float:
    begin = time.process_time()
    batched_logits(session.logits, encodings)
    return time.process_time() - begin


if __name__ == "__main__":
    main()
