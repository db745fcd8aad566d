"""One side in a process of its own: requests come as JSON lines on stdin, answers go to stdout.

    python -m peers.worker SIDE MODELS CORES THREADS

``{"do": "one", "example": [text, start, end]}``: the first answer, with the memory then in use.
``{"do": "load", "path": FILE}``: examples to read round and round.
``{"do": "run", "count": N}``: the next N of them in one call, timed.
``{"do": "singles", "count": N, "seconds": S}``: the next ones, one by one.
``{"do": "probs", "count": N}``: probs of the first N.
``{"do": "memory"}``: memory now and at its peak. Any process ends when its stdin does.

As ``python -m peers.worker --prepare SIDE MODELS`` it makes what the side needs and ends.
"""

from __future__ import annotations

import importlib.metadata
import itertools
import json
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from attar.task import Example
    from peers.sides import Answer, Side

__all__ = ["main"]

_FEWEST_SINGLES = 5
_PACKAGES = (
    "attar",
    "fasttext-community",
    "nncf",
    "numpy",
    "onnxruntime",
    "openvino",
    "scikit-learn",
    "tokenizers",
    "torch",
    "transformers",
)


class _Service:
    """Answers one request after another."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self._examples: list[Example] = []
        self._stream: Iterator[Example] = iter(())

    def one(self, request: dict[str, Any]) -> dict[str, Any]:
        from attar.task import Example

        text, start, end = request["example"]
        self._answer([Example(text, start, end)])
        return self.memory(request)

    def load(self, request: dict[str, Any]) -> dict[str, Any]:
        from peers.traffic import read_examples

        self._examples = read_examples(Path(request["path"]))
        self._stream = itertools.cycle(self._examples)
        return {"versions": _versions()}

    def run(self, request: dict[str, Any]) -> dict[str, Any]:
        examples = list(itertools.islice(self._stream, request["count"]))
        wall, cpu = time.perf_counter(), time.process_time()
        self._answer(examples)
        return {"wall_s": time.perf_counter() - wall, "cpu_s": time.process_time() - cpu}

    def singles(self, request: dict[str, Any]) -> dict[str, Any]:
        found: list[float] = []
        begin = time.perf_counter()
        while len(found) < request["count"]:
            if len(found) >= _FEWEST_SINGLES and time.perf_counter() - begin > request["seconds"]:
                break
            example = [next(self._stream)]
            start = time.perf_counter()
            self._answer(example)
            found.append(1000 * (time.perf_counter() - start))
        return {"latency_ms": found}

    def probs(self, request: dict[str, Any]) -> dict[str, Any]:
        return {"probs": self._answer(self._examples[: request["count"]]).tolist()}

    def memory(self, _request: dict[str, Any]) -> dict[str, Any]:
        status = Path("/proc/self/status").read_text("ascii")
        kilobytes = {line.split(":")[0]: line.split()[1] for line in status.splitlines() if "kB" in line}
        return {
            "resident_mb": int(kilobytes["VmRSS"]) * 1024 / 1e6,
            "peak_mb": int(kilobytes["VmHWM"]) * 1024 / 1e6,
        }


def _versions() -> dict[str, str]:
    found = {}
    for name in _PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


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
    # What libraries print belongs to the log, not between the answers.
    replies = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    service = _Service(_side(name).open(Path(models), int(threads)))
    for line in sys.stdin:
        request = json.loads(line)
        replies.write(json.dumps(getattr(service, request["do"])(request)) + "\n")
        replies.flush()


if __name__ == "__main__":
    main(sys.argv[1:])
