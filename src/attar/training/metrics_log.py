"""Metrics of a training: metrics.jsonl for programs, TensorBoard for people.

A line of metrics.jsonl ends with the CRC-32 of what stands before, so that a damaged one is known when a
killed training resumes and its log is carried on.
"""

from __future__ import annotations

import contextlib
import json
import logging
import re
import zlib
from collections.abc import Iterator
from pathlib import Path

from attar.errors import RunError
from attar.io.files import atomic_write
from attar.io.json_text import parse_json

__all__ = ["MetricsLog"]

_LOG = logging.getLogger(__name__)
_CHECKED = re.compile(rb'(\{.*), "crc32": "([0-9a-f]{8})"\}', re.DOTALL)
_MOST_NAMED = 10


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
        entry = json.dumps({"step": step} | figures)[:-1]
        self._lines.write(f'{entry}, "crc32": "{zlib.crc32(entry.encode()):08x}"}}\n')
        self._lines.flush()
        for key, value in figures.items():
            self._board.add_scalar(key, value, step)


def _until(path: Path, step: int) -> str:
    """The whole lines of a log up to a step; a kill may have cut its last line short."""
    if not step or not path.is_file():
        return ""
    *lines, _ = path.read_bytes().split(b"\n")
    has_sums = any(map(_CHECKED.fullmatch, lines))  # earlier versions wrote none
    steps = [_step_of(line, has_sums=has_sums) for line in lines]
    if damaged := [number for number, of in enumerate(steps, 1) if of is None]:
        named = ", ".join(map(str, damaged[:_MOST_NAMED])) + ", ..." * (len(damaged) > _MOST_NAMED)
        _LOG.warning("%s: %d damaged lines are left out: %s", path, len(damaged), named)
    kept = [line + b"\n" for line, of in zip(lines, steps, strict=True) if of is not None and of <= step]
    return str(b"".join(kept), "utf-8")


def _step_of(line: bytes, *, has_sums: bool) -> int | None:
    """The step of a line; None where it is none of a log, or not as it was written."""
    checked = _CHECKED.fullmatch(line)
    if has_sums and (checked is None or zlib.crc32(checked[1]) != int(checked[2], 16)):
        return None
    try:
        entry = parse_json(str(line, "utf-8"))
    except ValueError:
        return None
    step = entry.get("step") if isinstance(entry, dict) else None
    return step if isinstance(step, int) else None
