"""The command line: ``app`` with a file a verb, and ``main``, which turns errors into exit codes."""

from __future__ import annotations

import os
import sys

from attar.cli.app import app
from attar.cli.tables import set_up_logging
from attar.cores import limit_library_threads
from attar.errors import AttarError

_STOPPED = 130  # what a shell reports of a program that Ctrl-C ended


def main() -> None:
    """Run the command line: one line on stderr and exit 2 for an error that the user can mend."""
    works = len(sys.argv) > 1 and not {"-h", "--help", "--version"} & set(sys.argv[1:])
    if works:
        set_up_logging()
    try:
        if works:
            limit_library_threads()
        app()
    except AttarError as error:
        if os.environ.get("ATTAR_DEBUG"):
            raise
        sys.stderr.write(f"attar: {error}\n")
        raise SystemExit(2) from None
    except (KeyboardInterrupt, SystemExit) as stop:
        # typer turns Ctrl-C into exit code 130 without a word.
        if isinstance(stop, SystemExit) and stop.code != _STOPPED:
            raise
        sys.stderr.write(
            "attar: stopped; a stage of a run goes on where it was when the same command is given again\n"
        )
        raise SystemExit(_STOPPED) from None
