"""Metrics of a training: metrics.jsonl for programs, TensorBoard for people."""

from __future__ import annotations

import contextlib
import json
import logging
from collections.abc import Iterator
from pathlib import Path

from attar.errors import RunError
from attar.io.files import atomic_write
from attar.io.json_text import parse_json

__all__ = ["MetricsLog"]

_LOG = logging.getLogger(__name__)


class MetricsLog:
    """Writes metrics.jsonl and TensorBoard scalars; after a resume no step appears twice.

    Args:
        folder: Gets both.
        enabled: Whether this process writes; of a torchrun launch only the first does.
    """

    def __init__(self, folder: Path, *, enabled: bool) -> None:
        self.folder, self.enabled = folder, enabled

    @contextlib.contextmanager
    def opened(self, after_step: int) -> Iterator[None]:
        """Open the log for steps after ``after_step``, dropping what a killed run wrote beyond it.

        Raises:
            RunError: A folder stands in its place.
        """
        if not self.enabled:
            yield
            return
        from torch.utils.tensorboard import SummaryWriter

        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / "metrics.jsonl"
        if path.is_dir():
            raise RunError(f"{path}: a folder stands where the log goes; remove it, or name another --out")
        with atomic_write(path) as draft:
            draft.write_text(_until(path, after_step), "utf-8")
        with path.open("a", encoding="utf-8") as self._lines:
            self._board = SummaryWriter(str(self.folder / "tensorboard"), purge_step=after_step + 1)
            try:
                yield
            finally:
                self._board.close()

    def write(self, step: int, figures: dict[str, float]) -> None:
        """Write the figures of one step."""
        if not self.enabled:
            return
        self._lines.write(json.dumps({"step": step} | figures) + "\n")
        self._lines.flush()
        for key, value in figures.items():
            self._board.add_scalar(key, value, step)


def _until(path: Path, step: int) -> str:
    """The whole lines of a log up to a step; a kill may have cut its last line short."""
    if not step or not path.is_file():
        return ""
    *lines, _ = path.read_bytes().split(b"\n")
    steps = [_step_of(line) for line in lines]
    if damaged := steps.count(None):
        _LOG.warning("%s: %d damaged lines are left out", path, damaged)
    kept = [line + b"\n" for line, of in zip(lines, steps, strict=True) if of is not None and of <= step]
    return str(b"".join(kept), "utf-8")


def _step_of(line: bytes) -> int | None:
    """The step of a line; None where it is none of a log."""
    try:
        entry = parse_json(str(line, "utf-8"))
    except ValueError:
        return None
    step = entry.get("step") if isinstance(entry, dict) else None
    return step if isinstance(step, int) else None
