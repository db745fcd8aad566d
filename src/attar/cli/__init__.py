"""The command line: ``app`` in app.py, a verb in a file of its name, and ``main``.

``main`` is the entry point ``attar``: it sets up logging and turns errors and signals into one line and an
exit code. The codes are in a table of docs/reference.md.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import traceback
from collections.abc import Iterator
from types import FrameType

from attar.cli.app import app
from attar.cli.tables import set_up_logging
from attar.cores import limit_library_threads
from attar.errors import AttarError, system_error

# A shell's exit codes for a program that Ctrl-C, or SIGTERM, ended.
_INTERRUPTED, _TERMINATED = 130, 143
# And for one that writes to a pipe that nobody reads any more; click, without a word, has 1 for that alone.
_UNREAD, _CLICKS_UNREAD = 141, 1
_BUG = 2


def main() -> None:
    """Run the command line: whatever goes wrong is one line on stderr and an exit code."""
    _open_closed_streams()
    runs_a_verb = len(sys.argv) > 1 and not {"-h", "--help", "--version"} & set(sys.argv[1:])
    if runs_a_verb:
        set_up_logging()
    received: list[int] = []
    try:
        with _terminating_like_ctrl_c(received):
            if runs_a_verb:
                limit_library_threads()
            app()
    except (KeyboardInterrupt, SystemExit) as stop:
        if isinstance(stop, SystemExit) and stop.code == _CLICKS_UNREAD:
            raise SystemExit(_UNREAD) from None
        # typer turns Ctrl-C into exit code 130 and prints nothing.
        if isinstance(stop, SystemExit) and stop.code != _INTERRUPTED:
            raise
        sys.stderr.write("attar: stopped; the same command resumes what it can\n")
        raise SystemExit(_TERMINATED if received else _INTERRUPTED) from None
    except Exception as error:
        if os.environ.get("ATTAR_DEBUG"):
            raise
        known = error if isinstance(error, AttarError) else system_error(error)
        sys.stderr.write(f"attar: {known or _bug(error)}\n")
        raise SystemExit(known.exit_code if known else _BUG) from None


def _open_closed_streams() -> None:
    """Let /dev/null take the place of a standard stream that the caller closed.

    Else the next file that is opened would, and get what libraries write to stderr.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            # The lowest number that is free, which is this one.
            os.open(os.devnull, os.O_RDWR if number else os.O_RDONLY)
            stream = open(number, "w" if number else "r", encoding="utf-8", closefd=False)  # noqa: SIM115
            setattr(sys, name, stream)


@contextlib.contextmanager
def _terminating_like_ctrl_c(received: list[int]) -> Iterator[None]:
    """Let SIGTERM end a verb as Ctrl-C does, so that nothing half-written stays; it is noted in the list."""

    def stop(number: int, _frame: FrameType | None) -> None:
        received.append(number)
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _bug(error: Exception) -> str:
    """A line about an error that should not be possible; not its own words, which may quote a review."""
    place = traceback.extract_tb(error.__traceback__)[-1]
    where = f"{os.path.basename(place.filename)}:{place.lineno}"  # noqa: PTH119 - of a string
    advice = "attar --debug VERB ... shows the trace, please report it"
    return f"{type(error).__name__} in {where}: a bug of attar; {advice}"
