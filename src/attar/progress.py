"""Progress: a bar on a terminal, a log line every 30 seconds elsewhere.

Work that may take more than a few seconds is wrapped in ``progress_bar`` or ``track``. The log lines:

    teacher: 120 of 240 steps, about 40 s left, dev 0.8312
"""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextvars import ContextVar
from typing import TypeVar

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

__all__ = [
    "SECONDS_PER_LINE",
    "Advance",
    "hide_library_bars",
    "progress_bar",
    "progress_to",
    "spoken_time",
    "track",
]

_LOG = logging.getLogger(__name__)
SECONDS_PER_LINE = 30.0
"""Off a terminal, between two lines about the same work."""
_BAR_WIDTH, _WIDE = 40, 100  # columns of a terminal
_T = TypeVar("_T")
# Two bars of rich on one terminal overwrite each other.
_BAR_SHOWN: ContextVar[bool] = ContextVar("bar shown", default=False)

_LISTENER: ContextVar[Callable[[int, int | None], object] | None] = ContextVar("listener", default=None)

Advance = Callable[..., None]
"""``advance(count=1, note=None)``: adds to what is done; a note replaces the previous one."""


@contextlib.contextmanager
def progress_bar(
    description: str,
    total: int | None,
    done: int = 0,
    *,
    unit: str = "",
    redraw: bool = True,
    rate: bool = False,
) -> Iterator[Advance]:
    """Show the progress of the block: a bar on stderr if that is a terminal, else log lines.

    A terminal has one bar: inside the block of another one, nothing is shown there.

    Args:
        description: What is done, in a word or two.
        total: Amount of work; None if it is not known.
        done: Amount already done before this call.
        unit: What is counted, in the plural, for the log lines.
        redraw: Whether a thread redraws the bar in between, or only ``advance`` does.
        rate: Whether to say how many are done a second; then a log line says at once what there is to do.

    Yields:
        ``advance(count=1, note=None)``.
    """
    if (listener := _LISTENER.get()) is not None:
        yield _Heard(listener, total, done)
        return
    console = Console(file=sys.stderr)
    if not console.is_terminal:
        lines = _LogLines(description, total, done, unit, rate=rate)
        if rate:
            lines.log()
        yield lines
        return
    if _BAR_SHOWN.get():
        yield lambda count=1, note=None: None  # noqa: ARG005 - shows nothing
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(_BAR_WIDTH if console.width >= _WIDE else _BAR_WIDTH // 4),
        MofNCompleteColumn(),
        *([_Rate(unit)] if rate else []),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
    )
    with contextlib.ExitStack() as stack:
        _BAR_SHOWN.set(True)
        stack.callback(_BAR_SHOWN.set, False)
        bar = stack.enter_context(Progress(*columns, console=console, transient=True, auto_refresh=redraw))
        task = bar.add_task(description, total=total, completed=done, note="")

        def advance(count: int = 1, note: str | None = None) -> None:
            bar.advance(task, count)
            if note is not None:
                bar.update(task, note=note)
            if not redraw:
                bar.refresh()

        yield advance


@contextlib.contextmanager
def progress_to(listener: Callable[[int, int | None], object]) -> Iterator[None]:
    """Let progress in the block, and in its thread, be told to a function instead of being shown.

    Args:
        listener: Called with the amount done and the total, None where that is not known.
    """
    token = _LISTENER.set(listener)
    try:
        yield
    finally:
        _LISTENER.reset(token)


def track(items: Iterable[_T], description: str, total: int | None = None, *, unit: str = "") -> Iterator[_T]:
    """Yield the items under a ``progress_bar`` that advances by one after each.

    The arguments are those of ``progress_bar``; ``total`` None takes the length of a sequence.
    """
    if total is None and isinstance(items, Sequence):
        total = len(items)
    with progress_bar(description, total, unit=unit) as advance:
        for item in items:
            yield item
            advance()


def hide_library_bars(*, downloads: bool = False) -> None:
    """Keep transformers from drawing bars over ours; call it before it is imported.

    With ``downloads`` the bars of downloads from Hugging Face stay.
    """
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    if not downloads:
        os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")


def spoken_time(seconds: float) -> str:
    """A rounded duration for people: 40 s, 3 min, 1 h 20 min."""
    if seconds < 57.5:
        return f"{max(5, 5 * round(seconds / 5))} s"
    minutes = max(1, round(seconds / 60))
    if minutes < 60:
        return f"{minutes} min"
    hours, rest = divmod(5 * round(minutes / 5), 60)
    return f"{hours} h {rest} min" if rest else f"{hours} h"


class _Rate(ProgressColumn):
    """How many are done a second, of late."""

    def __init__(self, unit: str) -> None:
        super().__init__()
        self._unit = unit

    def render(self, task: Task) -> Text:
        """The text of the column."""
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed:,.0f} {self._unit}/s", no_wrap=True)


class _Heard:
    """An ``advance`` that tells a listener."""

    def __init__(self, listener: Callable[[int, int | None], object], total: int | None, done: int) -> None:
        self._listener, self._total, self._done = listener, total, done
        listener(done, total)

    def __call__(self, count: int = 1, note: str | None = None) -> None:  # noqa: ARG002 - as the others
        self._done += count
        self._listener(self._done, self._total)


class _LogLines:
    """An ``advance`` that logs the progress at most every ``SECONDS_PER_LINE``."""

    def __init__(
        self, description: str, total: int | None, done: int, unit: str, *, rate: bool = False
    ) -> None:
        self._description, self._total, self._unit, self._rate = description, total, unit, rate
        self._first, self._done, self._note = done, done, ""
        self._started = self._logged = time.monotonic()

    def __call__(self, count: int = 1, note: str | None = None) -> None:
        self._done += count
        self._note = self._note if note is None else note
        now = time.monotonic()
        if now - self._logged >= SECONDS_PER_LINE and self._done != self._total:
            self._logged = now
            self.log()

    def log(self) -> None:
        """Log a line."""
        _LOG.info("%s: %s", self._description, self._status(time.monotonic() - self._started))

    def _status(self, seconds: float) -> str:
        counted = f"{self._done:,}" + (f" of {self._total:,}" if self._total is not None else "")
        parts = [f"{counted} {self._unit}".strip()]
        new = self._done - self._first
        if self._rate and new > 0:
            parts.append(f"{new / max(seconds, 1e-9):,.0f} {self._unit}/s")
        if self._total is not None and new > 0 and self._done < self._total:
            parts.append(f"about {spoken_time(seconds * (self._total - self._done) / new)} left")
        return ", ".join([*parts, *([self._note] if self._note else [])])
