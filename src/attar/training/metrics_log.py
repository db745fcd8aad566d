"""Metrics of a training: metrics.jsonl for programs, TensorBoard for people."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path

from attar.io.files import atomic_write

__all__ = ["MetricsLog"]


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
        """Open the log for steps after ``after_step``, dropping what a killed run wrote beyond it."""
        if not self.enabled:
            yield
            return
        from torch.utils.tensorboard import SummaryWriter

        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / "metrics.jsonl"
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
    lines = path.read_text("utf-8").splitlines(keepends=True)
    return "".join(x for x in lines if x.endswith("}\n") and json.loads(x)["step"] <= step)
