"""What each precision of an artifact costs and gives: flips, macro-F1, size and CPU time, form by form.

    python benchmarks/precision.py CHECKPOINT --data DATA --recipe recipes/quickstart.toml \
        --results docs/lab-notes.md

Every form is compared with the checkpoint on the examples that `attar export` looks at (2,000 of dev,
then train), and timed on one thread, all forms in turns. Beside the rungs of the ladder stand the forms
that it climbs through, each by itself, and int8 after quantisation-aware training (--qat-epochs 0
leaves that out).
"""

from __future__ import annotations

import argparse
import logging
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnx
from numpy.typing import NDArray
from peers.document import machine_line, write_block

from attar.evaluation.metrics import scores
from attar.export.graph import build_graph
from attar.export.ladder import num_products, rungs
from attar.export.observers import Calibration
from attar.export.parity import batched_logits
from attar.export.quant_params import LayerPrecision
from attar.export.quantisation import (
    QuantizedModel,
    TuningData,
    post_training_quantize,
    train_quantization_aware,
)
from attar.export.weights import read_weights
from attar.models.checkpoint import Checkpoint, load_checkpoint, predict_logits
from attar.recipe.load import DistillRecipe, load_recipe, make_recipe
from attar.records.prepared_folder import load_split
from attar.scoring.session import OnnxModel
from attar.system_info import system_info
from attar.task import Example

_WHOLE: tuple[LayerPrecision, ...] = ("w16a8", "w8a16", "w16a16", "fp32")
_ROUNDS = 7
_TIMED = 200


class _Form(NamedTuple):
    name: str
    proto: onnx.ModelProto
    products: float | None


def main() -> None:
    """Measure all forms of one checkpoint."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--recipe", type=Path, help="Takes [export] from it")
    parser.add_argument("--qat-epochs", type=float, default=2)
    parser.add_argument("--rungs", type=int, default=4, help="How many rungs of the ladder")
    parser.add_argument("--results", type=Path, help="page whose block is replaced")
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO)
    checkpoint = load_checkpoint(args.checkpoint)
    dev, train = (load_split(args.data, name) for name in ("dev", "train"))
    recipe = load_recipe(args.recipe) if args.recipe else make_recipe({"name": "defaults"})
    examples = [*dev, *train][: recipe.export.parity_examples]
    forms = _forms(checkpoint, dev, train, recipe.export.calibration_examples, args)
    lines = _table(checkpoint, examples, len(dev), forms)
    head = f"`python benchmarks/precision.py {args.checkpoint} ...` on {machine_line(system_info(), 1)}; "
    head += f"{len(examples):,} examples, {len(dev)} of dev."
    print("\n".join([head, "", *lines]))
    if args.results:
        write_block(args.results, "precision", "Precision, form by form", [head, "", *lines])


def _forms(
    checkpoint: Checkpoint,
    dev: Sequence[Example],
    train: Sequence[Example],
    num_calibration: int,
    args: argparse.Namespace,
) -> list[_Form]:
    encoder = checkpoint.encoder
    spread = train[:: max(1, len(train) // num_calibration)][:num_calibration]
    calibration = Calibration(encoder.encode(spread), encoder.pad, encoder.spec)
    weights = read_weights(checkpoint.model)
    plain = post_training_quantize(weights, calibration)
    found = [_of("int8 (w8a8)", plain)]
    if args.qat_epochs:
        settings = DistillRecipe(
            epochs=args.qat_epochs,
            learning_rate=2e-5,
            weight_decay=0,
            keep="last",
            precision="fp32",
            head_init="random",
        )
        with tempfile.TemporaryDirectory() as state:
            tuned = train_quantization_aware(plain, checkpoint, TuningData(train, dev, settings, Path(state)))
        found.append(_of(f"int8 after {args.qat_epochs:g} epochs of quantisation-aware training", tuned))
    exact = predict_logits(checkpoint, spread)
    for number, rung in enumerate(rungs(plain, exact, calibration.encodings)):
        if number == args.rungs:
            break
        found.append(_of(rung.name, rung.form))
    for one in _WHOLE:
        every = plain.with_precision(dict.fromkeys(plain.grids, one)).with_tie_margin()
        found.append(_of(f"{one} everywhere", every))
    return [*found, _Form("fp32, the word table too", build_graph(weights, encoder.spec), None)]


def _of(name: str, form: QuantizedModel) -> _Form:
    return _Form(name, form.graph(), num_products(form))


def _table(
    checkpoint: Checkpoint, examples: Sequence[Example], num_dev: int, forms: Sequence[_Form]
) -> list[str]:
    encoder, task = checkpoint.encoder, checkpoint.task
    encodings = encoder.encode(examples)
    exact = predict_logits(checkpoint, examples)
    gold = np.array([task.index_of(example) for example in examples])
    models = [OnnxModel(f.proto.SerializeToString(), pad=encoder.pad, spec=encoder.spec) for f in forms]
    seconds = _interleaved(models, encodings[:_TIMED])

    def flips(logits: NDArray[np.float32]) -> str:
        other = logits.argmax(1) != exact.argmax(1)
        return f"{100 * other.mean():.2f} / {100 * other[:num_dev].mean():.2f}"

    heads = (
        "flips of the first pass, all / dev, %",
        "flips, all / dev, %",
        "macro-F1",
        "mean change of a logit",
    )
    heads += ("computed twice, %", "products", "CPU time", "file")
    lines = [f"| | {' | '.join(heads)} |", "| --- " * (1 + len(heads)) + "|"]
    for form, model, taken in zip(forms, models, seconds, strict=True):
        first = batched_logits(model.run_pass, encodings)
        both = batched_logits(model.logits, encodings)
        row: list[Any] = [
            form.name,
            flips(first),
            flips(both),
            f"{100 * scores(task, gold, both).macro_f1:.2f}",
        ]
        row += [
            f"{np.abs(both - exact).mean():.4f}",
            f"{100 * len(model.low_margin_rows(first)) / len(first):.1f}",
        ]
        row += ["" if form.products is None else f"{form.products:.2f}", f"{taken / seconds[0]:.2f}"]
        row.append(f"{form.proto.ByteSize() / 1e6:.1f} MB")
        lines.append("| " + " | ".join(row) + " |")
    return lines


def _interleaved(models: Sequence[OnnxModel], encodings: Sequence[Any]) -> list[float]:
    rounds = []
    for _ in range(_ROUNDS + 1):  # the first warms up
        turn = []
        for model in models:
            begin = time.process_time()
            batched_logits(model.logits, encodings)
            turn.append(time.process_time() - begin)
        rounds.append(turn)
    return [float(value) for value in np.median(rounds[1:], 0)]


if __name__ == "__main__":
    main()
