"""One side in a process of its own, which serves requests of ``attar.bench.processes.SideProcess``.

    python -m peers.worker SIDE MODELS CORES THREADS

``{"do": "one", "example": [text, start, end]}``: the first answer, with the memory then in use.
``{"do": "load", "path": FILE}``: examples to read round and round.
``{"do": "run", "count": N}``: the next N of them in one call, timed.
``{"do": "singles", "count": N, "seconds": S}``: the next ones, one by one.
``{"do": "probs", "count": N}``: probs of the first N.
``{"do": "memory"}``: memory now and at its peak. The process ends when its stdin does.

As ``python -m peers.worker --prepare SIDE MODELS`` it makes what the side needs and ends.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attar.bench.processes import Requests, memory

if TYPE_CHECKING:
    from attar.bench.timing import LocalSide
    from attar.task import Example
    from peers.sides import Predict, Side

__all__ = ["main"]

_FEWEST_SINGLES = 5
_PACKAGES = (
    "attar", "fasttext-community", "nncf", "numpy", "onnxruntime", "openvino",
    "scikit-learn", "tokenizers", "torch", "transformers",
)  # fmt: skip


class _Service:
    """Serves one request after another."""

    def __init__(self, predict: Predict) -> None:
        self._predict = predict
        self._examples: list[Example] = []
        self._side: LocalSide

    def one(self, request: dict[str, Any]) -> dict[str, Any]:
        from attar.task import Example

        text, start, end = request["example"]
        self._predict([Example(text, start, end)])
        return self.memory(request)

    def load(self, request: dict[str, Any]) -> dict[str, Any]:
        # Here and not above: the start of a process is timed, and is not to pay for the stopwatch.
        from attar.bench.timing import LocalSide
        from attar.system_info import package_versions
        from peers.traffic import read_examples

        self._examples = read_examples(Path(request["path"]))
        self._side = LocalSide(self._predict, self._examples)
        return {"versions": package_versions(_PACKAGES)}

    def run(self, request: dict[str, Any]) -> dict[str, Any]:
        return self._side.run(request["count"])._asdict()

    def singles(self, request: dict[str, Any]) -> dict[str, Any]:
        laps = self._side.singles(request["count"], request["seconds"], _FEWEST_SINGLES)
        return {"latency_ms": [1000 * lap.wall_s for lap in laps]}

    def probs(self, request: dict[str, Any]) -> dict[str, Any]:
        return {"probs": self._predict(self._examples[: request["count"]]).tolist()}

    def memory(self, _request: dict[str, Any]) -> dict[str, Any]:
        return memory()._asdict()


def _side(name: str) -> Side:
    from peers.sides import SIDES, artifact_side

    return SIDES.get(name) or artifact_side(Path(name))


def main(arguments: list[str]) -> None:
    """Serve one side until stdin ends, or prepare it."""
    if arguments[0] == "--prepare":
        _side(arguments[1]).prepare(Path(arguments[2]))
        return
    name, models, cores, threads = arguments
    os.sched_setaffinity(0, {int(core) for core in cores.split(",")})
    requests = Requests()
    service = _Service(_side(name).open(Path(models), int(threads)))
    for request in requests:
        requests.reply(getattr(service, request["do"])(request))


if __name__ == "__main__":
    main(sys.argv[1:])
