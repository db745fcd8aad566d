"""Whether what a script needs is installed: said in one line, before the rest is imported.

Uses the standard library alone, for attar itself may be what is missing.
"""

import sys
from importlib.util import find_spec

__all__ = ["TRAINING", "require"]

TRAINING = ("torch", "transformers", "accelerate", "safetensors", "sklearn", "tensorboard", "tqdm")
"""What a training needs, by the names that it is imported by."""

_EXTRAS = {
    "fastapi": "serve", "uvicorn": "serve", "pymongo": "mongodb", "openpyxl": "excel", "jinja2": "data",
}  # fmt: skip


def require(*packages: str) -> None:
    """End the process with one line and exit code 2 where attar or one of these is not installed.

    Args:
        packages: By the names that they are imported by.
    """
    missing = [name for name in ("attar", *packages) if find_spec(name) is None]
    if not missing:
        return
    extras = ",".join(sorted({_EXTRAS.get(name, "train") for name in packages}))
    sys.stderr.write(
        f"{sys.argv[0]}: not installed: {', '.join(missing)}. In attar's folder run "
        f"pip install '.[{extras}]', or make .venv and start this with .venv/bin/python; this was "
        f"{sys.executable}\n"
    )
    raise SystemExit(2)
