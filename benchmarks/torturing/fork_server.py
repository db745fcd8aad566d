"""The process behind ``torturing.forks``: it imports everything, and each command is a fork of it.

Reads a request a line from stdin, answers with a line on stdout. Nothing is computed here, so that a fork
has no threads of another process to wait for.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import sys
import time
import traceback
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

from torturing.events import Events

__all__ = ["serve"]

_OF_ROWS = (
    "attar.cli", "attar.pipeline", "attar.records.prepare", "attar.scoring.stage", "attar.scoring.excel",
    "attar.compare.stage", "attar.terms.stage", "attar.insight.stage", "attar.serving.server",
    "openpyxl.writer.excel", "jinja2",
)  # fmt: skip
_OF_MODELS = (
    "attar.training.stage", "attar.distillation.stage", "attar.pretraining.stage", "attar.export.stage",
    "attar.export.convert", "attar.evaluation.stage", "attar.bench.stage", "attar.cascade.stage",
    "transformers.models.bert.modeling_bert", "torch.utils.tensorboard",
)  # fmt: skip
_POLL_S = 0.001
_ESCAPED = 70  # no exit code of attar's


def serve() -> None:
    """Answer requests until stdin ends."""
    requests, replies = os.fdopen(os.dup(0)), os.fdopen(os.dup(1), "w")
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)
    with_models = "--models" in sys.argv
    for name in (*_OF_ROWS, *(_OF_MODELS if with_models else ())):
        importlib.import_module(name)
    _write_small_parts()
    if with_models:
        _measure_moments()
    replies.write("{}\n")
    replies.flush()
    for line in requests:
        replies.write(json.dumps(_run(json.loads(line))) + "\n")
        replies.flush()


def _measure_moments() -> None:
    """Let what times models do so for moments instead of seconds: figures are not the question."""
    import attar.bench.stage
    import attar.cascade.stage
    import attar.evaluation.report
    from attar.bench.timing import interleaved
    from attar.evaluation import baselines

    short = partial(interleaved, single_examples=20, turn_seconds=0.02)
    attar.evaluation.report.interleaved = short  # type: ignore[attr-defined]
    attar.bench.stage.interleaved = short  # type: ignore[attr-defined]
    attar.cascade.stage.interleaved = short  # type: ignore[attr-defined]
    vars(baselines).update(_WINDOWS=(8, None), _STRENGTHS=(4.0, 16.0))


def _write_small_parts() -> None:
    """Let ``score`` work in small steps, so that few rows are written in many parts."""
    from attar.scoring import cached_probs, chunks

    vars(chunks)["CHUNK_EXAMPLES"] = 16
    vars(cached_probs).update(_MAX_PART=24, _FIRST_BATCH=8, _MAX_BATCH=8)


def _check_no_room() -> None:
    import attar.stage_cache

    vars(attar.stage_cache)["check_room"] = lambda *_: None


def _run(asked: dict[str, Any]) -> dict[str, Any]:
    begin = time.monotonic()
    child = os.fork()
    if not child:
        try:
            _work(asked)
        except KeyboardInterrupt:  # before the command had begun, or after its end
            os._exit(_ESCAPED)
    kill_after = asked["kill_after_s"]
    limit = asked["limit_s"] if kill_after is None else kill_after
    while True:
        done, status = os.waitpid(child, os.WNOHANG)
        seconds = time.monotonic() - begin
        if done:
            return {"code": os.waitstatus_to_exitcode(status), "seconds": seconds}
        if seconds > limit and kill_after is not None and asked["signal"] != signal.SIGKILL:
            os.kill(child, asked["signal"])
            kill_after, limit = None, seconds + asked["limit_s"]
        elif seconds > limit:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            return {"code": None if kill_after is None else -signal.SIGKILL, "seconds": seconds}
        time.sleep(_POLL_S)


def _work(asked: dict[str, Any]) -> NoReturn:
    """Be the command, and end with its exit code."""
    code, events = 0, None
    try:
        said = os.open(asked["log"], os.O_CREAT | os.O_WRONLY | os.O_TRUNC | os.O_APPEND, 0o600)
        os.dup2(said, 1)
        os.dup2(said, 2)
        sys.stdout = os.fdopen(1, "w", encoding="utf-8", buffering=1)
        sys.stderr = os.fdopen(2, "w", encoding="utf-8", buffering=1)
        os.chdir(asked["cwd"])
        sys.argv = asked["argv"]
        if not asked.get("is_room_checked", True):
            _check_no_room()
        module, _, name = asked["call"].partition(":")
        function = getattr(importlib.import_module(module), name)
        signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored in what runs in the background
        if asked["watch"] is not None:
            events = Events(asked["watch"], asked["kill_at_event"] or 0, asked["share"] or 0.0)
            events.start()
        function(*asked.get("arguments", ()))
    except SystemExit as left:
        code = left.code if isinstance(left.code, int) else int(left.code is not None)
    except BaseException:  # noqa: BLE001 - to be seen by who asked
        traceback.print_exc()
        code = _ESCAPED
    finally:
        if events is not None:
            events.stop()
            Path(asked["events"]).write_text(json.dumps(events.seen), "utf-8")
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    serve()
