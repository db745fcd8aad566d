"""Checks what a script needs before it imports the rest; attar itself may be what is missing."""

import sys
from importlib.util import find_spec
from typing import NoReturn

__all__ = ["require"]

_PACKAGES = {
    "data": ["jinja2"], "excel": ["openpyxl"], "mongodb": ["pymongo"], "serve": ["fastapi", "uvicorn"],
}  # fmt: skip


def require(*extras: str) -> None:
    """End the process with one line and exit code 2 if attar, or a package of these extras, is not installed.

    Args:
        extras: Of attar: "train", "serve", "mongodb", "excel" or "data".
    """
    if find_spec("attar") is None:
        _stop("not installed: attar", extras)
    from attar.errors import TRAINING_PACKAGES, MissingPackageError, require_installed

    for extra in extras:
        try:
            require_installed(_PACKAGES.get(extra, [*TRAINING_PACKAGES, "tqdm"]), extra)
        except MissingPackageError as error:
            _stop(str(error).partition(";")[0], extras)


def _stop(reason: str, extras: tuple[str, ...]) -> NoReturn:
    sys.stderr.write(
        f"{sys.argv[0]}: {reason}. In attar's folder run pip install '.[{','.join(extras)}]', or make .venv "
        f"and start this with .venv/bin/python; this was {sys.executable}\n"
    )
    raise SystemExit(2)
