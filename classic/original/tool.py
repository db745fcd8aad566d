"""The frame of every tool and service: log lines on stderr, one line for an error, exit codes."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, Sequence

from attar.cores import limit_library_threads
from attar.errors import AttarError, system_error
from attar.progress import hide_library_bars

__all__ = ["run_tool", "say"]

_INTERRUPTED = 130  # a shell's exit code for a program that Ctrl-C ended


def run_tool(main: Callable[[Sequence[str] | None], object], argv: Sequence[str] | None = None) -> int:
    """Run a tool's main function.

    Args:
        main: Called with ``argv``.
        argv: The flags; None takes those of this process.

    Returns:
        The exit code: 0, 2 for an error (one line on stderr), 3 for a gate that refuses, 130 for Ctrl-C.
    """
    logging.basicConfig(
        format="%(asctime)s - %(levelname)s - %(name)s -  %(message)s", datefmt="%Y/%m/%d %H:%M:%S"
    )
    for name in ("attar", "original", "Main", "utils"):
        logging.getLogger(name).setLevel(logging.INFO)
    hide_library_bars(downloads=True)
    try:
        limit_library_threads()
        main(argv)
    except KeyboardInterrupt:
        sys.stderr.write("stopped; the same command resumes what it can\n")
        return _INTERRUPTED
    except Exception as error:
        known = error if isinstance(error, AttarError) else system_error(error)
        if known is None or os.environ.get("ATTAR_DEBUG"):
            raise
        sys.stderr.write(f"{known}\n")
        return known.exit_code
    return 0


def say(line: str) -> None:
    """Print a line of a tool's result."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()
