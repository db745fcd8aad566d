"""The command line: ``app`` in app.py, a verb in a file of its name, and ``main``.

``main`` is the entry point ``attar``: it sets up logging and turns errors into one line and an exit code.
"""

from __future__ import annotations

import os
import sys

from attar.cli.app import app
from attar.cli.tables import set_up_logging
from attar.cores import limit_library_threads
from attar.errors import AttarError

_INTERRUPTED = 130  # a shell's exit code for a program that Ctrl-C ended


def main() -> None:
    """Run the command line: one line on stderr and exit 2 for an error that the user can mend."""
    runs_a_verb = len(sys.argv) > 1 and not {"-h", "--help", "--version"} & set(sys.argv[1:])
    if runs_a_verb:
        set_up_logging()
    try:
        if runs_a_verb:
            limit_library_threads()
        app()
    except AttarError as error:
        if os.environ.get("ATTAR_DEBUG"):
            raise
        sys.stderr.write(f"attar: {error}\n")
        raise SystemExit(2) from None
    except (KeyboardInterrupt, SystemExit) as stop:
        # typer turns Ctrl-C into exit code 130 and prints nothing.
        if isinstance(stop, SystemExit) and stop.code != _INTERRUPTED:
            raise
        sys.stderr.write("attar: stopped; the same command resumes what it can\n")
        raise SystemExit(_INTERRUPTED) from None
