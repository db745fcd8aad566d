"""One side in a process of its own, which serves requests of ``attar.bench.processes.SideProcess``.

    python -m peers.worker SIDE MODELS CORES THREADS

``{"do": "one", "example": [text, start, end]}``: the first answer, with the memory then in use.
``{"do": "load", "path": FILE}``: examples to read round and round.
``{"do": "run", "count": N}``: the next N of them in one call, timed.
``{"do": "singles", "count": N, "seconds": S}``: the next ones, one by one.
``{"do": "probs", "count": N}``: probs of the first N.
``{"do": "memory"}``: memory now and at its peak. The process ends when its stdin does.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from attar.bench.processes import Requests, memory

_FEWEST_SINGLES = 5
_PACKAGES = (
    "attar", "nncf", "numpy", "onnxruntime", "openvino",
    "tokenizers", "torch", "transformers",
)  # fmt: skip


def main(arguments: list[str]) -> None:
    """Serve one side until stdin ends."""
    name, models, cores, threads = arguments
    os.sched_setaffinity(0, {int(core) for core in cores.split(",")})
    requests = Requests()
    from attar.task import Example
    from peers.sides import SIDES, artifact_side
    from peers.traffic import read_examples

    side = SIDES.get(name) or artifact_side(Path(name))
    predict = side.opener(Path(models) / side.model, int(threads))
    for request in requests:
        reply: dict[str, Any]
        match request["do"]:
            case "one":
                predict([Example(*request["example"])])
                reply = memory()._asdict()
            case "load":
                # Here and not above: the start of a process is timed, and is not to pay for the stopwatch.
                from attar.bench.timing import LocalSide
                from attar.system_info import package_versions

                examples = read_examples(Path(request["path"]))
                timed = LocalSide(predict, examples)
                reply = {"versions": package_versions(_PACKAGES)}
            case "run":
                reply = timed.run(request["count"])._asdict()
            case "singles":
                laps = timed.singles(request["count"], request["seconds"], _FEWEST_SINGLES)
                reply = {"latency_ms": [1000 * lap.wall_s for lap in laps]}
            case "probs":
                reply = {"probs": predict(examples[: request["count"]]).tolist()}
            case "memory":
                reply = memory()._asdict()
        requests.reply(reply)


if __name__ == "__main__":
    main(sys.argv[1:])
