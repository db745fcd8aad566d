"""Log lines in the original's format, on stderr and in ``output_dir/log.txt``."""

from __future__ import annotations

import contextlib
import logging
import sys
from collections.abc import Iterator
from pathlib import Path

from attar.progress import hide_library_bars
from attar.stage_cache import is_first_process
from original.wording import InFlags

__all__ = ["DATA", "MAIN", "logged"]

MAIN = logging.getLogger("Main")
DATA = logging.getLogger("utils")
"""The original's logger of data lines."""

_FORMAT = logging.Formatter("%(asctime)s - %(levelname)s - %(name)s -  %(message)s", "%Y/%m/%d %H:%M:%S")


@contextlib.contextmanager
def logged(folder: Path) -> Iterator[None]:
    """Log this run while the context is open; of several processes only the first does.

    Args:
        folder: log.txt in it is appended to.
    """
    hide_library_bars()
    folder.mkdir(parents=True, exist_ok=True)
    handlers: list[logging.Handler] = [logging.NullHandler()]
    if is_first_process():
        handlers = [
            logging.StreamHandler(sys.stderr),
            logging.FileHandler(folder / "log.txt", encoding="utf-8"),
        ]
    loggers = (MAIN, DATA, logging.getLogger("attar"))
    before = [(logger.level, logger.propagate) for logger in loggers]
    for handler in handlers:
        handler.addFilter(InFlags())
    for logger in loggers:
        logger.setLevel(logging.INFO)
        logger.propagate = False
        for handler in handlers:
            handler.setFormatter(_FORMAT)
            logger.addHandler(handler)
    try:
        yield
    finally:
        for logger, (level, propagate) in zip(loggers, before, strict=True):
            logger.setLevel(level)
            logger.propagate = propagate
            for handler in handlers:
                logger.removeHandler(handler)
        for handler in handlers:
            handler.close()
